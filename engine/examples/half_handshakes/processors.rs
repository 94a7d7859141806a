//! Which processors the parts have, and how much of their time.

use std::fs;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Outcome;

/// The first two processors that this process may use.
pub(crate) fn processors() -> Outcome<[usize; 2]> {
    let of = sched_getaffinity(None)?;
    let mut allowed = (0..CpuSet::MAX_CPU).filter(|cpu| of.is_set(*cpu));
    match (allowed.next(), allowed.next()) {
        (Some(first), Some(second)) => Ok([first, second]),
        _ => Err("two processors are needed".into()),
    }
}

/// Lets this thread, and those that it starts, run on one processor.
pub(crate) fn pin(processor: usize) -> Outcome<()> {
    let mut set = CpuSet::new();
    set.set(processor);
    Ok(sched_setaffinity(None, &set)?)
}

/// The processor time of a process, of all its threads that live.
pub(crate) fn processor_time(id: u32) -> Outcome<Duration> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        // A thread may have ended.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        sum += text.split(' ').next().unwrap_or("0").parse::<u64>()?;
    }
    Ok(Duration::from_nanos(sum))
}

/// For how long processors of a virtual machine had something to do, and were taken away: of all of them, to 10 ms.
pub(crate) fn stolen_time() -> Outcome<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    // The name, and then the times of users, nice ones, the system, idle, waiting, two kinds of interrupts, and stolen ones.
    let ticks = text
        .lines()
        .next()
        .and_then(|line| line.split_whitespace().nth(8));
    let ticks: u64 = ticks.unwrap_or("0").parse()?;
    Ok(Duration::from_millis(ticks * 10))
}
