//! The open loop: calls begin by a timetable.
//!
//! The timetable is arithmetic, so calls that are due and not begun cost no memory: call `n` of a shard is due at the
//! start plus `n` times an interval. Workers make the calls, each one at a time; there are as many as were ever needed
//! at once, `in_flight` at most. A worker that has ended its call takes the next one that is due, and is idle when there
//! is none; the timetable's own task wakes idle workers when calls become due.
//!
//! Timers of the engine count milliseconds. So the task reads the clock in every pass of the executor while the next
//! call is near, and its processor is busy at rates above some hundreds a second.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use quanta::Instant;
use skyring::Caller;

use super::callee::Callee;
use super::settings::Schedule;
use super::shard_load::{ERROR_PAUSE, ShardLoad};

/// When the next call is due later than this, the timetable's task sleeps for [`SLEEP`]: never too long, since a sleep
/// is longer than requested by a millisecond at most, and by the work of the shard.
const SLEEP_MIN: Duration = Duration::from_millis(4);
const SLEEP: Duration = Duration::from_millis(1);

/// Calls that were never answered are counted in at most about so many groups of nearly the same latency.
const GROUPS: u64 = 10_000;

/// A shard's calls, in the order in which they are due.
pub(super) struct Timetable<C> {
    shard_load: Rc<ShardLoad<C>>,
    caller: Caller,
    /// When call 0 is due.
    start: Instant,
    /// Time between two calls, in nanoseconds.
    interval: f64,
    /// The calls that count, and the first after them, which is never made.
    counts_from: u64,
    end: u64,
    /// The next call to begin.
    next: Cell<u64>,
    workers_max: usize,
    workers: RefCell<Vec<Worker>>,
    /// Idle workers, by number; the one that was busy last is woken first.
    idle: RefCell<Vec<usize>>,
    backlog_max: Cell<u64>,
}

#[derive(Default)]
struct Worker {
    /// The call that it makes, or is to make.
    call: Option<u64>,
    is_idle: bool,
    waker: Option<Waker>,
}

/// Starts the timetable of one shard, which makes its share of `rate` calls a second.
pub(super) fn start<C: Callee>(
    caller: &Caller,
    shard_load: &Rc<ShardLoad<C>>,
    (rate, in_flight): (f64, usize),
    schedule: &Schedule,
) -> Rc<Timetable<C>> {
    let shards = caller.shards() as f64;
    let interval = shards * 1e9 / rate;
    let count = |time: Duration| (time.as_nanos() as f64 / interval).ceil() as u64;
    // The shards' calls alternate.
    let offset = Duration::from_nanos((interval / shards * caller.shard_index() as f64) as u64);
    let timetable = Rc::new(Timetable {
        shard_load: Rc::clone(shard_load),
        caller: caller.clone(),
        start: Instant::now() + offset,
        interval,
        counts_from: count(schedule.warm_up),
        end: count(schedule.warm_up + schedule.duration),
        next: Cell::new(0),
        // A shard without a worker would make no calls.
        workers_max: in_flight.max(1),
        workers: RefCell::default(),
        idle: RefCell::default(),
        backlog_max: Cell::new(0),
    });
    shard_load.caller_begins();
    caller.spawn(hand_out_calls(Rc::clone(&timetable)));
    timetable
}

/// Hands out calls as they become due, until the last one.
async fn hand_out_calls<C: Callee>(timetable: Rc<Timetable<C>>) {
    while timetable.next.get() < timetable.end {
        let now = Instant::now();
        let is_behind = !timetable.hand_out(now);
        let due_next = timetable.due(timetable.next.get());
        if is_behind || due_next > now + SLEEP_MIN {
            timetable.caller.sleep(SLEEP).await;
        } else {
            yield_once().await;
        }
    }
    timetable.shard_load.caller_ends();
}

