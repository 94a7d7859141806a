//! Runs a comparison.

use std::time::Instant;

use super::error::AbError;
use super::machine_watch::MachineWatch;
use super::plan::AbPlan;
use super::result::{AbResult, Progress};
use super::side::{RunningSide, measure_by_start};
use crate::interrupt::Interrupt;
use crate::measurement::Measurement;
use crate::statistics::Coin;
use crate::supervisor::Supervisor;
use crate::verdict::PairedComparison;

/// Pairs between two starts of both sides.
const PAIRS_PER_START: usize = 5;

/// Measures pairs until the answer is clear or the time is over; `observe` is called after each pair.
///
/// # Errors
/// [`AbError`]; then no process is left.
pub fn run_ab(
    plan: &AbPlan,
    interrupt: &Interrupt,
    mut observe: impl FnMut(&PairedComparison, usize),
) -> Result<AbResult, AbError> {
    let mut supervisor = Supervisor::new(interrupt.clone(), |_| {});
    let mut comparison = PairedComparison::new(plan.main, plan.margin_percent);
    let mut coin = Coin::new(plan.seed);
    let mut machine = MachineWatch::default();
    let started = Instant::now();
    let mut progress = Progress {
        has_windows: true,
        ..Progress::default()
    };
    let is_over = |comparison: &PairedComparison| started.elapsed() >= plan.time_max || comparison.is_clear();
    // At least one pair, however little time there is.
    loop {
        let mut sides = if progress.has_windows {
            start_both(plan, &mut supervisor)?
        } else {
            None
        };
        progress.has_windows = sides.is_some();
        progress.starts += 1;
        let watch = MachineWatch::begin(sides.as_ref());
        for _ in 0..PAIRS_PER_START {
            let order = if coin.toss() { [0, 1] } else { [1, 0] };
            let mut measured: [Option<Measurement>; 2] = [None, None];
            for place in order {
                measured[place] = Some(match &mut sides {
                    Some(sides) => sides[place].window(&mut supervisor, plan.window)?,
                    None => measure_by_start(&mut supervisor, &plan.sides[place], plan.window)?,
                });
            }
            if let [Some(first), Some(second)] = &measured {
                // One side alone may have had no processor for a window. Both together are out of order.
                if first.calls == 0 && second.calls == 0 {
                    return Err(AbError::NoCalls);
                }
                comparison.add(first, second);
                machine.note(second);
            }
            progress.pairs += 1;
            observe(&comparison, progress.pairs);
            if is_over(&comparison) {
                break;
            }
        }
        machine.add(watch.end());
        drop(sides);
        machine.read_clock();
        if is_over(&comparison) {
            break;
        }
    }
    progress.seconds = started.elapsed().as_secs_f64();
    Ok(AbResult::new(plan, &comparison, progress, &machine))
}

/// Starts both sides; `None` when one of the programs has no windows.
pub(super) fn start_both(
    plan: &AbPlan,
    supervisor: &mut Supervisor,
) -> Result<Option<[RunningSide; 2]>, AbError> {
    let [first, second] = &plan.sides;
    let Some(first) = RunningSide::start(supervisor, first)? else {
        return Ok(None);
    };
    let Some(second) = RunningSide::start(supervisor, second)? else {
        return Ok(None);
    };
    Ok(Some([first, second]))
}
