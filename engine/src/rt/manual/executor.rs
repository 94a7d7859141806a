//! The places of the test's thread, their tasks, and the test's time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::place::{Clock, Place, PlaceId};
use crate::rt::doorbell::Bell;
use crate::rt::{RUNTIME, Runtime};

/// Passes of one [`run`], so that a task that wakes itself for ever fails its test.
#[cfg(test)]
const PASSES_MAX: usize = 1_000_000;

/// By how much a look at the clock makes the rest of the pass later.
const LOOK_TIME: Duration = Duration::from_micros(10);

struct Executor {
    places: RefCell<BTreeMap<PlaceId, Place>>,
    /// The place that runs. The first one always exists.
    current: Cell<PlaceId>,
    /// The number of the next place, task or sleep.
    next: Cell<u64>,
    /// The test's time.
    time: Cell<Duration>,
    sleeping: RefCell<BTreeMap<(Duration, u64), Waker>>,
}

impl Default for Executor {
    fn default() -> Executor {
        let first = Place::new(Clock::new(Duration::ZERO, 1_000_000), 0, None);
        Executor {
            places: RefCell::new([(PlaceId(0), first)].into()),
            current: Cell::new(PlaceId(0)),
            next: Cell::new(1),
            time: Cell::default(),
            sleeping: RefCell::default(),
        }
    }
}

impl Executor {
    fn number(&self) -> u64 {
        self.next.replace(self.next.get() + 1)
    }
}

thread_local! {
    static EXECUTOR: Executor = Executor::default();
}

/// Makes this the runtime of the test's thread.
pub(crate) fn enter() {
    RUNTIME.set(Runtime::Manual);
}

/// Makes the engine's own executor the runtime of this thread again.
pub(crate) fn leave() {
    RUNTIME.set(Runtime::Uring);
}

/// Drops all places with their tasks, and begins again at time 0.
pub(crate) fn reset() {
    let places: Vec<PlaceId> = EXECUTOR.with(|executor| executor.places.borrow().keys().copied().collect());
    for place in places {
        within(place, || remove_place(place));
    }
    EXECUTOR.with(|executor| {
        let Executor {
            places,
            current,
            next,
            time,
            sleeping,
        } = Executor::default();
        executor.places.swap(&places);
        executor.current.swap(&current);
        executor.next.swap(&next);
        executor.time.swap(&time);
        executor.sleeping.swap(&sleeping);
        // Dropped here, where a drop can still ask for the executor.
        drop((places.take(), sleeping.take()));
    });
    super::network::reset();
}

/// Adds a place whose clock starts now and counts `rate` microseconds in one second of the test's time. A ring of its bell
/// makes it runnable.
pub(crate) fn add_place(rate: u32, seed: u64, bell: &Arc<Bell>) -> PlaceId {
    EXECUTOR.with(|executor| {
        let id = PlaceId(executor.number() as usize);
        let clock = Clock::new(executor.time.get(), rate);
        let place = Place::new(clock, seed, Some(Arc::clone(bell)));
        executor.places.borrow_mut().insert(id, place);
        id
    })
}

/// Has the clock of a place count `rate` microseconds in one second of the test's time from now on.
pub(crate) fn set_clock_rate(place: PlaceId, rate: u32) {
    within(place, || {
        with_place(|place, time| place.clock.set_rate(time, rate))
    });
}

/// Removes a place; its tasks are dropped. What they spawn as they are dropped never runs.
pub(crate) fn remove_place(place: PlaceId) {
    loop {
        let dropped = EXECUTOR.with(|executor| {
            let mut places = executor.places.borrow_mut();
            let place = places.get_mut(&place)?;
            Some((place.watch.take(), std::mem::take(&mut place.tasks)))
        });
        // What is dropped may ask for the executor, and leave further tasks.
        match dropped {
            Some((watch, tasks)) if watch.is_some() || !tasks.is_empty() => drop((watch, tasks)),
            _ => break,
        }
    }
    if place != PlaceId(0) {
        let removed = EXECUTOR.with(|executor| executor.places.borrow_mut().remove(&place));
        drop(removed);
    }
}

/// Runs `work` as code of a place.
pub(crate) fn within<T>(place: PlaceId, work: impl FnOnce() -> T) -> T {
    /// Restores the place, after a panic too.
    struct Restore(PlaceId);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = EXECUTOR.try_with(|executor| executor.current.set(self.0));
        }
    }
    let _restore = Restore(EXECUTOR.with(|executor| executor.current.replace(place)));
    work()
}

/// Reads the place that runs, and the test's time. A place that was removed is the first one.
pub(super) fn with_place<T>(read: impl FnOnce(&mut Place, Duration) -> T) -> T {
    EXECUTOR.with(|executor| {
        let mut places = executor.places.borrow_mut();
        let current = executor.current.get();
        let place = match places.contains_key(&current) {
            true => current,
            false => PlaceId(0),
        };
        let place = places.entry(place);
        let place = place.or_insert_with(|| Place::new(Clock::new(Duration::ZERO, 1_000_000), 0, None));
        read(place, executor.time.get())
    })
}

/// The place that runs.
pub(super) fn current() -> PlaceId {
    EXECUTOR.with(|executor| executor.current.get())
}

