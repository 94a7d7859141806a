//! The open loop: calls begin by a timetable.
//!
//! The timetable is arithmetic, so what is due and not begun costs no memory: call `n` of a shard is due at the
//! start plus `n` times a distance. Workers carry the calls, each one at a time; there are as many as were
//! ever needed at once, `in_flight` at most. A worker that has ended its call takes the next one that is due, and
//! is idle when there is none; the timetable's own task wakes idle workers when calls become due.
//!
//! Timers of the engine count milliseconds. So the task looks at the clock in every pass of the executor
//! while the next call is near, and its processor is busy at rates above some hundreds a second.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use quanta::Instant;
use skyring::Caller;

use super::work::Work;
use super::{ERROR_PAUSE, Load};

/// With the next call further away than this, the timetable's task sleeps for [`NAP`]: never too long, since a
/// sleep is longer than asked by a millisecond at most, and by how busy the shard is.
const FAR: Duration = Duration::from_millis(4);
const NAP: Duration = Duration::from_millis(1);

/// Calls that were never answered are counted in at most about so many groups of nearly the same time.
const GROUPS: u64 = 10_000;

/// A shard's calls, in the order in which they are due.
pub(super) struct Timetable {
    work: Rc<Work>,
    caller: Caller,
    /// When call 0 is due.
    start: Instant,
    /// Between two calls, in nanoseconds.
    distance: f64,
    /// The calls that count, and the first after them, which is never made.
    counts_from: u64,
    end: u64,
    /// The next call to begin.
    next: Cell<u64>,
    workers_max: usize,
    workers: RefCell<Vec<Worker>>,
    /// Who waits for a call, by number; who was busy last is woken first.
    idle: RefCell<Vec<usize>>,
    backlog_max: Cell<u64>,
}

#[derive(Default)]
struct Worker {
    /// The call that it is to carry, or carries.
    call: Option<u64>,
    is_idle: bool,
    waker: Option<Waker>,
}

/// Begins with the timetable of one shard, which makes its share of `rate` calls a second.
pub(super) fn start(
    caller: &Caller,
    work: &Rc<Work>,
    (rate, in_flight): (f64, usize),
    load: &Load,
) -> Rc<Timetable> {
    let shards = caller.shards() as f64;
    let distance = shards * 1e9 / rate;
    let count = |time: Duration| (time.as_nanos() as f64 / distance).ceil() as u64;
    // The shards' calls alternate.
    let offset = Duration::from_nanos((distance / shards * caller.shard_index() as f64) as u64);
    let timetable = Rc::new(Timetable {
        work: Rc::clone(work),
        caller: caller.clone(),
        start: Instant::now() + offset,
        distance,
        counts_from: count(load.warm_up),
        end: count(load.warm_up + load.duration),
        next: Cell::new(0),
        // A shard without one would make no calls at all.
        workers_max: in_flight.max(1),
        workers: RefCell::default(),
        idle: RefCell::default(),
        backlog_max: Cell::new(0),
    });
    work.caller_begins();
    caller.spawn(keep(Rc::clone(&timetable)));
    timetable
}

/// Hands out what becomes due, until all is.
async fn keep(timetable: Rc<Timetable>) {
    while timetable.next.get() < timetable.end {
        let now = Instant::now();
        let is_behind = !timetable.hand_out(now);
        let due_next = timetable.due(timetable.next.get());
        if is_behind || due_next > now + FAR {
            timetable.caller.sleep(NAP).await;
        } else {
            pass().await;
        }
    }
    timetable.work.caller_ends();
}

/// Lets the executor do everything else once.
async fn pass() {
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

impl Timetable {
    fn due(&self, call: u64) -> Instant {
        self.start + Duration::from_nanos((call as f64 * self.distance) as u64)
    }

    /// Begins the next call if it is due.
    fn take(&self, now: Instant) -> Option<u64> {
        let call = self.next.get();
        (call < self.end && self.due(call) <= now).then(|| {
            self.next.set(call + 1);
            self.work.caller_begins();
            call
        })
    }

    /// Gives every call that is due to a worker; `false` when there are not enough.
    fn hand_out(self: &Rc<Self>, now: Instant) -> bool {
        while self.next.get() < self.end && self.due(self.next.get()) <= now {
            let Some(number) = self.free_worker() else {
                let elapsed = now.saturating_duration_since(self.start).as_nanos() as f64;
                let due = ((elapsed / self.distance) as u64 + 1).min(self.end);
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

    /// Takes one from those that are idle, or makes one.
    fn free_worker(self: &Rc<Self>) -> Option<usize> {
        if let Some(worker) = self.idle.borrow_mut().pop() {
            return Some(worker);
        }
        let number = self.workers.borrow().len();
        (number < self.workers_max).then(|| {
            self.workers.borrow_mut().push(Worker::default());
            self.caller.spawn(carry(Rc::clone(self), number));
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

    /// A worker has ended its call, and goes on with another or becomes idle.
    fn ended(&self, number: usize, next: Option<u64>) {
        self.work.caller_ends();
        if let Some(worker) = self.workers.borrow_mut().get_mut(number) {
            worker.call = next;
        }
    }

    /// Counts what was never answered with the time that it had waited until now. Gives the greatest backlog, and
    /// how many calls those are.
    pub(super) fn close(&self) -> (u64, u64) {
        let now = Instant::now();
        let mut unanswered = 0;
        let mut count = |call: u64, calls: u64| {
            if call >= self.counts_from {
                self.work
                    .took_each(now.saturating_duration_since(self.due(call)), calls);
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

/// Carries one call after the other. It is dropped with the service that it runs beside.
async fn carry(timetable: Rc<Timetable>, number: usize) {
    let work = &timetable.work;
    loop {
        let call = timetable.next_call(number).await;
        let result = work.call(&work.node(call)).await;
        let ended = Instant::now();
        match result {
            Ok(_) => {
                work.answered();
                if call >= timetable.counts_from {
                    work.took(ended.saturating_duration_since(timetable.due(call)));
                }
                timetable.ended(number, timetable.take(ended));
            }
            Err(error) => {
                if call >= timetable.counts_from {
                    work.failed(&error);
                }
                timetable.ended(number, None);
                timetable.caller.sleep(ERROR_PAUSE).await;
            }
        }
    }
}
