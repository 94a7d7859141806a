//! How long threads wait: from the moment at which one gives its processor up until it runs again.
//!
//! The kernel takes a sample of the stack at every n-th switch away from a thread, with n such that there are no more samples
//! than wanted, and tells when a thread runs again. A sample then stands for n waits of that length.

use std::collections::HashMap;

use super::stack::Stack;

/// The frame above the stack of a thread that did not want to wait: another one needed its processor.
pub(super) const PREEMPTED: &str = "(preempted)";

/// A wait that has not ended.
struct Begun {
    stack: Stack,
    time_ns: u64,
    /// How many waits it stands for.
    period: u64,
}

/// The waits of all threads that have begun and have not ended.
#[derive(Default)]
pub(super) struct Waits(HashMap<u32, Begun>);

impl Waits {
    /// The thread gives its processor up, and the stack is sampled.
    pub(super) fn begin(&mut self, thread: u32, time_ns: u64, period: u64, stack: Stack) {
        let begun = Begun {
            stack,
            time_ns,
            period: period.max(1),
        };
        self.0.insert(thread, begun);
    }

    /// The thread gave it up because another one needed it, and not to wait.
    pub(super) fn preempt(&mut self, thread: u32) {
        if let Some(begun) = self.0.get_mut(&thread) {
            begun.stack.is_preempted = true;
        }
    }

    /// The thread runs again: its stack, and how many ns it stands for. `None` when its stack was not sampled.
    pub(super) fn end(&mut self, thread: u32, time_ns: u64) -> Option<(Stack, u64)> {
        let begun = self.0.remove(&thread)?;
        Some(waited(begun, time_ns))
    }

    /// Something that the kernel told is lost, so when the wait ends is not known.
    pub(super) fn forget(&mut self, thread: u32) {
        self.0.remove(&thread);
    }

    /// The waits that have not ended until then.
    pub(super) fn end_all(&mut self, time_ns: u64) -> impl Iterator<Item = (Stack, u64)> {
        self.0.drain().map(move |(_, begun)| waited(begun, time_ns))
    }
}

fn waited(begun: Begun, time_ns: u64) -> (Stack, u64) {
    let time = time_ns.saturating_sub(begun.time_ns);
    (begun.stack, time.saturating_mul(begun.period))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack() -> Stack {
        Stack {
            process: 0,
            thread: "shard-0".into(),
            kernel: Vec::new(),
            user: vec![1],
            lua: None,
            is_preempted: false,
        }
    }

    #[test]
    fn a_wait_lasts_until_its_thread_runs_again_and_stands_for_those_that_were_not_sampled() {
        let mut waits = Waits::default();
        waits.begin(1, 1_000, 1, stack());
        waits.begin(2, 1_500, 10, stack());
        waits.preempt(2);
        assert_eq!(waits.end(1, 4_000), Some((stack(), 3_000)));
        // It ran and went to sleep without a sample.
        assert_eq!(waits.end(1, 9_000), None);
        let (waited, ns) = waits.end(2, 1_700).unwrap();
        assert!(waited.is_preempted);
        assert_eq!(ns, 2_000);
    }

    #[test]
    fn what_has_not_ended_lasts_until_the_end_and_what_is_lost_is_forgotten() {
        let mut waits = Waits::default();
        waits.begin(1, 1_000, 1, stack());
        waits.begin(2, 1_000, 1, stack());
        waits.forget(2);
        let all: Vec<_> = waits.end_all(5_000).map(|(_, ns)| ns).collect();
        assert_eq!(all, [4_000]);
        assert_eq!(waits.end_all(9_000).count(), 0);
    }
}
