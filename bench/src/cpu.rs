//! Processors: which this process may use, pinning a thread to one, and the processor time of a process.

use std::io;
use std::time::Duration;

use nix::time::ClockId;
use nix::unistd::Pid;
use rustix::process::getpid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};

/// The largest number that Linux gives a process.
const PROCESS_MAX: i32 = 1 << 22;

/// The processors that this process may use, in order: those of its first thread, whatever others are pinned to.
///
/// # Errors
/// When the system refuses.
pub fn allowed_cpus() -> io::Result<Vec<usize>> {
    let allowed = sched_getaffinity(Some(getpid()))?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).collect())
}

/// The kernel's number of the processor with that number among those allowed.
pub(crate) fn kernel_cpu(number: usize) -> io::Result<usize> {
    let allowed = allowed_cpus()?;
    allowed
        .get(number % allowed.len().max(1))
        .copied()
        .ok_or_else(|| io::Error::other("the kernel allows this process no processor"))
}

/// Pins this thread to the allowed processor with that number, counted round from 0.
pub(crate) fn pin_this_thread(number: usize) -> io::Result<()> {
    let allowed = allowed_cpus()?;
    let mut only = CpuSet::new();
    if let Some(&cpu) = allowed.get(number % allowed.len().max(1)) {
        only.set(cpu);
        sched_setaffinity(None, &only)?;
    }
    Ok(())
}

/// Restricts this thread, and those that it starts, to these processors. They may be others than those it has been
/// restricted to.
///
/// # Errors
/// When the system refuses, or there is none.
pub(crate) fn pin_to(cpus: &[usize]) -> io::Result<()> {
    let mut some = CpuSet::new();
    for &cpu in cpus.iter().filter(|&&cpu| cpu < CpuSet::MAX_CPU) {
        some.set(cpu);
    }
    Ok(sched_setaffinity(None, &some)?)
}

/// Processor time that all threads of a process have used so far, in seconds; to a microsecond or better. `None` when
/// there is no such process.
pub fn cpu_seconds(process: u32) -> Option<f64> {
    // The clock of process 0 would be that of this one, and so would that of a number too large for a process.
    let process = i32::try_from(process)
        .ok()
        .filter(|process| (1..=PROCESS_MAX).contains(process))?;
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(process)).ok()?;
    Some(Duration::from(clock.now().ok()?).as_secs_f64())
}

/// Processor time of both sides of a measurement, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuSeconds {
    /// Of this process.
    pub client: f64,
    /// Of the server's process; `None` when it is not known, or has ended.
    pub server: Option<f64>,
}

impl CpuSeconds {
    /// What this process, as the client, and the server have used until now.
    pub(crate) fn now(server: Option<u32>) -> CpuSeconds {
        CpuSeconds::of(std::process::id(), server)
    }

    /// What both processes have used until now.
    pub(crate) fn of(client: u32, server: Option<u32>) -> CpuSeconds {
        CpuSeconds {
            client: cpu_seconds(client).unwrap_or(0.0),
            server: server.and_then(cpu_seconds),
        }
    }

    /// What both have used since `before`.
    pub(crate) fn since(self, before: CpuSeconds) -> CpuSeconds {
        CpuSeconds {
            client: self.client - before.client,
            server: self
                .server
                .zip(before.server)
                .map(|(after, before)| after - before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_uses_processor_time() {
        let process = std::process::id();
        let before = cpu_seconds(process).unwrap();
        let mut number = 1u64;
        // Ends when the clock in the file has moved; the bound is only for a file that never moves.
        for round in 0..1_000_000_000u64 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round);
            if round % 1_000_000 == 0 && cpu_seconds(process).unwrap() > before {
                break;
            }
        }
        assert!(cpu_seconds(process).unwrap() > before, "{number}");
    }

    #[test]
    fn a_process_that_is_not_there_has_used_nothing() {
        for process in [u32::MAX, i32::MAX as u32, 0] {
            assert_eq!(cpu_seconds(process), None);
        }
    }

    #[test]
    fn a_pinned_thread_may_use_that_one_processor_only() {
        let all = allowed_cpus().unwrap();
        let own = || {
            let own = sched_getaffinity(None).unwrap();
            (0..CpuSet::MAX_CPU)
                .filter(|&cpu| own.is_set(cpu))
                .collect::<Vec<_>>()
        };
        for number in [0, all.len() - 1, all.len()] {
            let (own, all) = std::thread::spawn(move || {
                pin_this_thread(number).unwrap();
                (own(), allowed_cpus().unwrap())
            })
            .join()
            .unwrap();
            assert_eq!(own, [all[number % all.len()]]);
        }
        // The other way a thread gets what its process has.
        let wider = std::thread::spawn(move || {
            pin_this_thread(0).unwrap();
            pin_to(&allowed_cpus().unwrap()).unwrap();
            own()
        });
        assert_eq!(wider.join().unwrap(), all);
        assert!(pin_to(&[]).is_err());
    }
}
