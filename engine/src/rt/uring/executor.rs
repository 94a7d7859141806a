//! One pinned executor per shard thread: it runs tasks in the order in which they were woken, looks at its
//! ring between two passes over them, and sleeps when there is nothing to do.
//!
//! A pass runs the tasks that were runnable when it began; what they wake runs in the next one. So a task that is
//! woken during a pass runs after everything that the pass was to do, which is how replies and calls leave
//! in batches.
//!
//! Invariants: an executor sleeps only after it has announced its sleep and then found no runnable task, no
//! wake-up from another thread and no work that its [`watch`] knows of; tasks run and are dropped on
//! their own thread, whichever thread wakes them; when the main future has ended, the tasks that are left are dropped.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_task::Builder;
use crossbeam::queue::SegQueue;
use pin_project_lite::pin_project;
use slab::Slab;

use super::ring::{self, Ring};
use super::timers::Timers;
use crate::rt::SWITCHED_OFF;
use crate::rt::doorbell::Bell;

/// Looks at memory between two looks at the clock while an executor spins.
const SPINS_PER_CLOCK: u32 = 32;

/// Rounds of dropping tasks that wake others as they are dropped, at the end of an executor.
const END_ROUNDS_MAX: usize = 100;

/// A task that is to run. It carries the way to its executor: a function that schedules without anything captured is
/// called without counting another reference to the task.
type Runnable = async_task::Runnable<Arc<Door>>;

/// What wakers hold: they may be on any thread, and outlive the executor.
struct Door {
    /// Tasks that were woken by other threads. Each is here once at most.
    woken: SegQueue<Runnable>,
    bell: Arc<Bell>,
}

/// The executor of this thread.
pub(super) struct Executor {
    door: Arc<Door>,
    runnable: RefCell<VecDeque<Runnable>>,
    /// A waker for every task, to end those that are left at the end.
    tasks: RefCell<Slab<Waker>>,
    pub(super) ring: Ring,
    pub(super) timers: Timers,
    watch: RefCell<Option<Box<dyn Fn()>>>,
    spin: Duration,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Executor>>> = const { RefCell::new(None) };
    /// The address of this thread's door, so that a waker knows where it is.
    static DOOR: Cell<*const Door> = const { Cell::new(std::ptr::null()) };
}

/// The executor of this thread; only tasks and the main future ask.
pub(super) fn current() -> io::Result<Rc<Executor>> {
    CURRENT
        .with_borrow(Option::clone)
        .ok_or_else(|| io::Error::other("this thread runs no executor"))
}

/// Checks once, before any thread starts, that this kernel has what an executor needs. The error's text says
/// what to do.
pub(in crate::rt) fn prepare() -> io::Result<()> {
    ring::probe().map_err(|error| {
        let advice = match error.raw_os_error() {
            Some(libc::ENOSYS) => {
                "the kernel has no io_uring: Linux 6.1 or newer is needed, or `runtime = \"glommio\"` where \
                 there is one"
            }
            Some(libc::EPERM | libc::EACCES) => SWITCHED_OFF,
            Some(libc::ENOMEM) => {
                "no memory for the rings: raise the memory limit of the process or its container"
            }
            _ if error.kind() == io::ErrorKind::Unsupported => {
                "the kernel's io_uring is too old: Linux 6.1 or newer is needed, or `runtime = \"glommio\"`"
            }
            _ => "io_uring cannot be set up",
        };
        io::Error::new(error.kind(), format!("{advice} ({error})"))
    })
}

/// Runs `main` and what it spawns on this thread.
pub(in crate::rt) fn run<G, F>(bell: Arc<Bell>, spin: Duration, main: G) -> io::Result<()>
where
    G: FnOnce() -> F,
    F: Future<Output = ()> + 'static,
{
    let executor = Rc::new(Executor {
        ring: Ring::new(&bell)?,
        door: Arc::new(Door {
            woken: SegQueue::new(),
            bell,
        }),
        runnable: RefCell::default(),
        tasks: RefCell::default(),
        timers: Timers::default(),
        watch: RefCell::default(),
        spin,
    });
    let _current = Current::enter(&executor);
    let ended = Rc::new(Cell::new(false));
    let end = Ended(Rc::clone(&ended));
    let main = main();
    executor.spawn(async move {
        let _end = end;
        main.await;
    });
    while !ended.get() {
        executor.pass();
        if ended.get() {
            break;
        }
        executor.poll()?;
        if executor.runnable.borrow().is_empty() {
            executor.idle()?;
        }
    }
    Ok(())
}

