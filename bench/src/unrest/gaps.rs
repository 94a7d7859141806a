//! Times in which a loop that reads the clock did not run.

use std::io;
use std::thread;
use std::time::Duration;

use quanta::Instant;
use rustix::thread::{CpuSet, sched_setaffinity};

/// Between two reads less than this passes while the loop runs.
const GAP_MIN: Duration = Duration::from_micros(5);

/// Most gaps that are kept for each processor.
const GAPS_MAX: usize = 100_000;

/// What loops on some processors saw.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gaps {
    /// The lengths of all gaps, in seconds.
    pub(super) lengths: Vec<f64>,
    /// How long the loops ran, all together, in seconds.
    pub(super) seconds: f64,
    /// Reads of the clock in all loops.
    pub(super) reads: u64,
}

impl Gaps {
    /// How long the loops did not run, in seconds.
    pub(super) fn away(&self) -> f64 {
        self.lengths.iter().fold(0.0, |sum, length| sum + length)
    }

    /// Reads of the clock a second while the loops ran: how fast the processors were.
    pub(crate) fn speed(&self) -> Option<f64> {
        let running = self.seconds - self.away();
        (running > 0.0 && self.reads > 0).then(|| self.reads as f64 / running)
    }

    /// Both together.
    pub fn and(mut self, other: Gaps) -> Gaps {
        self.lengths.extend(other.lengths);
        self.seconds += other.seconds;
        self.reads += other.reads;
        self
    }
}

/// Reads the clock for that long on each of those processors, by the kernel's numbers, at once.
///
/// # Errors
/// When a thread cannot be started or pinned.
pub fn measure_gaps(cpus: &[usize], time: Duration) -> io::Result<Gaps> {
    let mut cpus = cpus.to_vec();
    cpus.sort_unstable();
    cpus.dedup();
    let loops = cpus.into_iter().map(|cpu| {
        thread::Builder::new()
            .name("unrest".to_owned())
            .spawn(move || pin(cpu).map(|()| read_clock(time)))
    });
    // All are started before the first is waited for.
    let loops: Vec<_> = loops.collect::<io::Result<_>>()?;
    let mut all = Gaps::default();
    for one in loops {
        let gaps = one
            .join()
            .map_err(|_| io::Error::other("a loop that reads the clock ended early"))?;
        all = all.and(gaps?);
    }
    Ok(all)
}

fn pin(cpu: usize) -> io::Result<()> {
    let mut only = CpuSet::new();
    only.set(cpu);
    Ok(sched_setaffinity(None, &only)?)
}

fn read_clock(time: Duration) -> Gaps {
    let started = Instant::now();
    let (mut last, mut reads, mut lengths) = (started, 0, Vec::new());
    while last - started < time {
        let now = Instant::now();
        reads += 1;
        let gap = now - last;
        if gap >= GAP_MIN && lengths.len() < GAPS_MAX {
            lengths.push(gap.as_secs_f64());
        }
        last = now;
    }
    Gaps {
        lengths,
        seconds: (last - started).as_secs_f64(),
        reads,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::allowed_cpus;

    #[test]
    fn a_loop_runs_for_its_time_on_each_processor_and_reads_the_clock() {
        let time = Duration::from_millis(5);
        let cpu = allowed_cpus().unwrap()[0];
        // The same processor twice is one.
        let gaps = measure_gaps(&[cpu, cpu], time).unwrap();
        assert!(gaps.seconds >= 0.005 && gaps.reads > 0, "{gaps:?}");
        let lost: f64 = gaps.lengths.iter().sum();
        assert!(lost <= gaps.seconds, "{gaps:?}");
        let both = gaps.clone().and(gaps.clone());
        assert_eq!(both.reads, 2 * gaps.reads);
        assert_eq!(measure_gaps(&[], time).unwrap(), Gaps::default());
    }
}
