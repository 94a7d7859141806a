//! The executions of one entry from one seed.

use std::time::Duration;

use super::attempt::{Failure, judge};
use super::clock::process_time;
use super::mutate::mutate;
use super::random::Random;
use super::retained::Retained;
use super::watchdog::Watchdog;
use crate::entries::Entry;

/// When a campaign is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// After so much processor time of this process.
    Seconds(u64),
    /// After so many executions.
    Executions(u64),
}

/// See the module's page.
pub struct Campaign<'a> {
    entry: &'a Entry,
    random: Random,
    samples: Vec<Vec<u8>>,
    retained: Retained,
    executions: u64,
}

impl<'a> Campaign<'a> {
    /// A campaign that has not begun.
    pub fn new(entry: &'a Entry, seed: u64) -> Self {
        let mut samples = (entry.samples)();
        samples.reverse();
        Self {
            entry,
            random: Random::of_entry(seed, entry.name),
            samples,
            retained: Retained::new(),
            executions: 0,
        }
    }

    /// Runs until the limit, or the first input that fails.
    ///
    /// # Errors
    /// The input, and how it fails.
    pub fn run(&mut self, limit: Limit, watchdog: &Watchdog) -> Result<(), (Vec<u8>, Failure)> {
        let began = process_time();
        while !self.is_over(limit, began) {
            let input = self.next_input();
            let outcome = watchdog.watch(self.entry, &input, || judge(self.entry.run, &input));
            self.executions += 1;
            match outcome {
                Ok(features) => self.retained.offer(&mut self.random, &input, &features),
                Err(failure) => return Err((input, failure)),
            }
        }
        Ok(())
    }

    fn is_over(&self, limit: Limit, began: Duration) -> bool {
        match limit {
            Limit::Executions(count) => self.executions >= count,
            // The clock is a system call, so it is not looked at each time.
            Limit::Seconds(seconds) => {
                self.executions.is_multiple_of(16)
                    && process_time().saturating_sub(began) >= Duration::from_secs(seconds)
            }
        }
    }

    /// The samples as they are, and then what becomes of them.
    fn next_input(&mut self) -> Vec<u8> {
        if let Some(sample) = self.samples.pop() {
            return sample;
        }
        let random = &mut self.random;
        let parent = self.retained.pick(random);
        let donor = self.retained.pick(random);
        mutate(random, self.entry.shape, parent, donor)
    }

    /// How many inputs were run.
    pub fn executions(&self) -> u64 {
        self.executions
    }

    /// How many of them were retained.
    pub fn retained(&self) -> usize {
        self.retained.len()
    }

    /// How many features they showed.
    pub fn features(&self) -> usize {
        self.retained.features()
    }
}
