//! Deliberate bugs, which show that the simulator of links detects bugs.
//!
//! They exist only in the tests of this crate and with its feature `faults`; otherwise the checks for them compile to
//! nothing.

use std::cell::Cell;

/// A deliberate bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Received frames are never acknowledged after a time, only after a number of bytes.
    AckSkipped,
    /// An answer is dropped that the caller has not acknowledged.
    AnswerDropped,
    /// The dialler takes any proof in the answer to its hello, and none.
    AnswerUnchecked,
    /// A replayed hello resumes a session.
    AttemptForgotten,
    /// Calls have no timer.
    DeadlineIgnored,
    /// A dialler with a secret speaks the skynet dialect with whoever does not know its hello.
    DowngradeAccepted,
    /// A session is resumed with another process.
    EpochForgotten,
    /// The proof in a hello is not compared.
    HelloUnchecked,
    /// Partial input survives its connection.
    InputKept,
    /// The proofs of both directions have the same label.
    LabelForgotten,
    /// The last message of a replay is dropped.
    LastDropped,
    /// A message that expired without a connection is sent nevertheless.
    LateSent,
    /// A name resolves to its previous handle.
    NameStale,
    /// The final proof does not depend on the acceptor's nonce.
    NonceForgotten,
    /// A replay is in reverse order.
    OrderReversed,
    /// Requests come out before the final proof.
    ProofNotAwaited,
    /// The final proof is not compared.
    ProofUnchecked,
    /// A message is replayed that the peer has received.
    ReplayedTwice,
    /// Requests on the fast path are not counted as received.
    RequestUncounted,
    /// Lost calls are reported as not run.
    RunDenied,
    /// The session number of a call that has ended is given to the next call.
    SessionReused,
    /// The timer of a call survives the call.
    TimerKept,
}

impl Fault {
    /// All faults.
    pub const ALL: [Fault; 22] = [
        Fault::AckSkipped,
        Fault::AnswerDropped,
        Fault::AnswerUnchecked,
        Fault::AttemptForgotten,
        Fault::DeadlineIgnored,
        Fault::DowngradeAccepted,
        Fault::EpochForgotten,
        Fault::HelloUnchecked,
        Fault::InputKept,
        Fault::LabelForgotten,
        Fault::LastDropped,
        Fault::LateSent,
        Fault::NameStale,
        Fault::NonceForgotten,
        Fault::OrderReversed,
        Fault::ProofNotAwaited,
        Fault::ProofUnchecked,
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

/// Injects one fault in this thread, and removes any other.
pub fn inject(fault: Option<Fault>) {
    INJECTED.set(fault);
}

/// Whether a fault is injected in this thread.
pub(crate) fn is_injected(fault: Fault) -> bool {
    INJECTED.get() == Some(fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::check_all;

    /// Every fault is found within this many runs.
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
