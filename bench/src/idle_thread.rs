//! The scheduling class of threads that run only when no other thread wants their processor.
#![expect(
    unsafe_code,
    reason = "no library that the workspace has sets the class of a thread"
)]

use std::io;

/// Has this thread run only when no other wants its processor; one that becomes runnable does not wait for its slice.
///
/// # Errors
/// When the system refuses.
pub(crate) fn run_when_idle() -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority: 0 };
    // SAFETY: the call reads `parameter`, which lives longer than it; 0 is this thread.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameter) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_can_be_idle() {
        std::thread::spawn(|| run_when_idle().unwrap()).join().unwrap();
    }
}
