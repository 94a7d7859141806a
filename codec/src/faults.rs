//! Deliberate bugs, to see that the simulator of links finds them.
//!
//! They exist in this crate's own tests and with its feature `faults` only; without, the places that ask for one are
//! compiled as if they did not.

use std::cell::Cell;

/// A deliberate bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// What has come is never acknowledged for its age.
    AckSkipped,
    /// An answer is let go that the caller has not acknowledged.
    AnswerDropped,
    /// Calls have no timer.
    DeadlineIgnored,
    /// A session goes on with another process.
    EpochForgotten,
    /// What has come of a package is kept beyond its connection.
    InputKept,
    /// The last message that is to be written again is not.
    LastDropped,
    /// What expired while there was no connection is sent nevertheless.
    LateSent,
    /// A name leads where it led before.
    NameStale,
    /// What is written again is so in reverse order.
    OrderReversed,
    /// A message is written again that the peer has.
    ReplayedTwice,
    /// Requests that come the quick way are not counted as received.
    RequestUncounted,
    /// Calls that are lost are said not to have run.
    RunDenied,
    /// The number of a call that has ended is given to the next one.
    SessionReused,
    /// The timer of a call outlives it.
    TimerKept,
}

impl Fault {
    /// Each of them.
    pub const ALL: [Fault; 14] = [
        Fault::AckSkipped,
        Fault::AnswerDropped,
        Fault::DeadlineIgnored,
        Fault::EpochForgotten,
        Fault::InputKept,
        Fault::LastDropped,
        Fault::LateSent,
        Fault::NameStale,
        Fault::OrderReversed,
        Fault::ReplayedTwice,
        Fault::RequestUncounted,
        Fault::RunDenied,
        Fault::SessionReused,
        Fault::TimerKept,
    ];
}

thread_local! {
    static INJECTED: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Switches one bug on in this thread, and all others off.
pub fn inject(fault: Option<Fault>) {
    INJECTED.set(fault);
}

/// Whether a bug is switched on in this thread.
pub(crate) fn is_injected(fault: Fault) -> bool {
    INJECTED.get() == Some(fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::check_all;

    /// Every bug shows in one of so many runs.
    const SEEDS: u64 = 100;

    #[test]
    fn the_simulator_finds_every_deliberate_bug() {
        for fault in Fault::ALL {
            match check_all(0..SEEDS, || inject(Some(fault))) {
                Ok(_) => panic!("{fault:?} is not found in {SEEDS} runs"),
                Err(failure) => println!("{fault:?}: seed {}: {}", failure.seed, failure.violation),
            }
        }
    }

    #[test]
    fn without_a_bug_the_same_runs_find_nothing() {
        let counts = check_all(0..SEEDS, || inject(None)).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(counts.all().iter().all(|(_, count)| *count < u64::MAX) && counts.calls > SEEDS);
    }
}
