//! The latency of an open loop at half of the maximum rate: its p99 beside its p50.

use super::context::Context;
use super::pair_load::{IN_FLIGHT, calls, checked, plan};
use super::result::{TargetResult, Wanted};
use super::target::Target;
use crate::format::{duration, grouped};
use crate::load::LoadModel;
use crate::median::median;
use crate::pair::{Pair, PairError};

/// Calls that the open loop may have in flight.
const IN_FLIGHT_OPEN: usize = 1_024;

pub(super) fn measure(
    context: &Context<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<TargetResult>, PairError> {
    let (mut p99, mut p50, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=context.runs {
        progress(&format!("run {run}, as fast as answers come"));
        let mut pair = Pair::start(&plan("echo"), context.node, context.interrupt)?;
        let most = checked(pair.measure(calls(context, LoadModel::Closed, IN_FLIGHT)?, |_| {})?)?;
        let rate = most.calls_per_second / 2.0;
        progress(&format!("run {run}, {} calls/s", grouped(rate)));
        let half = checked(pair.measure(calls(context, LoadModel::Open(rate), IN_FLIGHT_OPEN)?, |_| {})?)?;
        pair.end()?;
        p99.push(half.latency_us.p99);
        p50.push(half.latency_us.p50);
        rates.push(rate);
    }
    let (p99, p50) = (median(p99), median(p50));
    Ok(vec![TargetResult::new(
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
