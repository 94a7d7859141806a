//! Where the processor time of both sides goes, after the verdict.
//!
//! Sampling takes about a hundredth of the processor time, and the samples are unwound by this process, on the same
//! processors. So windows that are profiled are none of those that the verdict rests on: they are measured after it, in pairs
//! of random order as well, and both sides are profiled alike. A side is idle while the other has its turn, and what is idle has
//! no samples; so one profile of a side spans all its windows of a start.

use std::time::Duration;

use serde::Serialize;

use super::error::AbError;
use super::plan::AbPlan;
use super::run::start_both;
use super::side::SideProcesses;
use crate::interrupt::Interrupt;
use crate::profile::{Changes, Difference, Profile, Profiled, Recorder};
use crate::statistics::Coin;
use crate::supervisor::Supervisor;

/// Measured time of a window that is profiled. It is longer than those of the verdict, since nothing is compared pair by
/// pair.
const WINDOW: Duration = Duration::from_millis(500);

/// Pairs between two starts of both sides.
const PAIRS_PER_START: usize = 5;

/// Distinguishes the order of these pairs from that of the verdict's.
const SEED_STEP: u64 = 1;

/// How both sides are profiled.
#[derive(Debug, Clone, Copy)]
pub struct AbProfilePlan {
    /// Measured time of both sides together.
    pub time: Duration,
    /// Samples a second of processor time.
    pub frequency: u32,
}

/// What changed between both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AbProfile {
    /// Measured time of each side, in seconds.
    pub seconds: f64,
    /// Calls of each side.
    pub calls: [u64; 2],
    /// Samples of each side.
    pub samples: [u64; 2],
    /// The functions whose processor time changed most.
    pub processor: Changes,
}

/// What changed, and the graph of it.
#[derive(Debug)]
pub struct AbProfiled {
    /// For the result.
    pub profile: AbProfile,
    /// The graph, an SVG.
    pub graph: Vec<u8>,
}

/// Profiles both sides in further windows; `observe` is called with the part of the time that is over.
///
/// # Errors
/// [`AbError`]; then no process is left.
pub fn profile_ab(
    plan: &AbPlan,
    how: AbProfilePlan,
    interrupt: &Interrupt,
    mut observe: impl FnMut(f64),
) -> Result<AbProfiled, AbError> {
    let pairs = (how.time.as_secs_f64() / (2.0 * WINDOW.as_secs_f64()))
        .round()
        .max(1.0) as usize;
    let mut supervisor = Supervisor::new(interrupt.clone(), |_| {});
    let mut coin = Coin::new(plan.seed.wrapping_add(SEED_STEP));
    let mut profiles: [Option<Profile>; 2] = [None, None];
    let mut measured = 0;
    while measured < pairs {
        let Some(mut sides) = start_both(plan, &mut supervisor)? else {
            return Err(AbError::NoWindows);
        };
        let record = |processes| Recorder::start(profiled(processes), how.frequency);
        let recorders = [record(sides[0].processes())?, record(sides[1].processes())?];
        let mut calls = [0, 0];
        for _ in 0..PAIRS_PER_START.min(pairs - measured) {
            for place in if coin.toss() { [0, 1] } else { [1, 0] } {
                calls[place] += sides[place]
                    .window_without_warm_up(&mut supervisor, WINDOW)?
                    .calls;
            }
            measured += 1;
            observe(measured as f64 / pairs as f64);
        }
        for ((recorder, calls), profile) in recorders.into_iter().zip(calls).zip(&mut profiles) {
            let mut recorded = recorder.stop()?;
            recorded.calls = Some(calls);
            *profile = Some(match profile.take() {
                Some(before) => before.and(recorded),
                None => recorded,
            });
        }
    }
    let [Some(first), Some(second)] = profiles else {
        return Err(AbError::NoCalls);
    };
    let difference = Difference::of(&first, &second);
    let [before, after] = &plan.sides;
    let title = format!("A: {}, to B: {}", before.description, after.description);
    Ok(AbProfiled {
        graph: difference.to_svg(&title)?,
        profile: AbProfile {
            seconds: pairs as f64 * WINDOW.as_secs_f64(),
            calls: [first.calls.unwrap_or(0), second.calls.unwrap_or(0)],
            samples: [first.samples(), second.samples()],
            processor: difference.changes(),
        },
    })
}

/// Both sides have the same names, so that their stacks are compared.
fn profiled(side: SideProcesses) -> Vec<Profiled> {
    let named = |process, name: &str| Profiled {
        process,
        name: name.to_owned(),
    };
    let servers = side.servers.into_iter().map(|process| named(process, "server"));
    servers.chain([named(side.client, "client")]).collect()
}

impl AbProfile {
    /// The functions that changed most, as text.
    pub(super) fn to_text(&self) -> String {
        let [first, second] = self.samples;
        format!(
            "the functions whose own processor time changed most, in {} s of each side ({first} and {second} samples):\n{}",
            self.seconds,
            self.processor.to_text()
        )
    }
}
