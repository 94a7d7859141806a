//! A place: what stands for one thread.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::rt::doorbell::Bell;

/// The number of a place. It is never used again on this thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct PlaceId(pub(super) usize);

/// A clock whose second may be longer or shorter than the test's.
#[derive(Clone, Copy)]
pub(in crate::rt) struct Clock {
    /// When its rate was set, in the test's time, and its own time then.
    since: Duration,
    was: Duration,
    /// Its microseconds in one second of the test's time.
    rate: u32,
}

/// The rate of a clock that is right.
const RATE: u128 = 1_000_000;

impl Clock {
    pub(super) fn new(started: Duration, rate: u32) -> Clock {
        Clock {
            since: started,
            was: Duration::ZERO,
            rate: rate.max(1),
        }
    }

    pub(super) fn set_rate(&mut self, time: Duration, rate: u32) {
        *self = Clock {
            since: time,
            was: self.local(time),
            rate: rate.max(1),
        };
    }

    /// Its time at this moment of the test's time.
    pub(super) fn local(self, time: Duration) -> Duration {
        let passed = time.saturating_sub(self.since);
        self.was
            .saturating_add(scale(passed, u128::from(self.rate), RATE))
    }

    /// How long a wait of this length by the clock takes in the test's time, rounded up.
    pub(super) fn global(self, wait: Duration) -> Duration {
        scale(wait, RATE, u128::from(self.rate)).saturating_add(Duration::from_nanos(1))
    }
}

fn scale(time: Duration, by: u128, of: u128) -> Duration {
    if by == of {
        return time;
    }
    let nanoseconds = time.as_nanos().saturating_mul(by) / of;
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

/// Random numbers of a seed: SplitMix64.
pub(in crate::rt) struct Random(Cell<u64>);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(Cell::new(seed))
    }

    pub(super) fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A task, and the waker that it is polled with.
pub(super) struct Task {
    pub(super) future: Pin<Box<dyn Future<Output = ()>>>,
    pub(super) woken: Arc<TaskWaker>,
    pub(super) waker: Waker,
}

/// Wakes one task. Wakers may be used and dropped on any thread.
pub(super) struct TaskWaker {
    task: u64,
    is_woken: AtomicBool,
    queue: Arc<Mutex<VecDeque<u64>>>,
}

impl TaskWaker {
    /// Takes notice that the task is polled: the next wake queues it again.
    pub(super) fn begin_poll(&self) {
        self.is_woken.store(false, Ordering::Relaxed);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::Relaxed) {
            lock(&self.queue).push_back(self.task);
        }
    }
}

fn lock(queue: &Mutex<VecDeque<u64>>) -> MutexGuard<'_, VecDeque<u64>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What stands for one thread.
pub(in crate::rt) struct Place {
    /// The tasks that are not being polled.
    pub(super) tasks: BTreeMap<u64, Task>,
    /// Woken tasks, in order.
    woken: Arc<Mutex<VecDeque<u64>>>,
    pub(super) watch: Option<Rc<dyn Fn()>>,
    pub(super) bell: Option<Arc<Bell>>,
    pub(super) clock: Clock,
    pub(super) random: Random,
    /// Looks at the clock in this pass.
    pub(super) looks: u32,
}

impl Place {
    pub(super) fn new(clock: Clock, seed: u64, bell: Option<Arc<Bell>>) -> Place {
        if let Some(bell) = &bell {
            bell.announce();
        }
        Place {
            tasks: BTreeMap::new(),
            woken: Arc::default(),
            watch: None,
            bell,
            clock,
            random: Random::new(seed),
            looks: 0,
        }
    }

    /// Adds a task, which is woken.
    pub(super) fn add(&mut self, number: u64, future: Pin<Box<dyn Future<Output = ()>>>) {
        let woken = Arc::new(TaskWaker {
            task: number,
            is_woken: AtomicBool::new(false),
            queue: Arc::clone(&self.woken),
        });
        woken.wake_by_ref();
        let waker = Waker::from(Arc::clone(&woken));
        let task = Task { future, woken, waker };
        self.tasks.insert(number, task);
    }

    /// Takes the first woken task's number.
    pub(super) fn pop_woken(&self) -> Option<u64> {
        lock(&self.woken).pop_front()
    }

    /// How many tasks are woken.
    pub(super) fn woken(&self) -> usize {
        lock(&self.woken).len()
    }

    /// Whether a pass would do something.
    pub(super) fn is_runnable(&self) -> bool {
        self.woken() > 0 || self.bell.as_ref().is_some_and(|bell| bell.is_rung())
    }
}