/// Lets the executor run the other tasks once.
async fn yield_once() {
    let mut is_over = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_over, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl<C: Callee> Timetable<C> {
    fn due(&self, call: u64) -> Instant {
        self.start + Duration::from_nanos((call as f64 * self.interval) as u64)
    }

    /// Begins the next call if it is due.
    fn take(&self, now: Instant) -> Option<u64> {
        let call = self.next.get();
        (call < self.end && self.due(call) <= now).then(|| {
            self.next.set(call + 1);
            self.shard_load.caller_begins();
            call
        })
    }

    /// Hands every call that is due to a worker; `false` when there are not enough workers.
    fn hand_out(self: &Rc<Self>, now: Instant) -> bool {
        while self.next.get() < self.end && self.due(self.next.get()) <= now {
            let Some(number) = self.free_worker() else {
                let elapsed = now.saturating_duration_since(self.start).as_nanos() as f64;
                let due = ((elapsed / self.interval) as u64 + 1).min(self.end);
                let waiting = due.saturating_sub(self.next.get());
                self.backlog_max.set(self.backlog_max.get().max(waiting));
                return false;
            };
            let call = self.take(now);
            if let Some(worker) = self.workers.borrow_mut().get_mut(number) {
                worker.call = call;
                worker.is_idle = false;
                if let Some(waker) = worker.waker.take() {
                    waker.wake();
                }
            }
        }
        true
    }

    /// Takes an idle worker, or makes one.
    fn free_worker(self: &Rc<Self>) -> Option<usize> {
        if let Some(worker) = self.idle.borrow_mut().pop() {
            return Some(worker);
        }
        let number = self.workers.borrow().len();
        (number < self.workers_max).then(|| {
            self.workers.borrow_mut().push(Worker::default());
            self.caller.spawn(make_calls(Rc::clone(self), number));
            number
        })
    }

    /// Waits for the next call of a worker.
    async fn next_call(&self, number: usize) -> u64 {
        poll_fn(|context| {
            let mut workers = self.workers.borrow_mut();
            let Some(worker) = workers.get_mut(number) else {
                return Poll::Pending;
            };
            match worker.call {
                Some(call) => Poll::Ready(call),
                None => {
                    worker.waker = Some(context.waker().clone());
                    if !std::mem::replace(&mut worker.is_idle, true) {
                        self.idle.borrow_mut().push(number);
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// A worker has ended its call, and begins another or becomes idle.
    fn ended(&self, number: usize, next: Option<u64>) {
        self.shard_load.caller_ends();
        if let Some(worker) = self.workers.borrow_mut().get_mut(number) {
            worker.call = next;
        }
    }

    /// Records calls that were never answered with the time that they have waited. Returns the greatest backlog, and the
    /// number of those calls.
    pub(super) fn close(&self) -> (u64, u64) {
        let now = Instant::now();
        let mut unanswered = 0;
        let mut count = |call: u64, calls: u64| {
            if call >= self.counts_from {
                self.shard_load
                    .record_latencies(now.saturating_duration_since(self.due(call)), calls);
                unanswered += calls;
            }
        };
        for worker in self.workers.borrow().iter() {
            if let Some(call) = worker.call {
                count(call, 1);
            }
        }
        let (mut call, end) = (self.next.get().max(self.counts_from), self.end);
        let group = (end.saturating_sub(call) / GROUPS).max(1);
        while call < end {
            let calls = group.min(end - call);
            count(call, calls);
            call += calls;
        }
        self.next.set(end);
        (self.backlog_max.get(), unanswered)
    }
}

/// Makes one call after the other. The task is dropped with its service.
async fn make_calls<C: Callee>(timetable: Rc<Timetable<C>>, number: usize) {
    let shard_load = &timetable.shard_load;
    loop {
        let call = timetable.next_call(number).await;
        let callee = shard_load.callee();
        let path = callee.path(call, number);
        let result = callee.call(&path).await;
        let ended = Instant::now();
        match result {
            Ok(()) => {
                shard_load.answered();
                let latency = ended.saturating_duration_since(timetable.due(call));
                if call >= timetable.counts_from {
                    shard_load.record_latency(latency);
                }
                callee.ended(&path, Ok(latency));
                timetable.ended(number, timetable.take(ended));
            }
            Err(code) => {
                if call >= timetable.counts_from {
                    shard_load.failed(code);
                }
                callee.ended(&path, Err(code));
                timetable.ended(number, None);
                timetable.caller.sleep(ERROR_PAUSE).await;
            }
        }
    }
}
