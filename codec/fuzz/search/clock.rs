//! Time that was spent on a processor, which neither a pause of the process nor other processes use up.

use std::cell::Cell;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The time that this process has run for.
pub fn process_time() -> Duration {
    time(ClockId::ProcessCPUTime)
}

thread_local! {
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Has this thread look as if it had run for longer, so that tests of slow inputs are quick.
pub fn spend(time: Duration) {
    SPENT.set(SPENT.get() + time);
}

/// The time that this thread has run for.
pub(super) fn thread_time() -> Duration {
    time(ClockId::ThreadCPUTime) + SPENT.get()
}

fn time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
