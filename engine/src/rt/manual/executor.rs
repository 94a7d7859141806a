//! The tasks of the test's thread, and its time.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::rt::{RUNTIME, Runtime};

/// Polls of one [`run`], so that a task that wakes itself for ever fails its test.
const POLLS_MAX: usize = 1_000_000;

type Task = Pin<Box<dyn Future<Output = ()>>>;

#[derive(Default)]
struct Executor {
    tasks: RefCell<BTreeMap<u64, Task>>,
    next: Cell<u64>,
    /// Woken tasks, in order. Wakers may be dropped on any thread.
    woken: Arc<Mutex<VecDeque<u64>>>,
    now: Cell<Duration>,
    sleeping: RefCell<BTreeMap<(Duration, u64), Waker>>,
}

thread_local! {
    static EXECUTOR: Executor = Executor::default();
}

struct TaskWaker {
    task: u64,
    woken: Arc<Mutex<VecDeque<u64>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        if !woken.contains(&self.task) {
            woken.push_back(self.task);
        }
    }
}

/// Makes this the runtime of the test's thread.
pub(crate) fn enter() {
    RUNTIME.set(Runtime::Manual);
}

/// The virtual time, in milliseconds; `None` on a thread with another runtime.
pub(crate) fn now_ms() -> Option<u64> {
    (RUNTIME.get() == Runtime::Manual)
        .then(|| EXECUTOR.with(|executor| executor.now.get().as_millis() as u64))
}

/// Runs every task that is woken, and those that these wake, until none is.
pub(crate) fn run() {
    for _ in 0..POLLS_MAX {
        let next = EXECUTOR.with(|executor| {
            let mut woken = executor.woken.lock().unwrap_or_else(PoisonError::into_inner);
            woken.pop_front()
        });
        let Some(task) = next else { return };
        // Out of the table while it is polled: it may spawn others.
        let Some(mut future) = EXECUTOR.with(|executor| executor.tasks.borrow_mut().remove(&task)) else {
            continue;
        };
        let waker = EXECUTOR.with(|executor| {
            Waker::from(Arc::new(TaskWaker {
                task,
                woken: Arc::clone(&executor.woken),
            }))
        });
        if future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
        {
            EXECUTOR.with(|executor| executor.tasks.borrow_mut().insert(task, future));
        }
    }
    panic!("the tasks wake each other for ever");
}

/// Lets time pass, and runs what that wakes, sleep by sleep.
pub(crate) fn advance(time: Duration) {
    let until = EXECUTOR.with(|executor| executor.now.get()) + time;
    loop {
        let next = EXECUTOR.with(|executor| {
            let mut sleeping = executor.sleeping.borrow_mut();
            let first = sleeping.first_entry().filter(|first| first.key().0 <= until)?;
            executor.now.set(first.key().0);
            Some(first.remove())
        });
        match next {
            Some(waker) => waker.wake(),
            None => break,
        }
        run();
    }
    EXECUTOR.with(|executor| executor.now.set(until));
    run();
}

pub(in crate::rt) fn spawn(task: impl Future<Output = ()> + 'static) {
    EXECUTOR.with(|executor| {
        let number = executor.next.get();
        executor.next.set(number + 1);
        executor.tasks.borrow_mut().insert(number, Box::pin(task));
        let mut woken = executor.woken.lock().unwrap_or_else(PoisonError::into_inner);
        woken.push_back(number);
    });
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

/// A sleep of virtual time.
pub(in crate::rt) struct Sleep {
    until: Duration,
    key: Option<(Duration, u64)>,
}

impl Sleep {
    pub(in crate::rt) fn new(duration: Duration) -> Sleep {
        Sleep {
            until: EXECUTOR.with(|executor| executor.now.get()) + duration,
            key: None,
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        EXECUTOR.with(|executor| {
            if executor.now.get() >= self.until {
                return Poll::Ready(());
            }
            let until = self.until;
            let key = *self.key.get_or_insert_with(|| {
                let number = executor.next.get();
                executor.next.set(number + 1);
                (until, number)
            });
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
            let _ = EXECUTOR.try_with(|executor| executor.sleeping.borrow_mut().remove(&key));
        }
    }
}
