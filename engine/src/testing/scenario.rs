//! Scenarios: a simulation that is run with many seeds.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::failure::{Failure, shorten};
use super::fault::{self, FaultKind, Faults};
use super::run::{Kept, Run, run};
use crate::error::Error;

/// How long operations and faults come, unless [`Scenario::time`] says otherwise.
const TIME: Duration = Duration::from_secs(1);

/// How long the nodes have to recover, unless [`Scenario::settle_time`] says otherwise: longer than a link waits for an answer
/// to its hello, which it does when a machine goes at that moment.
const SETTLE_TIME: Duration = Duration::from_secs(15);

/// Seeds, unless [`Scenario::seeds`] says otherwise.
const SEEDS: Range<u64> = 0..200;

/// The environment variable with the one seed that [`Scenario::check`] runs.
const SEED_VARIABLE: &str = "SKYRING_TEST_SEED";

/// The environment variable with the number of seeds that [`Scenario::check`] runs.
const SEEDS_VARIABLE: &str = "SKYRING_TEST_SEEDS";

type SetUp = Box<dyn Fn(&mut Run) -> Result<(), Error>>;

/// Services, what is done with them and what must hold, whatever goes wrong: run with many seeds.
pub struct Scenario {
    pub(super) name: String,
    pub(super) set_up: SetUp,
    pub(super) faults: Faults,
    pub(super) time: Duration,
    pub(super) settle_time: Duration,
    seeds: Range<u64>,
}

/// What [`Scenario::explore`] has run without a failure.
#[derive(Debug, Clone, Default)]
pub struct Explored {
    /// How many seeds.
    pub seeds: u64,
    /// Steps of all of them: turns of shards, and passages of time.
    pub steps: u64,
    /// How often each kind of fault was planned.
    pub faults: BTreeMap<FaultKind, u64>,
    /// The real time that it took.
    pub time: Duration,
    /// The real time of the slowest seed.
    pub slowest: Duration,
}

impl fmt::Display for Explored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.time / u32::try_from(self.seeds.max(1)).unwrap_or(u32::MAX);
        let faults: u64 = self.faults.values().sum();
        write!(
            formatter,
            "{} seeds, {faults} faults, {} steps: {:.1} s, {:.1} ms a seed, {:.1} ms the slowest",
            self.seeds,
            self.steps,
            self.time.as_secs_f64(),
            each.as_secs_f64() * 1e3,
            self.slowest.as_secs_f64() * 1e3,
        )
    }
}

impl Scenario {
    /// A scenario with every kind of fault. `set_up` runs for each seed: it makes the nodes and all that they share with
    /// the test anew, and says what is done and what must hold.
    pub fn new(name: &str, set_up: impl Fn(&mut Run) -> Result<(), Error> + 'static) -> Scenario {
        Scenario {
            name: name.to_owned(),
            set_up: Box::new(set_up),
            faults: Faults::all(),
            time: TIME,
            settle_time: SETTLE_TIME,
            seeds: SEEDS,
        }
    }

    /// Which faults it has.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Scenario {
        self.faults = faults;
        self
    }

    /// How long operations begin and faults come, in virtual time.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Scenario {
        self.time = time;
        self
    }

    /// How long the nodes have to recover before the final checks, in virtual time.
    #[must_use]
    pub fn settle_time(mut self, time: Duration) -> Scenario {
        self.settle_time = time;
        self
    }

    /// The seeds that are run.
    #[must_use]
    pub fn seeds(mut self, seeds: Range<u64>) -> Scenario {
        self.seeds = seeds;
        self
    }

    /// Runs one seed. A failure is shortened: it has only the faults and operations that it needs.
    ///
    /// # Errors
    /// What does not hold.
    pub fn run(&self, seed: u64) -> Result<Explored, Box<Failure>> {
        let mut explored = Explored::default();
        self.explore_one(seed, &mut explored)?;
        Ok(explored)
    }

    /// Runs the seeds, up to the first that fails.
    ///
    /// # Errors
    /// What does not hold, shortened.
    pub fn explore(&self) -> Result<Explored, Box<Failure>> {
        self.explore_seeds(self.seeds.clone())
    }

    fn explore_seeds(&self, seeds: Range<u64>) -> Result<Explored, Box<Failure>> {
        let mut explored = Explored::default();
        for seed in seeds {
            self.explore_one(seed, &mut explored)?;
        }
        Ok(explored)
    }

    fn explore_one(&self, seed: u64, explored: &mut Explored) -> Result<(), Box<Failure>> {
        let began = Instant::now();
        let outcome = run(self, seed, &Kept::default(), false);
        let took = began.elapsed();
        explored.seeds += 1;
        explored.steps += outcome.steps;
        explored.time += took;
        explored.slowest = explored.slowest.max(took);
        fault::count(&outcome.faults, &mut explored.faults);
        match outcome.violation {
            None => Ok(()),
            Some(_) => Err(Box::new(shorten(self, seed, &outcome))),
        }
    }

    /// Runs the seeds as a test, and prints how many. With the environment variable `SKYRING_TEST_SEED` it runs that one
    /// only, and prints the whole trace of a failure; with `SKYRING_TEST_SEEDS` it runs so many.
    ///
    /// # Panics
    /// With the report of the first failure, or when a variable is no number.
    pub fn check(&self) {
        let seeds = match (number(SEED_VARIABLE), number(SEEDS_VARIABLE)) {
            (Some(seed), _) => {
                match self.run(seed) {
                    Ok(_) => println!("{}: seed {seed} holds", self.name),
                    Err(failure) => {
                        failure.trace().iter().for_each(|entry| println!("{entry}"));
                        panic!("{failure}");
                    }
                }
                return;
            }
            (None, Some(count)) => self.seeds.start..self.seeds.start.saturating_add(count),
            (None, None) => self.seeds.clone(),
        };
        match self.explore_seeds(seeds) {
            Ok(explored) => println!("{}: {explored}", self.name),
            Err(failure) => panic!("{failure}"),
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    match text.replace('_', "").parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{variable} should be a number, and is {text}"),
    }
}
