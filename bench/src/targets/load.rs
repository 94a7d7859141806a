//! Targets that compare one load with another, or with a stream of bytes.

use std::time::Duration;

use skyring::{DialectChoice, Payload};

use super::{Course, Finding, Target, Wanted, median, peer_error};
use crate::floors::{Peer, Settings};
use crate::load::{LoadResult, Pace};
use crate::memory::resident_bytes;
use crate::pair::{Calls, Pair, PairError, PairPlan};
use crate::report::{duration, grouped};

/// Size of the values, unless the target is about that.
const SIZE: usize = 64;

/// Calls in flight of a full house, and of the target that has many more.
const IN_FLIGHT: usize = 256;
const IN_FLIGHT_MANY: usize = 10_000;

/// Calls that an open loop may have under way.
const IN_FLIGHT_OPEN: usize = 1_024;

/// How much more memory those may need.
const MEMORY_MANY_BYTES_MAX: f64 = (64u64 << 20) as f64;

/// Large payloads, and how many of them are in flight.
const LARGE: usize = 1 << 20;
const IN_FLIGHT_LARGE: usize = 8;

/// Channels and shards of keyed calls.
const CHANNELS: u32 = 4;

pub(super) const MEBIBYTE: f64 = (1u64 << 20) as f64;

fn plan(kind: &'static str) -> PairPlan {
    PairPlan {
        threads: 1,
        channels: 1,
        spin_us: 0,
        dialect: DialectChoice::Auto,
        running: None,
        kind,
    }
}

fn calls(course: &Course<'_>, pace: Pace, in_flight: usize) -> Result<Calls, PairError> {
    Ok(Calls {
        pace,
        in_flight,
        keys: 0,
        payload: Payload::pack(&"x".repeat(SIZE))?,
        size: SIZE,
        warm_up: course.duration / 4,
        duration: course.duration,
    })
}

/// The load of a pair of its own, and the memory of both sides at its end, in bytes.
fn alone(course: &Course<'_>, plan: &PairPlan, calls: Calls) -> Result<(LoadResult, f64), PairError> {
    let mut pair = Pair::start(plan, course.node, course.interrupt)?;
    let server = pair.server_process().unwrap_or_default();
    let mut memory = 0;
    let load = pair.measure(calls, |_| {
        let both = [std::process::id(), server].map(|process| resident_bytes(process).unwrap_or(0));
        memory = both.iter().sum::<u64>().max(memory);
    })?;
    pair.end()?;
    checked(load).map(|load| (load, memory as f64))
}

/// A load whose calls failed says nothing.
fn checked(load: LoadResult) -> Result<LoadResult, PairError> {
    if load.calls > 0 && load.errors.is_empty() {
        return Ok(load);
    }
    let cause = format!(
        "{} calls were answered and these failed: {:?}",
        load.calls, load.errors
    );
    Err(PairError::System(std::io::Error::other(cause)))
}

