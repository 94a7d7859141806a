//! A simulator of links: a few nodes in virtual time call each other through a network that cuts connections,
//! stalls and loses bytes, while processes pause, end and restart. One seed is one run, always the same.
//!
//! The simulator drives the links as the engine does with sockets and timers. It checks the promises of
//! [`skyring_codec::link`] with a ledger of both sides (see `ledger`).
//!
//! The tests of this folder run many seeds. `cargo run --release -p skyring-codec --example simulate` runs any
//! number of them, or one with its trace.

mod acceptor;
mod ledger;

mod clock;
mod connecting;
mod counts;
mod coverage;
mod dialler;
mod disturbances;
mod frames;
mod impostor;
mod messages;
mod network;
mod node;
mod operations;
mod random;
mod services;
mod sessions;
mod settings;
mod trace;
mod transfer;
mod world;

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use self::counts::Counts;
pub(crate) use self::trace::Trace;
use self::world::World;

/// Lines of a trace that a failure shows.
const LINES_SHOWN_MAX: usize = 60;

/// A run that broke a promise.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) violation: String,
    trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure {
            seed,
            violation,
            trace,
        } = self;
        let skipped = trace.len().saturating_sub(LINES_SHOWN_MAX);
        writeln!(formatter, "seed {seed}: {violation}")?;
        writeln!(formatter, "the trace, without its first {skipped} lines:")?;
        for line in &trace[skipped..] {
            writeln!(formatter, "{line}")?;
        }
        write!(
            formatter,
            "again: cargo run --release -p skyring-codec --example simulate -- --seed {seed} --trace"
        )
    }
}

/// Runs one seed. Returns the counts of its incidents, or the promise that was broken.
pub(crate) fn run(seed: u64, trace: &Trace) -> Result<Counts, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, trace.clone());
        world.run();
        match world.ledger.violation() {
            None => Ok(world.ledger.counts),
            Some(violation) => Err(violation.to_owned()),
        }
    }));
    outcome.unwrap_or_else(|panic| Err(format!("panic: {}", panic_text(&*panic))))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "with a value that is no text".to_owned())
}

/// Runs one seed, and repeats it with a trace when it fails.
pub(crate) fn check(seed: u64) -> Result<Counts, Failure> {
    run(seed, &Trace::none()).map_err(|violation| {
        let trace = Trace::kept();
        let _ = run(seed, &trace);
        let trace = trace.lines();
        Failure {
            seed,
            violation,
            trace,
        }
    })
}

/// Runs all seeds of a range on all processors, up to the first failure. Each thread calls `prepare` first.
pub(crate) fn check_all(seeds: Range<u64>, prepare: impl Fn() + Sync) -> Result<Counts, Failure> {
    let next = AtomicU64::new(seeds.start);
    let outcome = Mutex::new(Ok(Counts::default()));
    let work = || {
        prepare();
        let mut counts = Counts::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            match check(seed) {
                Ok(more) => counts.add(&more),
                Err(failure) => {
                    next.store(seeds.end, Ordering::Relaxed);
                    if let Ok(mut outcome) = outcome.lock() {
                        *outcome = Err(failure);
                    }
                    return;
                }
            }
        }
        if let Ok(mut outcome) = outcome.lock()
            && let Ok(sum) = &mut *outcome
        {
            sum.add(&counts);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    outcome
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
