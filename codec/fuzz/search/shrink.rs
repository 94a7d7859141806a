//! Makes an input that fails smaller, so that a reader sees what matters.
//!
//! Invariant: what comes out fails for the same reason as what went in, and is not longer.

use std::time::Duration;

use super::attempt::{Failure, judge};
use super::clock::thread_time;
use super::units::Units;
use super::watchdog::Watchdog;
use crate::entries::Entry;

/// Executions after which an input is small enough.
const ATTEMPTS_MAX: usize = 50_000;

/// Time after which it is, for inputs that are slow.
const TIME_MAX: Duration = Duration::from_secs(300);

/// Gives the smallest input that was found, and how it fails.
pub fn shrink(entry: &Entry, input: &[u8], failure: Failure, watchdog: &Watchdog) -> (Vec<u8>, Failure) {
    let mut shrinker = Shrinker {
        entry,
        watchdog,
        best: input.to_vec(),
        failure,
        attempts: 0,
        until: thread_time() + TIME_MAX,
    };
    loop {
        let before = shrinker.best.clone();
        shrinker.remove_units();
        shrinker.remove_counted();
        shrinker.shorten_units();
        shrinker.remove_bytes();
        shrinker.lower_bytes();
        if shrinker.best == before || shrinker.is_over() {
            return (shrinker.best, shrinker.failure);
        }
    }
}

struct Shrinker<'a> {
    entry: &'a Entry,
    watchdog: &'a Watchdog,
    best: Vec<u8>,
    failure: Failure,
    attempts: usize,
    until: Duration,
}

impl Shrinker<'_> {
    fn is_over(&self) -> bool {
        self.attempts >= ATTEMPTS_MAX || thread_time() >= self.until
    }

    /// Takes an input for the best one, if it fails as that does; whether it does.
    fn accept(&mut self, input: Vec<u8>) -> bool {
        if input == self.best || self.is_over() {
            return false;
        }
        self.attempts += 1;
        let run = self.entry.run;
        match self.watchdog.watch(self.entry, &input, || judge(run, &input)) {
            Err(failure) if failure.is_like(&self.failure) => {
                (self.best, self.failure) = (input, failure);
                true
            }
            _ => false,
        }
    }

    /// Removes runs of units, long ones first.
    fn remove_units(&mut self) {
        let mut units = Units::split(self.entry.shape, &self.best);
        let mut count = units.units.len();
        while count > 0 {
            let mut at = 0;
            while at < units.units.len() {
                let mut fewer = units.clone();
                fewer.units.drain(at..(at + count).min(units.units.len()));
                if self.accept(fewer.join()) {
                    units = fewer;
                } else {
                    at += count;
                }
            }
            count /= 2;
        }
    }

    /// Removes values of tables, with the tables' counts kept right.
    fn remove_counted(&mut self) {
        let content = self.entry.shape.content;
        let mut units = Units::split(self.entry.shape, &self.best);
        let mut at = 0;
        while at + 1 < units.units.len() {
            let mut fewer = units.clone();
            let counting = content.counting(&units.units[at], false);
            let count = content.span(&units.units[at + 1..]);
            fewer.units.drain(at + 1..at + 1 + count);
            match counting {
                Some(table) => {
                    fewer.units[at] = table;
                    if self.accept(fewer.join()) {
                        units = fewer;
                    } else {
                        at += 1;
                    }
                }
                None => at += 1,
            }
        }
    }

    /// Shortens the content of units, with their lengths kept right.
    fn shorten_units(&mut self) {
        let mut units = Units::split(self.entry.shape, &self.best);
        for number in 0..units.units.len() {
            let mut count = units.units[number].len() / 2;
            while count > 0 {
                let mut at = 0;
                while at < units.units[number].len() {
                    let mut shorter = units.clone();
                    let unit = &mut shorter.units[number];
                    unit.drain(at..(at + count).min(unit.len()));
                    self.entry.shape.content.seal(unit);
                    let input = shorter.join();
                    if input.len() < self.best.len() && self.accept(input) {
                        units = shorter;
                    } else {
                        at += count;
                    }
                }
                count /= 2;
            }
        }
    }

    fn remove_bytes(&mut self) {
        let mut count = (self.best.len() / 2).min(16);
        while count > 0 {
            let mut at = 0;
            while at < self.best.len() && !self.is_over() {
                let mut shorter = self.best.clone();
                shorter.drain(at..(at + count).min(shorter.len()));
                if !self.accept(shorter) {
                    at += count;
                }
            }
            count /= 2;
        }
    }

    /// Makes bytes smaller, which makes types simpler and numbers shorter.
    fn lower_bytes(&mut self) {
        for at in 0..self.best.len() {
            let byte = self.best[at];
            for lower in [0, byte / 2, byte.saturating_sub(1)] {
                let mut input = self.best.clone();
                input[at] = lower;
                if lower < byte && self.accept(input) {
                    break;
                }
            }
        }
    }
}