/// Set when the main future has ended, however it has.
struct Ended(Rc<Cell<bool>>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// This thread's executor, as long as it lives.
struct Current;

impl Current {
    fn enter(executor: &Rc<Executor>) -> Current {
        DOOR.set(Arc::as_ptr(&executor.door));
        CURRENT.set(Some(Rc::clone(executor)));
        Current
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        if let Some(executor) = CURRENT.with_borrow(Option::clone) {
            executor.end();
        }
        CURRENT.set(None);
        DOOR.set(std::ptr::null());
    }
}

impl Executor {
    fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        let mut tasks = self.tasks.borrow_mut();
        let entry = tasks.vacant_entry();
        let task = Listed {
            task,
            entry: Entry {
                executor: Rc::clone(self),
                key: entry.key(),
            },
        };
        let door = Arc::clone(&self.door);
        let (runnable, task) = Builder::new().metadata(door).spawn_local(move |_| task, schedule);
        entry.insert(runnable.waker());
        drop(tasks);
        runnable.schedule();
        task.detach();
    }

    /// Runs the tasks that are runnable now.
    fn pass(&self) {
        let count = self.runnable.borrow().len();
        for _ in 0..count {
            let Some(runnable) = self.runnable.borrow_mut().pop_front() else {
                return;
            };
            runnable.run();
        }
    }

    /// Takes what other threads, timers and the kernel have for the next pass.
    fn poll(&self) -> io::Result<()> {
        let has_work = !self.runnable.borrow().is_empty();
        self.ring.poll(has_work)?;
        self.poll_outside();
        self.timers.wake_expired();
        Ok(())
    }

    /// Takes what other threads have.
    fn poll_outside(&self) {
        while let Some(runnable) = self.door.woken.pop() {
            self.runnable.borrow_mut().push_back(runnable);
        }
        if let Some(watch) = &*self.watch.borrow() {
            watch();
        }
    }

    /// Sleeps until there is something to do, or looks for it a while first.
    fn idle(&self) -> io::Result<()> {
        if !self.spin.is_zero() {
            self.spin()?;
            if !self.runnable.borrow().is_empty() {
                return Ok(());
            }
        }
        self.door.bell.announce();
        self.poll_outside();
        let slept = if self.runnable.borrow().is_empty() {
            self.ring.wait(self.timers.next())
        } else {
            Ok(())
        };
        self.door.bell.withdraw();
        slept?;
        self.poll_outside();
        self.timers.wake_expired();
        Ok(())
    }

    /// Looks for work without sleeping, for as long as was asked for.
    fn spin(&self) -> io::Result<()> {
        let until = Instant::now() + self.spin;
        self.ring.submit()?;
        loop {
            for _ in 0..SPINS_PER_CLOCK {
                if self.ring.has_completions() {
                    self.ring.poll(true)?;
                    return self.poll();
                }
                self.poll_outside();
                if !self.runnable.borrow().is_empty() {
                    return Ok(());
                }
                std::hint::spin_loop();
            }
            self.timers.wake_expired();
            if !self.runnable.borrow().is_empty() || Instant::now() >= until {
                return Ok(());
            }
        }
    }

    /// Drops every task that is left.
    fn end(&self) {
        self.watch.take();
        for _ in 0..END_ROUNDS_MAX {
            let wakers: Vec<Waker> = self
                .tasks
                .borrow()
                .iter()
                .map(|(_, waker)| waker.clone())
                .collect();
            for waker in wakers {
                // Whatever is woken is in a queue of ours, or is there already.
                waker.wake();
            }
            let mut left: VecDeque<Runnable> = self.runnable.take();
            while let Some(runnable) = self.door.woken.pop() {
                left.push_back(runnable);
            }
            // Dropping what is runnable drops its future.
            drop(left);
            if self.tasks.borrow().is_empty() {
                return;
            }
            // Another thread is about to put the rest into our queue.
            std::thread::yield_now();
        }
    }
}

pin_project! {
    /// A task, which is in the list while its future lives. No `async` block: it would have two places for the future.
    struct Listed<F> {
        #[pin]
        task: F,
        entry: Entry,
    }
}

impl<F: Future> Future for Listed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.project().task.poll(context)
    }
}

/// The entry of a task in the list.
struct Entry {
    executor: Rc<Executor>,
    key: usize,
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Not there when the executor ends before its list is complete.
        let waker = self.executor.tasks.borrow_mut().try_remove(self.key);
        drop(waker);
    }
}

/// Puts a woken task where its executor finds it.
fn schedule(runnable: Runnable) {
    if DOOR.get() == Arc::as_ptr(runnable.metadata()) {
        let runnable = CURRENT.with_borrow(|current| match current {
            Some(executor) => {
                executor.runnable.borrow_mut().push_back(runnable);
                None
            }
            None => Some(runnable),
        });
        debug_assert!(runnable.is_none());
        return;
    }
    let door = Arc::clone(runnable.metadata());
    door.woken.push(runnable);
    door.bell.ring();
}

/// Runs a task on this thread's executor, after those that are runnable now. It ends when it ends, or with
/// the executor.
pub(in crate::rt) fn spawn(task: impl Future<Output = ()> + 'static) {
    let executor = current();
    debug_assert!(executor.is_ok());
    if let Ok(executor) = executor {
        executor.spawn(task);
    }
}

/// Has this thread's executor call `watch` between passes, and once more before each sleep. It looks for work
/// that came from other threads, and wakes the task that does it.
pub(in crate::rt) fn watch(watch: impl Fn() + 'static) {
    if let Ok(executor) = current() {
        *executor.watch.borrow_mut() = Some(Box::new(watch));
    }
}

/// Lets the tasks that are runnable now have their turn, and the executor look at its ring. What a task with
/// much to do calls between its pieces of work: without it nothing else on the shard happens.
pub(in crate::rt) async fn relax() {
    let mut has_waited = false;
    poll_fn(|context: &mut Context<'_>| {
        if has_waited {
            return Poll::Ready(());
        }
        has_waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
