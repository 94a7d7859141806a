//! Runs one measurement: a load in a closed or open loop, or several in search of the highest rate.

use std::time::Duration;

use skyring::DialectChoice;
use skyring_bench::floors::{Launcher, Peer, PeerError};
use skyring_bench::{
    Calls, FloorError, Gaps, Interrupt, LoadModel, LoadResult, Measurement, Objective, Pair, PairError,
    Profile, ProfileError, Profiled, Profiling, Recorder, Search, Settings, Trial, Unrest, Watch,
    blocking_echo, duration, floors, grouped, highest_rate, measure_gaps,
};
use thiserror::Error as ThisError;

use super::plan::{Mode, Plan};
use super::progress::Progress;
use crate::shared::programs::{FLOOR_SERVER, SAMPLES_PER_SECOND};
use crate::shared::status_line::StatusLine;

/// Duration of the measurement of each floor, after a tenth of it as warm-up.
const FLOOR_TIME: Duration = Duration::from_secs(1);

/// Calls in flight, warm-up and duration of the closed loop with which a search begins.
const FIRST_IN_FLIGHT: usize = 256;
const FIRST_TIME: Duration = Duration::from_secs(1);

/// The highest rate that a search tries, in multiples of the rate of that closed loop.
const CEILING: f64 = 4.0;

/// An open loop keeps up when it answers at least this part of its rate.
pub(super) const KEPT_UP_RATIO_MIN: f64 = 0.99;

/// How long the calls are made in which it is recorded where threads wait.
const WAITS_TIME: Duration = Duration::from_secs(1);

/// How long the loops that read the clock run before a load, and after it; and on how many processors at most.
const UNREST_TIME: Duration = Duration::from_millis(250);
const UNREST_PROCESSORS_MAX: usize = 16;

