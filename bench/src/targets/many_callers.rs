//! The rate and the memory of 10,000 callers, beside those of 256.

use super::context::Context;
use super::pair_load::{IN_FLIGHT, MEBIBYTE, calls, checked, plan};
use super::result::{TargetResult, Wanted};
use super::target::Target;
use crate::format::grouped;
use crate::load::{LoadModel, LoadResult};
use crate::median::median;
use crate::memory::resident_bytes;
use crate::pair::{Calls, Pair, PairError, PairPlan};

/// Callers.
const IN_FLIGHT_MANY: usize = 10_000;

/// How much more memory they may need.
const MEMORY_MANY_BYTES_MAX: f64 = (64u64 << 20) as f64;

/// Starts a pair for one load, and returns its result and the most memory of both sides, in bytes.
fn measure_alone(
    context: &Context<'_>,
    plan: &PairPlan,
    calls: Calls,
) -> Result<(LoadResult, f64), PairError> {
    let mut pair = Pair::start(plan, context.node, context.interrupt)?;
    let server = pair.server_process().unwrap_or_default();
    let mut memory = 0;
    let load = pair.measure(calls, |_| {
        let both = [std::process::id(), server].map(|process| resident_bytes(process).unwrap_or(0));
        memory = both.iter().sum::<u64>().max(memory);
    })?;
    pair.end()?;
    checked(load).map(|load| (load, memory as f64))
}

pub(super) fn measure(
    context: &Context<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<TargetResult>, PairError> {
    let (mut many_rates, mut few_rates, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=context.runs {
        progress(&format!("run {run}, {IN_FLIGHT} callers"));
        let few = measure_alone(
            context,
            &plan("echo"),
            calls(context, LoadModel::Closed, IN_FLIGHT)?,
        )?;
        progress(&format!("run {run}, {IN_FLIGHT_MANY} callers"));
        let many = measure_alone(
            context,
            &plan("echo"),
            calls(context, LoadModel::Closed, IN_FLIGHT_MANY)?,
        )?;
        many_rates.push(many.0.calls_per_second);
        few_rates.push(few.0.calls_per_second);
        memory.push((many.1, few.1));
    }
    let (many, few) = (median(many_rates), median(few_rates));
    // In later runs this process has retained memory of earlier ones, so the greatest difference counts.
    let grown = |(many, few): &(f64, f64)| many - few;
    let most = memory
        .iter()
        .max_by(|one, other| grown(one).total_cmp(&grown(other)));
    let (memory_many, memory_few) = most.copied().unwrap_or_default();
    let shown = |bytes: f64| format!("{:.1} MiB", bytes / MEBIBYTE);
    Ok(vec![
        TargetResult::new(
            Target::ManyCallers,
            "rate of 10,000 callers, beside 256",
            (
                format!("{} calls/s", grouped(many)),
                format!("{} calls/s", grouped(few)),
            ),
            many / few,
            Wanted::AtLeast(0.9),
        ),
        TargetResult::new(
            Target::ManyCallers,
            "their additional memory, both sides, beside 64 MiB",
            (shown(memory_many - memory_few), shown(MEMORY_MANY_BYTES_MAX)),
            (memory_many - memory_few) / MEMORY_MANY_BYTES_MAX,
            Wanted::AtMost(1.0),
        ),
    ])
}