pub(super) fn half_rate(
    course: &Course<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Finding>, PairError> {
    let (mut p99, mut p50, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=course.runs {
        progress(&format!("run {run}, as fast as answers come"));
        let mut pair = Pair::start(&plan("echo"), course.node, course.interrupt)?;
        let most = checked(pair.measure(calls(course, Pace::Closed, IN_FLIGHT)?, |_| {})?)?;
        let rate = most.calls_per_second / 2.0;
        progress(&format!("run {run}, {} calls/s", grouped(rate)));
        let half = checked(pair.measure(calls(course, Pace::Open(rate), IN_FLIGHT_OPEN)?, |_| {})?)?;
        pair.end()?;
        p99.push(half.latency_us.p99);
        p50.push(half.latency_us.p50);
        rates.push(rate);
    }
    let (p99, p50) = (median(p99), median(p50));
    Ok(vec![Finding::new(
        Target::HalfRate,
        &format!(
            "p99 of an open loop at {} calls/s, beside its p50",
            grouped(median(rates))
        ),
        (duration(p99), duration(p50)),
        p99 / p50,
        Wanted::AtMost(3.0),
    )])
}

pub(super) fn many_callers(
    course: &Course<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Finding>, PairError> {
    let (mut many_rates, mut few_rates, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=course.runs {
        progress(&format!("run {run}, {IN_FLIGHT} callers"));
        let few = alone(course, &plan("echo"), calls(course, Pace::Closed, IN_FLIGHT)?)?;
        progress(&format!("run {run}, {IN_FLIGHT_MANY} callers"));
        let many = alone(
            course,
            &plan("echo"),
            calls(course, Pace::Closed, IN_FLIGHT_MANY)?,
        )?;
        many_rates.push(many.0.calls_per_second);
        few_rates.push(few.0.calls_per_second);
        memory.push((many.1, few.1));
    }
    let (many, few) = (median(many_rates), median(few_rates));
    // Later runs find memory that this process has kept from earlier ones: the greatest difference counts.
    let grown = |(many, few): &(f64, f64)| many - few;
    let most = memory
        .iter()
        .max_by(|one, other| grown(one).total_cmp(&grown(other)));
    let (memory_many, memory_few) = most.copied().unwrap_or_default();
    let shown = |bytes: f64| format!("{:.1} MiB", bytes / MEBIBYTE);
    Ok(vec![
        Finding::new(
            Target::ManyCallers,
            "rate of 10,000 callers, beside 256",
            (
                format!("{} calls/s", grouped(many)),
                format!("{} calls/s", grouped(few)),
            ),
            many / few,
            Wanted::AtLeast(0.9),
        ),
        Finding::new(
            Target::ManyCallers,
            "their additional memory, both sides, beside 64 MiB",
            (shown(memory_many - memory_few), shown(MEMORY_MANY_BYTES_MAX)),
            (memory_many - memory_few) / MEMORY_MANY_BYTES_MAX,
            Wanted::AtMost(1.0),
        ),
    ])
}

pub(super) fn large_payloads(
    course: &Course<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Finding>, PairError> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 1..=course.runs {
        progress(&format!("run {run}, calls that are answered with a mebibyte"));
        let mut pair = Pair::start(&plan("simpledb"), course.node, course.interrupt)?;
        pair.call_once(&Payload::pack(&("SET", "large", "x".repeat(LARGE)))?)?;
        let get = Calls {
            payload: Payload::pack(&("GET", "large"))?,
            size: LARGE,
            ..calls(course, Pace::Closed, IN_FLIGHT_LARGE)?
        };
        let load = checked(pair.measure(get, |_| {})?)?;
        pair.end()?;
        ours.push(load.calls_per_second * LARGE as f64);
        progress(&format!("run {run}, blocking stream"));
        let settings = Settings {
            in_flight: 1,
            size: LARGE,
            duration: course.duration,
            warm_up: course.duration / 4,
            spin: Duration::ZERO,
            server_cpu: 0,
            client_cpu: 1,
            skynet: None,
        };
        let stream = Peer::BlockingStream
            .measure(&settings, course.launcher, course.interrupt)
            .map_err(peer_error)?;
        theirs.push(stream.calls_per_second * LARGE as f64);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let shown = |bytes: f64| format!("{:.0} MiB/s", bytes / MEBIBYTE);
    Ok(vec![Finding::new(
        Target::LargePayloads,
        "answers of 1 MiB, 8 in flight, beside a blocking stream",
        (shown(ours), shown(theirs)),
        ours / theirs,
        Wanted::AtLeast(0.7),
    )])
}

pub(super) fn keyed_channels(
    course: &Course<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Finding>, PairError> {
    progress("four channels, four shards");
    let plan = PairPlan {
        threads: CHANNELS as usize,
        channels: CHANNELS,
        ..plan("keyed echo")
    };
    let mut pair = Pair::start(&plan, course.node, course.interrupt)?;
    // What starting and meeting takes has crossed by then.
    let keyed = |course| -> Result<Calls, PairError> {
        Ok(Calls {
            keys: IN_FLIGHT,
            ..calls(course, Pace::Closed, IN_FLIGHT)?
        })
    };
    let mut before = None;
    let crossed = |pair: &Pair| pair.metrics().messages_crossed.get();
    let first = checked(pair.measure(keyed(course)?, |_| {})?)?;
    before.get_or_insert(crossed(&pair));
    let load = checked(pair.measure(keyed(course)?, |_| {})?)?;
    let client = crossed(&pair) - before.unwrap_or(0);
    let said = pair.end()?;
    let server: u64 = counter(&said, "messages_crossed");
    let calls = (first.calls + load.calls) as f64;
    Ok([
        ("client", client as f64, load.calls as f64),
        ("server", server as f64, calls),
    ]
    .map(|(side, crossed, calls)| {
        Finding::new(
            Target::KeyedChannels,
            &format!("messages that crossed shards of the {side}, beside calls"),
            (grouped(crossed), grouped(calls)),
            crossed / calls,
            // Starting a load, and meeting, is a message or two for each shard, and no call.
            Wanted::AtMost(0.001),
        )
    })
    .into())
}

/// A counter in the last line of a node.
fn counter(said: &str, name: &str) -> u64 {
    let mut words = said.split_ascii_whitespace();
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
