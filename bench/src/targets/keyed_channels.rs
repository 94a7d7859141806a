//! Keyed calls over four channels and four shards, none of which crosses shards.

use super::context::Context;
use super::pair_load::{IN_FLIGHT, calls, checked, plan};
use super::result::{TargetResult, Wanted};
use super::target::Target;
use crate::format::grouped;
use crate::load::LoadModel;
use crate::pair::{Calls, Pair, PairError, PairPlan};

/// Channels and shards.
const CHANNELS: u32 = 4;

pub(super) fn measure(
    context: &Context<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<TargetResult>, PairError> {
    progress("four channels, four shards");
    let plan = PairPlan {
        threads: CHANNELS as usize,
        channels: CHANNELS,
        ..plan("keyed echo")
    };
    let mut pair = Pair::start(&plan, context.node, context.interrupt)?;
    // The messages of starting and of the handshakes have crossed by then.
    let keyed = |context| -> Result<Calls, PairError> {
        Ok(Calls {
            keys: IN_FLIGHT,
            ..calls(context, LoadModel::Closed, IN_FLIGHT)?
        })
    };
    let crossed = |pair: &Pair| pair.metrics().messages_crossed.get();
    let first = checked(pair.measure(keyed(context)?, |_| {})?)?;
    let before = crossed(&pair);
    let load = checked(pair.measure(keyed(context)?, |_| {})?)?;
    let client = crossed(&pair) - before;
    let last_line = pair.end()?;
    let server: u64 = counter(&last_line, "messages_crossed");
    let calls = (first.calls + load.calls) as f64;
    Ok([
        ("client", client as f64, load.calls as f64),
        ("server", server as f64, calls),
    ]
    .map(|(side, crossed, calls)| {
        TargetResult::new(
            Target::KeyedChannels,
            &format!("messages that crossed shards of the {side}, beside calls"),
            (grouped(crossed), grouped(calls)),
            crossed / calls,
            // Starting a load takes a message or two for each shard.
            Wanted::AtMost(0.001),
        )
    })
    .into())
}

/// A counter in the last line of a node.
fn counter(line: &str, name: &str) -> u64 {
    let mut words = line.split_ascii_whitespace();
    let found = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    found.and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_read_from_the_last_line_of_a_node() {
        let line = "[:00000000] Counters: connections_accepted=4 messages_crossed=17 replies_late=1";
        assert_eq!(counter(line, "messages_crossed"), 17);
        assert_eq!(counter(line, "crossed"), 0);
    }
}
