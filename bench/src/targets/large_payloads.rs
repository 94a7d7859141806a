//! The throughput of replies of a mebibyte, beside that of a blocking stream.

use std::time::Duration;

use skyring::Payload;

use super::context::Context;
use super::pair_load::{MEBIBYTE, calls, checked, plan};
use super::result::{TargetResult, Wanted};
use super::target::Target;
use crate::floors::{Peer, Settings};
use crate::load::LoadModel;
use crate::median::median;
use crate::pair::{Calls, Pair, PairError};

/// Large payloads, and how many of them are in flight.
const LARGE: usize = 1 << 20;
const IN_FLIGHT_LARGE: usize = 8;

pub(super) fn measure(
    context: &Context<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<TargetResult>, PairError> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 1..=context.runs {
        progress(&format!("run {run}, calls that are answered with a mebibyte"));
        let mut pair = Pair::start(&plan("simpledb"), context.node, context.interrupt)?;
        pair.call_once(&Payload::pack(&("SET", "large", "x".repeat(LARGE)))?)?;
        let get = Calls {
            payload: Payload::pack(&("GET", "large"))?,
            size: LARGE,
            ..calls(context, LoadModel::Closed, IN_FLIGHT_LARGE)?
        };
        let load = checked(pair.measure(get, |_| {})?)?;
        pair.end()?;
        ours.push(load.calls_per_second * LARGE as f64);
        progress(&format!("run {run}, blocking stream"));
        let settings = Settings {
            in_flight: 1,
            size: LARGE,
            duration: context.duration,
            warm_up: context.duration / 4,
            spin: Duration::ZERO,
            server_cpu: 0,
            client_cpu: 1,
            skynet: None,
        };
        let stream = Peer::BlockingStream.measure(&settings, context.launcher, context.interrupt)?;
        theirs.push(stream.calls_per_second * LARGE as f64);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let shown = |bytes: f64| format!("{:.0} MiB/s", bytes / MEBIBYTE);
    Ok(vec![TargetResult::new(
        Target::LargePayloads,
        "answers of 1 MiB, 8 in flight, beside a blocking stream",
        (shown(ours), shown(theirs)),
        ours / theirs,
        Wanted::AtLeast(0.7),
    )])
}
