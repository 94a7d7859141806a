//! The reports of the callers: the outcome of each call.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quanta::Instant;

/// The outcome of a call, as its caller saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was answered.
    Answered,
    /// It failed, and the error says that it has not run.
    NotRun,
    /// It failed, and the error says that it may have run.
    MayHaveRun,
}

/// The report of one call.
pub(super) struct CallReport {
    pub(super) caller: u32,
    pub(super) number: u64,
    pub(super) outcome: Outcome,
    /// The code of the error, if it was one.
    pub(super) code: Option<&'static str>,
    /// It got the reply to another call.
    pub(super) is_mixed_up: bool,
    pub(super) begun: Instant,
    pub(super) latency: Duration,
}

/// The reports of all callers, and their progress.
pub(super) struct Reports {
    new: Mutex<Vec<CallReport>>,
    /// Set when the callers are to make no more calls.
    pub(super) over: AtomicBool,
    /// Callers that have a call in flight or may make one.
    pub(super) working: AtomicUsize,
    /// The number of each caller's last call.
    pub(super) issued: Box<[AtomicU64]>,
    /// Calls that were due and not made, because too many were in flight.
    pub(super) held_back: AtomicU64,
}

impl Reports {
    pub(super) fn new(callers: usize) -> Reports {
        Reports {
            new: Mutex::default(),
            over: AtomicBool::new(false),
            working: AtomicUsize::new(callers),
            issued: (0..callers).map(|_| AtomicU64::new(0)).collect(),
            held_back: AtomicU64::new(0),
        }
    }

    /// The reports since the last time.
    pub(super) fn take(&self) -> Vec<CallReport> {
        std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Moves reports to the others.
    pub(super) fn add(&self, reports: &mut Vec<CallReport>) {
        if !reports.is_empty() {
            self.new
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .append(reports);
        }
    }
}
