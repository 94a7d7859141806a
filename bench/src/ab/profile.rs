//! Where the processor time of both sides goes, after the verdict.
//!
//! Sampling takes about a hundredth of the processor time, and the samples are unwound by this process, on the same
//! processors. So windows that are profiled are none of those that the verdict rests on: they are measured after it, in pairs
//! of random order as well, and both sides are profiled alike. A side is idle while the other has its turn, and what is idle has
//! no samples; so one profile of a side spans all its windows of a start. Where threads wait is recorded in windows of its own.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::error::AbError;
use super::plan::AbPlan;
use super::run::start_both;
use super::side::SideProcesses;
use crate::interrupt::Interrupt;
use crate::profile::{Changes, Difference, Profile, Profiled, Profiling, Recorder};
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
    /// The functions that wait, by how much the time changed; `None` when that is not known.
    pub waiting: Option<Changes>,
    /// Why that is not known.
    pub waiting_missing: Option<String>,
}

/// What changed, and the graph of it.
#[derive(Debug)]
pub struct AbProfiled {
    /// For the result.
    pub profile: AbProfile,
    /// The graph of processor time, an SVG.
    pub graph: Vec<u8>,
    /// That of waiting, if it is known.
    pub waiting_graph: Option<Vec<u8>>,
}

/// Profiles of both sides so far.
type Profiles = [Option<Profile>; 2];

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
    let (mut profiles, mut waits): (Profiles, Profiles) = ([None, None], [None, None]);
    let mut missing = None;
    let mut measured = 0;
    while measured < pairs {
        let Some(mut sides) = start_both(plan, &mut supervisor)? else {
            return Err(AbError::NoWindows);
        };
        let record = |processes| Recorder::start(profiled(processes), Profiling::Processor, how.frequency);
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
            add(profile, recorder.stop()?, calls);
        }
        // A side that is idle waits, so each window has a profile of its own.
        for place in if coin.toss() { [0, 1] } else { [1, 0] } {
            if missing.is_some() {
                break;
            }
            let side = &mut sides[place];
            let recorder = Recorder::start(profiled(side.processes()), Profiling::Waiting, how.frequency);
            let calls = side.window_without_warm_up(&mut supervisor, WINDOW)?.calls;
            match recorder.and_then(Recorder::stop) {
                Ok(recorded) => add(&mut waits[place], recorded, calls),
                Err(error) => missing = Some(error.to_string()),
            }
        }
    }
    let [Some(first), Some(second)] = profiles else {
        return Err(AbError::NoCalls);
    };
    let difference = Difference::of(&first, &second);
    let waiting = match &waits {
        [Some(first), Some(second)] if missing.is_none() => Some(Difference::of(first, second)),
        _ => None,
    };
    let [before, after] = &plan.sides;
    let title = format!("A: {}, to B: {}", before.description, after.description);
    let waiting_graph = waiting
        .as_ref()
        .map(|waiting| waiting.to_svg(&title))
        .transpose()?;
    Ok(AbProfiled {
        graph: difference.to_svg(&title)?,
        waiting_graph,
        profile: AbProfile {
            seconds: pairs as f64 * WINDOW.as_secs_f64(),
            calls: [first.calls.unwrap_or(0), second.calls.unwrap_or(0)],
            samples: [first.samples(), second.samples()],
            processor: difference.changes(),
            waiting: waiting.map(|waiting| waiting.changes()),
            waiting_missing: missing,
        },
    })
}

/// Adds what was recorded while so many calls were answered.
fn add(profile: &mut Option<Profile>, mut recorded: Profile, calls: u64) {
    recorded.calls = Some(calls);
    *profile = Some(match profile.take() {
        Some(before) => before.and(recorded),
        None => recorded,
    });
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
        let mut text = format!(
            "the functions whose own processor time changed most, in {} s of each side ({first} and {second} samples):\n{}",
            self.seconds,
            self.processor.to_text()
        );
        // Writing to a String does not fail.
        if let Some(waiting) = &self.waiting {
            let _ = write!(
                text,
                "\nthe functions whose threads wait longer or shorter:\n{}",
                waiting.to_text()
            );
        }
        if let Some(missing) = &self.waiting_missing {
            let _ = writeln!(text, "\nwhere threads wait is not known: {missing}");
        }
        text
    }
}
