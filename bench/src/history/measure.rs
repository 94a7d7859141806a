//! Measures a record.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::HistoryError;
use super::git::RevisionFacts;
use super::program;
use super::record::{FORMAT, Record, RecordUnrest, RecordedFigure};
use super::suite::{CASES, Case, Figure, MEASURED, SIZE, SUITE, Sample, WARM_UP};
use crate::cpu::allowed_cpus;
use crate::floors::{Launcher, Peer, PeerError, Settings};
use crate::interrupt::Interrupt;
use crate::latency::Latency;
use crate::machine::Machine;
use crate::median::median;
use crate::statistics::Coin;
use crate::supervisor::Supervisor;
use crate::unrest::{Gaps, Unrest, Watch, measure_gaps};

/// How long the loops that read the clock run before a record, and after it; and on how many processors.
const UNREST_TIME: Duration = Duration::from_millis(250);
const UNREST_PROCESSORS: usize = 2;

/// A record that is to be measured.
#[derive(Debug, Clone)]
pub struct RecordPlan {
    /// The program: a `skyring`.
    pub program: PathBuf,
    /// The revision that it was built of.
    pub revision: RevisionFacts,
    /// Whether that tree had changes which are not committed.
    pub is_dirty: bool,
    /// How often each case is measured.
    pub rounds: u32,
    /// Starts the servers of the floors: this program.
    pub floors: Launcher,
    /// Starts nodes with services in Lua: the program that is recorded.
    pub lua: Launcher,
}

/// The values of a figure so far: of each round the value, what was measured, and the floor's.
#[derive(Default)]
struct Values {
    values: Vec<f64>,
    measured: Vec<f64>,
    floors: Vec<f64>,
}

/// Measures all cases in each round, in another order each time; `progress` is called with the round, counted from 1, and the
/// case.
///
/// # Errors
/// [`HistoryError`]; then no process is left.
pub fn record(
    plan: &RecordPlan,
    interrupt: &Interrupt,
    mut progress: impl FnMut(u32, &str),
) -> Result<Record, HistoryError> {
    let mut supervisor = Supervisor::new(interrupt.clone(), |_| {});
    let cpus: Vec<usize> = allowed_cpus()?.into_iter().take(UNREST_PROCESSORS).collect();
    let before = measure_gaps(&cpus, UNREST_TIME)?;
    let watch = Watch::start(Vec::new());
    let recorded_unix = unix_now();
    let mut coin = Coin::new(recorded_unix);
    let mut all: BTreeMap<String, Values> = BTreeMap::new();
    let (mut missing, mut others) = (Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        for case in in_random_order(&mut coin) {
            progress(round, case.title);
            // The program begins to measure at once, and measures floors of its own at its end.
            let floor = Sample::from(&Peer::Uring.measure(&settings(&case), &plan.floors, interrupt)?);
            let sample = if case.is_lua {
                match Peer::SkyringLua.measure(&settings(&case), &plan.lua, interrupt) {
                    Ok(result) => Sample::from(&result),
                    Err(PeerError::Interrupted) => return Err(HistoryError::Interrupted),
                    Err(error) => {
                        note(&mut missing, format!("{}: {error}", case.name));
                        continue;
                    }
                }
            } else {
                let measured = program::measure(&mut supervisor, &plan.program, &case)?;
                let costs = &measured.costs;
                for reason in &costs.missing {
                    note(&mut missing, reason.clone());
                }
                if costs.calls == 0 && costs.missing.is_empty() {
                    note(
                        &mut missing,
                        "costs of a call: the program does not count them".to_owned(),
                    );
                }
                others.extend(measured.unrest.as_ref().and_then(|unrest| unrest.other_percent));
                Sample::from(&measured)
            };
            for figure in Figure::all().filter(|figure| figure.case == case) {
                add(all.entry(figure.key()).or_default(), &figure, &sample, &floor);
            }
        }
    }
    let watched = watch.end();
    let after = measure_gaps(&cpus, UNREST_TIME)?;
    let unrest = unrest((before, after), watched, &others);
    let figures = all.into_iter().filter_map(|(key, values)| {
        let figure = RecordedFigure::new(&values.values, &values.measured, &values.floors)?;
        Some((key, figure))
    });
    Ok(Record {
        skyring_history: FORMAT,
        suite: SUITE,
        revision: plan.revision.commit.clone(),
        revision_unix: plan.revision.unix,
        revision_date: plan.revision.date.clone(),
        title: plain(&plan.revision.title),
        is_dirty: plan.is_dirty,
        recorded_unix,
        machine: Machine::this(),
        rounds: plan.rounds,
        unrest,
        figures: figures.collect(),
        missing: missing.iter().map(|reason| plain(reason)).collect(),
    })
}

fn settings(case: &Case) -> Settings {
    Settings {
        in_flight: case.in_flight,
        size: SIZE,
        duration: MEASURED,
        warm_up: WARM_UP,
        spin: Duration::from_micros(u64::from(case.spin_us)),
        server_cpu: 0,
        client_cpu: 1,
        skynet: None,
    }
}

/// Adds what a round says of a figure.
fn add(values: &mut Values, figure: &Figure, sample: &Sample, floor: &Sample) {
    let Some(measured) = figure.quantity.of(sample) else {
        return;
    };
    if !figure.quantity.is_ratio() {
        values.values.push(measured);
        values.measured.push(measured);
        return;
    }
    if let Some(floor) = figure.quantity.of(floor) {
        values.values.push(measured / floor);
        values.measured.push(measured);
        values.floors.push(floor);
    }
}

fn in_random_order(coin: &mut Coin) -> Vec<Case> {
    let mut cases = CASES.to_vec();
    for last in (1..cases.len()).rev() {
        cases.swap(last, (coin.fraction() * (last + 1) as f64) as usize);
    }
    cases
}

fn note(missing: &mut Vec<String>, reason: String) {
    if !missing.contains(&reason) {
        missing.push(reason);
    }
}

/// A text without control characters, of a bounded length.
fn plain(text: &str) -> String {
    let characters = text.chars().take(500);
    characters
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}

fn unrest(gaps: (Gaps, Gaps), watched: crate::unrest::Watched, others: &[f64]) -> RecordUnrest {
    let unrest = Unrest::new(gaps, watched, None, &Latency::default()).rounded();
    RecordUnrest {
        away_percent: unrest.away_percent,
        away_us_max: unrest.away_us_max,
        steal_percent: unrest.steal_percent,
        other_percent: (!others.is_empty()).then(|| (median(others.to_vec()) * 1e3).round() / 1e3),
    }
}

fn unix_now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.map_or(0, |since| since.as_secs())
}
