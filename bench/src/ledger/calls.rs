//! The calls of one caller: when they are due, their numbers, and their reports.
//!
//! Invariant: a caller's numbers count up from 1 in the order of its calls.

use std::sync::atomic::Ordering;

use quanta::Instant;
use skyring::placement::hash_number;
use skyring::{Error, Payload};

use super::caller_settings::CallerSettings;
use super::reports::{CallReport, Outcome};

/// When the calls of one caller are due.
pub(super) struct Schedule {
    begun: Instant,
    rate: f64,
    /// Calls that were made or skipped.
    pub(super) passed: u64,
}

impl Schedule {
    pub(super) fn new(rate: f64) -> Schedule {
        Schedule {
            begun: Instant::now(),
            rate,
            passed: 0,
        }
    }

    /// Calls that are due now.
    pub(super) fn due(&self) -> u64 {
        let all = self.begun.elapsed().as_secs_f64() * self.rate;
        (all as u64).saturating_sub(self.passed)
    }
}

/// The numbers of one caller.
pub(super) struct Numbers {
    caller: u32,
    last: u64,
    pub(super) settings: CallerSettings,
}

impl Numbers {
    pub(super) fn new(caller: u32, settings: CallerSettings) -> Numbers {
        Numbers {
            caller,
            last: 0,
            settings,
        }
    }

    /// The next call's number and payload.
    pub(super) fn next(&mut self) -> (u64, Result<Payload, Error>) {
        self.last += 1;
        if let Some(issued) = self.settings.reports.issued.get(self.caller as usize) {
            issued.store(self.last, Ordering::Release);
        }
        // Most are small, and some have any length up to the maximum, so that copies, chains and parts alternate.
        let random = hash_number((u64::from(self.caller) << 40) ^ self.last);
        let size = match random % 8 {
            0 => (random >> 8) as usize % (self.settings.size_max + 1),
            _ => (random >> 8) as usize % (self.settings.size_max.min(64) + 1),
        };
        (
            self.last,
            Payload::pack(&(self.caller, self.last, "x".repeat(size))),
        )
    }

    /// The report of a call.
    pub(super) fn report(&self, number: u64, result: &Result<Payload, Error>, begun: Instant) -> CallReport {
        let (outcome, code, is_mixed_up) = match result {
            Ok(payload) => (Outcome::Answered, None, payload.unpack::<u64>() != Ok(number)),
            Err(error) if error.may_have_run() => (Outcome::MayHaveRun, Some(error.code()), false),
            Err(error) => (Outcome::NotRun, Some(error.code()), false),
        };
        CallReport {
            caller: self.caller,
            number,
            outcome,
            code,
            is_mixed_up,
            begun,
            latency: begun.elapsed(),
        }
    }
}
