//! Notices an execution that does not end.
//!
//! It watches from a thread of its own, because the one that runs the entry cannot. Time is the processor time of
//! the process, nearly all of which is the execution's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::ENDLESS;
use super::clock::process_time;
use crate::entries::Entry;

/// How often the watchdog checks, by the clock on the wall.
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Running {
    /// None between two executions.
    entry: Option<Entry>,
    input: Vec<u8>,
    /// Counts the executions.
    number: u64,
}

/// See the module's page.
#[derive(Clone, Default)]
pub struct Watchdog {
    running: Arc<Mutex<Running>>,
}

impl Watchdog {
    /// One that nobody reads, for executions that end.
    pub fn none() -> Self {
        Self::default()
    }

    /// Calls `report` with an entry and an input that has not ended in time, and ends the process with code 1.
    pub fn start(report: impl Fn(&Entry, &[u8]) + Send + 'static) -> Self {
        let watchdog = Self::none();
        let mut watch = Watch::new(watchdog.clone());
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(INTERVAL);
                if let Some((entry, input)) = watch.endless(process_time()) {
                    report(&entry, &input);
                    std::process::exit(1);
                }
            }
        });
        watchdog
    }

    /// Runs `execution` of an input while it is watched.
    pub fn watch<T>(&self, entry: &Entry, input: &[u8], execution: impl FnOnce() -> T) -> T {
        let lock = || self.running.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut running = lock();
            running.input.clear();
            running.input.extend_from_slice(input);
            running.number += 1;
            running.entry = Some(*entry);
        }
        let outcome = execution();
        lock().entry = None;
        outcome
    }
}

/// What the watching thread has seen.
pub struct Watch {
    watchdog: Watchdog,
    /// The execution that it saw last, and when it saw that first.
    latest: (u64, Duration),
}

impl Watch {
    /// One that has seen nothing.
    pub fn new(watchdog: Watchdog) -> Self {
        Self {
            watchdog,
            latest: (0, Duration::ZERO),
        }
    }

    /// The entry and the input whose execution has gone on for too long at `now`.
    pub fn endless(&mut self, now: Duration) -> Option<(Entry, Vec<u8>)> {
        let running = self.watchdog.running.lock();
        let running = running.unwrap_or_else(PoisonError::into_inner);
        if running.entry.is_none() || running.number != self.latest.0 {
            self.latest = (running.number, now);
        }
        let is_endless = now.saturating_sub(self.latest.1) >= ENDLESS;
        running
            .entry
            .filter(|_| is_endless)
            .map(|entry| (entry, running.input.clone()))
    }
}