/// Why a measurement failed.
#[derive(Debug, ThisError)]
pub(super) enum BenchError {
    #[error(transparent)]
    Pair(#[from] PairError),
    #[error("{0}")]
    System(#[from] std::io::Error),
    #[error(transparent)]
    Echo(#[from] FloorError),
    #[error("the floor {0}: {1}")]
    Floor(&'static str, PeerError),
    #[error("no rate that was tried has {0}; the lowest was {1} calls/s, with {2}")]
    NoRate(Objective, String, String),
    #[error(
        "this machine misses {0} by itself: a loop that only reads the clock has {1}, whatever the program does"
    )]
    IdleMisses(Objective, String),
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error("{0}")]
    Window(String),
    #[error("no call was answered")]
    NoAnswer,
}

/// The profiles of both sides.
pub(super) struct Profiles {
    pub(super) processor: Profile,
    /// Where threads wait, or why that is not known.
    pub(super) waiting: Result<Profile, ProfileError>,
}

/// Measures the pair, and then the floors alone, so that nothing else uses the processors.
pub(super) fn measure(
    plan: &Plan,
    interrupt: &Interrupt,
) -> Result<(Measurement, Option<Profiles>), BenchError> {
    let mut pair = Pair::start(&plan.pair, &plan.program()?, interrupt)?;
    pair.call_once(&plan.payload)?;
    let mut cpus = [pair.server_cpus(), pair.client_cpus()].concat();
    cpus.truncate(UNREST_PROCESSORS_MAX);
    let before = measure_gaps(&cpus, UNREST_TIME)?;
    if let Mode::FindMax(objective) = plan.mode {
        check_objective(objective, &before)?;
    }
    let server = pair.server_process();
    // A server that runs already is not known, and would count as another program.
    let own = server.map(|server| vec![server, std::process::id()]);
    let watch = Watch::start(own.unwrap_or_default());
    let mut profile = None;
    let (load, search) = match plan.mode {
        Mode::Closed => (
            measure_load(&mut pair, plan, LoadModel::Closed, &mut profile)?,
            None,
        ),
        Mode::Rate(rate) => (
            measure_load(&mut pair, plan, LoadModel::Open(rate), &mut profile)?,
            None,
        ),
        Mode::FindMax(objective) => {
            let (load, search) = find_max(&mut pair, plan, objective)?;
            (load, Some(search))
        }
    };
    let watched = watch.end();
    let after = measure_gaps(&cpus, UNREST_TIME)?;
    let closed = match load.model {
        LoadModel::Closed => Some((load.in_flight, load.calls_per_second)),
        LoadModel::Open(_) => None,
    };
    let unrest = Unrest::new((before, after), watched, closed, &load.latency_us);
    let costs = pair.count_costs(calls(plan, load.model))?;
    let profiles = match profile {
        Some(processor) => Some(Profiles {
            processor,
            waiting: record_waits(&mut pair, calls(plan, load.model))?,
        }),
        None => None,
    };
    let settings = settings(plan, &pair);
    pair.end()?;
    let mut measured = Measurement::new(load, plan.pair.channels, settings);
    measured.search = search;
    measured.costs = costs;
    measured.unrest = Some(unrest);
    if plan.pair.running.is_none() {
        add_floors(&mut measured, plan, interrupt)?;
    }
    Ok((measured, profiles))
}

/// Makes the same calls for a while after the measurement, and records where threads wait. The inner error is for the user.
fn record_waits(pair: &mut Pair, calls: Calls) -> Result<Result<Profile, ProfileError>, BenchError> {
    let recorder = match Recorder::start(profiled(pair), Profiling::Waiting, SAMPLES_PER_SECOND) {
        Ok(recorder) => recorder,
        Err(error) => return Ok(Err(error)),
    };
    let mut answered = 0;
    let calls = Calls {
        warm_up: Duration::ZERO,
        duration: WAITS_TIME,
        ..calls
    };
    pair.measure(calls, |running| answered = running.calls())?;
    Ok(recorder.stop().map(|mut profile| {
        profile.calls = Some(answered);
        profile
    }))
}

/// Refuses an objective that the machine misses by itself.
fn check_objective(objective: Objective, idle: &Gaps) -> Result<(), BenchError> {
    let latency_us = Unrest::idle_latency_us(idle, objective.percentile.quantile());
    if latency_us <= objective.limit_us {
        return Ok(());
    }
    Err(BenchError::IdleMisses(objective, duration(latency_us)))
}

/// The settings of a measurement, for its result.
pub(super) fn settings(plan: &Plan, pair: &Pair) -> Settings {
    Settings {
        warmup_seconds: plan.warm_up.as_secs_f64(),
        threads: plan.pair.threads,
        keys: plan.keys,
        spin_us: plan.pair.spin_us,
        runtime: plan.pair.runtime.to_string(),
        dialect: match plan.pair.dialect {
            DialectChoice::Auto => "auto",
            DialectChoice::Skynet => "skynet",
        }
        .to_owned(),
        called: pair.called(),
        target: pair
            .target()
            .map_or_else(String::new, |target| target.url().scheme.to_string()),
        server_cpus: pair.server_cpus().to_vec(),
        client_cpus: pair.client_cpus().to_vec(),
        ..Settings::default()
    }
}

pub(super) fn calls(plan: &Plan, model: LoadModel) -> Calls {
    Calls {
        model,
        in_flight: plan.in_flight,
        keys: plan.keys,
        payload: plan.payload.clone(),
        size: plan.size,
        warm_up: plan.warm_up,
        duration: plan.duration,
    }
}

/// Measures one load, and profiles it if the plan says so.
fn measure_load(
    pair: &mut Pair,
    plan: &Plan,
    model: LoadModel,
    profile: &mut Option<Profile>,
) -> Result<LoadResult, BenchError> {
    let mut progress = Progress::start(plan.warm_up, plan.duration);
    // Before the load: reading the symbols of the processes takes processor time, and the warm-up has it to spare.
    let recorder = plan
        .is_profiled
        .then(|| Recorder::start(profiled(pair), Profiling::Processor, SAMPLES_PER_SECOND))
        .transpose()?;
    let mut answered = 0;
    let load = pair.measure(calls(plan, model), |running| {
        answered = running.calls();
        progress.show(answered);
    })?;
    drop(progress);
    *profile = recorder.map(Recorder::stop).transpose()?;
    if let Some(profile) = profile {
        profile.calls = Some(answered);
    }
    Ok(load)
}

/// The client, and the server if this program started it.
fn profiled(pair: &mut Pair) -> Vec<Profiled> {
    let named = |process, name: &str| Profiled {
        process,
        name: name.to_owned(),
    };
    let server = pair.server_process().map(|process| named(process, "server"));
    let client = named(std::process::id(), "client");
    server.into_iter().chain([client]).collect()
}

/// Searches for the highest rate that meets the objective, and returns the measurement of that rate.
fn find_max(pair: &mut Pair, plan: &Plan, objective: Objective) -> Result<(LoadResult, Search), BenchError> {
    let first = pair.measure(
        Calls {
            model: LoadModel::Closed,
            in_flight: FIRST_IN_FLIGHT,
            keys: plan.keys,
            payload: plan.payload.clone(),
            size: plan.size,
            warm_up: FIRST_TIME,
            duration: FIRST_TIME,
        },
        |_| {},
    )?;
    let fastest = first.calls_per_second;
    if first.calls == 0 {
        return Err(BenchError::NoAnswer);
    }
    StatusLine::new().print_line(format_args!(
        "in a closed loop {FIRST_IN_FLIGHT} callers make {} calls/s; the search begins at half of that rate",
        grouped(fastest)
    ));
    let (mut trials, mut best) = (Vec::<Trial>::new(), None);
    let range = highest_rate(fastest / 2.0, fastest * CEILING, |rate| {
        let load = measure_load(pair, plan, LoadModel::Open(rate), &mut None)?;
        let latency_us = objective.percentile.of(&load.latency_us);
        let kept_up = load.calls_per_second >= rate * KEPT_UP_RATIO_MIN && load.unanswered == 0;
        let met = kept_up && load.errors_total() == 0 && latency_us <= objective.limit_us;
        StatusLine::new().print_line(format_args!(
            "{:>12} calls/s: {} {}{}",
            grouped(rate),
            objective.percentile,
            duration(latency_us),
            match (met, kept_up) {
                (true, _) => ", met",
                (false, true) => ", not met",
                (false, false) => ", not met: it did not keep up",
            }
        ));
        trials.push(Trial {
            rate,
            calls_per_second: load.calls_per_second,
            latency_us,
            met,
        });
        if met {
            best = Some(load);
        }
        Ok::<_, BenchError>(met)
    })?;
    match best {
        Some(load) => Ok((
            load,
            Search {
                objective,
                met: range.map(|range| range.met),
                missed: range.and_then(|range| range.missed),
                trials,
            },
        )),
        None => {
            let lowest = trials.iter().min_by(|a, b| a.rate.total_cmp(&b.rate));
            let (rate, latency) = lowest.map_or((0.0, 0.0), |trial| (trial.rate, trial.latency_us));
            Err(BenchError::NoRate(objective, grouped(rate), duration(latency)))
        }
    }
}

fn add_floors(measured: &mut Measurement, plan: &Plan, interrupt: &Interrupt) -> Result<(), BenchError> {
    let client_cpu = plan.pair.threads;
    measured.add_echo(blocking_echo(
        plan.size,
        FLOOR_TIME / 10,
        FLOOR_TIME,
        (0, client_cpu),
        interrupt,
    )?);
    // The bare loop is a closed one, over one connection.
    if plan.mode == Mode::Closed {
        let settings = floors::Settings {
            in_flight: plan.in_flight,
            size: plan.size,
            duration: FLOOR_TIME,
            warm_up: FLOOR_TIME / 10,
            spin: Duration::from_micros(u64::from(plan.pair.spin_us)),
            server_cpu: 0,
            client_cpu,
            skynet: None,
        };
        let launcher = Launcher::this_program(FLOOR_SERVER)?;
        let floor = Peer::Uring
            .measure(&settings, &launcher, interrupt)
            .map_err(|error| match error {
                PeerError::Interrupted => PairError::Interrupted.into(),
                error => BenchError::Floor(Peer::Uring.name(), error),
            })?;
        measured.add_floor("bare io_uring loop", floor);
    }
    Ok(())
}
