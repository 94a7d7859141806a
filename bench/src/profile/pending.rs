//! Samples that wait for the Lua stack which their thread writes down a moment later.

use std::collections::VecDeque;
use std::sync::Arc;

use super::lua_samples::LuaSample;
use super::stack::Stack;

/// Most samples that wait; the oldest are counted without a Lua stack.
const SAMPLES_MAX: usize = 4_096;

/// How long after its sample a thread gets the signal at most, in ns.
const DELAY_NS_MAX: u64 = 1_500_000;

/// How much later a sample must be than another so that the other no longer waits, in ns.
const WAIT_NS_MAX: u64 = 200_000_000;

/// The samples that wait, the oldest first.
#[derive(Default)]
pub(super) struct Pending(VecDeque<Waiting>);

struct Waiting {
    thread: u32,
    time_ns: u64,
    stack: Stack,
}

impl Pending {
    pub(super) fn insert(&mut self, thread: u32, time_ns: u64, stack: Stack) {
        self.0.push_back(Waiting {
            thread,
            time_ns,
            stack,
        });
    }

    /// Gives a Lua stack to the sample of its thread at which the signal was sent: the last one before.
    pub(super) fn assign(&mut self, sample: &LuaSample) {
        let of_thread = self
            .0
            .iter_mut()
            .filter(|waiting| waiting.thread == sample.thread);
        let before = of_thread.filter(|waiting| waiting.time_ns <= sample.time_ns);
        let Some(last) = before.max_by_key(|waiting| waiting.time_ns) else {
            return;
        };
        if sample.time_ns - last.time_ns <= DELAY_NS_MAX {
            last.stack.lua = Some(Arc::clone(&sample.functions));
        }
    }

    /// Passes on what no longer waits, or everything.
    pub(super) fn take_old(&mut self, is_last: bool, mut take: impl FnMut(Stack)) {
        let newest = self.0.iter().map(|waiting| waiting.time_ns).max().unwrap_or(0);
        let is_over = |waiting: &Waiting| is_last || waiting.time_ns + WAIT_NS_MAX < newest;
        while self.0.len() > SAMPLES_MAX || self.0.front().is_some_and(is_over) {
            let Some(waiting) = self.0.pop_front() else { return };
            take(waiting.stack);
        }
    }
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

    fn lua(thread: u32, time_ns: u64, functions: &str) -> LuaSample {
        LuaSample {
            thread,
            time_ns,
            functions: functions.into(),
        }
    }

    #[test]
    fn a_lua_stack_belongs_to_the_last_sample_of_its_thread_before_it() {
        let mut pending = Pending::default();
        for (thread, time_ns) in [(1, 1_000), (2, 1_500), (1, 2_000_000), (1, 4_000_000)] {
            pending.insert(thread, time_ns, stack());
        }
        pending.assign(&lua(1, 2_010_000, "a"));
        pending.assign(&lua(2, 2_000, "b"));
        // Too late, too early, and of no thread.
        pending.assign(&lua(1, 9_000_000, "c"));
        pending.assign(&lua(1, 500, "d"));
        pending.assign(&lua(3, 2_000, "e"));
        let mut taken = Vec::new();
        pending.take_old(false, |stack| taken.push(stack));
        assert!(taken.is_empty());
        pending.take_old(true, |stack| taken.push(stack));
        let functions: Vec<_> = taken.iter().map(|stack| stack.lua.as_deref()).collect();
        assert_eq!(functions, [None, Some("b"), Some("a"), None]);
    }

    #[test]
    fn samples_without_a_lua_stack_do_not_wait_for_ever() {
        let mut pending = Pending::default();
        let mut taken = 0;
        for sample in 0..1_000u64 {
            pending.insert(1, sample * 2_000_000, stack());
            pending.take_old(false, |_| taken += 1);
            assert!(pending.0.len() <= 102);
        }
        assert!(taken > 890, "{taken}");
    }
}