pub(super) fn look_at_clock() -> Instant {
    static BASE: OnceLock<Instant> = OnceLock::new();
    let base = *BASE.get_or_init(Instant::now);
    with_place(|place, time| {
        place.looks += 1;
        base + place.clock.local(time) + LOOK_TIME * place.looks
    })
}

/// Runs the tasks of a place that are woken now; what they wake runs in the next pass, as with the other executors.
pub(crate) fn pass(place: PlaceId) {
    within(place, || {
        let (bell, watch) = with_place(|place, _| {
            place.looks = 0;
            (place.bell.clone(), place.watch.clone())
        });
        let watch = || {
            if let Some(watch) = &watch {
                watch();
            }
        };
        if let Some(bell) = &bell {
            bell.withdraw();
        }
        watch();
        for _ in 0..with_place(|place, _| place.woken()) {
            poll_next(place);
        }
        if let Some(bell) = &bell {
            bell.announce();
            watch();
        }
        with_place(|place, _| place.looks = 0);
    });
}

fn poll_next(place: PlaceId) {
    let taken = EXECUTOR.with(|executor| {
        let mut places = executor.places.borrow_mut();
        let place = places.get_mut(&place)?;
        let number = place.pop_woken()?;
        // Out of the table while it is polled: it may spawn others.
        Some((number, place.tasks.remove(&number)?))
    });
    let Some((number, mut task)) = taken else { return };
    task.woken.begin_poll();
    let polled = task.future.as_mut().poll(&mut Context::from_waker(&task.waker));
    let ended = EXECUTOR.with(|executor| match executor.places.borrow_mut().get_mut(&place) {
        Some(place) if polled.is_pending() => place.tasks.insert(number, task),
        _ => Some(task),
    });
    drop(ended);
}

/// Whether a pass of the place would do something.
pub(crate) fn is_runnable(place: PlaceId) -> bool {
    EXECUTOR.with(|executor| {
        let places = executor.places.borrow();
        places.get(&place).is_some_and(Place::is_runnable)
    })
}

/// Runs every task of the first place that is woken, and those that these wake, until none is.
#[cfg(test)]
pub(crate) fn run() {
    for _ in 0..PASSES_MAX {
        if !is_runnable(PlaceId(0)) {
            return;
        }
        pass(PlaceId(0));
    }
    panic!("the tasks wake each other for ever");
}

/// The test's time.
pub(crate) fn time() -> Duration {
    EXECUTOR.with(|executor| executor.time.get())
}

/// When the next sleep ends, in the test's time.
pub(crate) fn next_wake() -> Option<Duration> {
    EXECUTOR.with(|executor| {
        let sleeping = executor.sleeping.borrow();
        sleeping.first_key_value().map(|((until, _), _)| *until)
    })
}

/// Lets the test's time be this, and wakes the sleeps that have ended by then; nothing runs.
pub(crate) fn set_time(time: Duration) {
    loop {
        let woken = EXECUTOR.with(|executor| {
            let mut sleeping = executor.sleeping.borrow_mut();
            let first = sleeping.first_entry().filter(|first| first.key().0 <= time)?;
            Some(first.remove())
        });
        match woken {
            Some(waker) => waker.wake(),
            None => break,
        }
    }
    EXECUTOR.with(|executor| executor.time.set(time));
}

/// Lets time pass, and runs what that wakes at the first place, sleep by sleep.
#[cfg(test)]
pub(crate) fn advance(time: Duration) {
    let until = self::time() + time;
    while let Some(next) = next_wake().filter(|next| *next <= until) {
        set_time(next);
        run();
    }
    set_time(until);
    run();
}

pub(in crate::rt) fn spawn(task: impl Future<Output = ()> + 'static) {
    let refused = EXECUTOR.with(|executor| {
        let number = executor.number();
        let mut places = executor.places.borrow_mut();
        match places.get_mut(&executor.current.get()) {
            Some(place) => {
                place.add(number, Box::pin(task));
                None
            }
            None => Some(task),
        }
    });
    drop(refused);
}

pub(in crate::rt) fn watch(watch: impl Fn() + 'static) {
    let watch: Rc<dyn Fn()> = Rc::new(watch);
    let before = with_place(|place, _| place.watch.replace(watch));
    drop(before);
}

pub(in crate::rt) async fn relax() {
    let mut has_yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A sleep of the time of its place.
pub(in crate::rt) struct Sleep {
    until: Duration,
    key: Option<(Duration, u64)>,
}

impl Sleep {
    pub(in crate::rt) fn new(duration: Duration) -> Sleep {
        Sleep {
            until: with_place(|place, time| time.saturating_add(place.clock.global(duration))),
            key: None,
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        EXECUTOR.with(|executor| {
            if executor.time.get() >= self.until {
                return Poll::Ready(());
            }
            let until = self.until;
            let key = *self.key.get_or_insert_with(|| (until, executor.number()));
            executor
                .sleeping
                .borrow_mut()
                .insert(key, context.waker().clone());
            Poll::Pending
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            // The thread may be ending.
            let removed = EXECUTOR.try_with(|executor| executor.sleeping.borrow_mut().remove(&key));
            drop(removed);
        }
    }
}
