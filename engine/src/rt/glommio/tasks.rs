//! Tasks with wakers that may be woken on any thread.
//!
//! A task's waker is of this file. On the task's own thread it wakes the executor's waker at once; on another thread it
//! leaves the task's number in a queue and rings the doorbell, whose task then wakes it.
//!
//! Invariants: a waker of the executor is cloned once for each task, and stays on its thread; a number whose task has
//! ended wakes nothing; every future is dropped before its executor.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crossbeam::queue::SegQueue;
use glommio::TaskQueueHandle;
use slab::Slab;

use super::poller::Poller;
use crate::rt::doorbell::Bell;

/// Rounds of dropping tasks that spawn others as they are dropped, at the end of an executor.
const END_ROUNDS_MAX: usize = 100;

/// Names a task of a thread; numbers are used again, generations are not.
#[derive(Clone, Copy, PartialEq, Eq)]
struct TaskKey {
    number: usize,
    generation: u64,
}

/// What wakers hold: they may be on any thread, and outlive the executor.
struct Door {
    woken: SegQueue<TaskKey>,
    bell: Arc<Bell>,
}

/// A task: its future, and how it is polled again.
struct Entry {
    generation: u64,
    /// `None` while it is polled.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    waker: Waker,
    /// Of the executor, which polls the task's [`Shell`].
    shell: Option<Waker>,
}

/// What this thread's executor and its tasks share.
pub(super) struct Local {
    door: Arc<Door>,
    tasks: RefCell<Slab<Entry>>,
    generation: Cell<u64>,
    is_ending: Cell<bool>,
    watch: RefCell<Option<Box<dyn Fn()>>>,
    poller: RefCell<Option<Rc<Poller>>>,
}

thread_local! {
    static LOCAL: RefCell<Option<Rc<Local>>> = const { RefCell::new(None) };
    /// The address of this thread's door, so that a waker knows where it is.
    static DOOR: Cell<*const Door> = const { Cell::new(std::ptr::null()) };
}

impl Local {
    /// Lets this thread run tasks.
    pub(super) fn enter(bell: Arc<Bell>) -> Rc<Local> {
        let local = Rc::new(Local {
            door: Arc::new(Door {
                woken: SegQueue::new(),
                bell,
            }),
            tasks: RefCell::default(),
            generation: Cell::new(0),
            is_ending: Cell::new(false),
            watch: RefCell::default(),
            poller: RefCell::default(),
        });
        DOOR.set(Arc::as_ptr(&local.door));
        LOCAL.set(Some(Rc::clone(&local)));
        local
    }

    /// Drops every task that is left, before the executor is.
    pub(super) async fn end(&self) {
        self.watch.take();
        self.is_ending.set(true);
        for _ in 0..END_ROUNDS_MAX {
            let left: Vec<_> = {
                let mut tasks = self.tasks.borrow_mut();
                let entries = tasks.iter_mut();
                entries
                    .map(|(_, entry)| (entry.future.take(), entry.shell.take()))
                    .collect()
            };
            if left.is_empty() {
                return;
            }
            for (future, shell) in left {
                // Dropping it may spawn others.
                drop(future);
                if let Some(shell) = shell {
                    shell.wake();
                }
            }
            // The shells find that they have no future.
            super::executor::relax().await;
        }
    }

    /// Forgets this thread.
    pub(super) fn leave(&self) {
        self.poller.take();
        DOOR.set(std::ptr::null());
        LOCAL.set(None);
    }

    /// Takes what other threads have.
    pub(super) fn take_outside(&self) {
        while let Some(task) = self.door.woken.pop() {
            self.wake(task);
        }
        let poller = self.poller.borrow().clone();
        if let Some(poller) = poller {
            poller.wake_ready();
        }
        if let Some(watch) = &*self.watch.borrow() {
            watch();
        }
    }

    fn wake(&self, task: TaskKey) {
        let shell = {
            let tasks = self.tasks.borrow();
            let entry = tasks.get(task.number);
            entry
                .filter(|entry| entry.generation == task.generation)
                .and_then(|entry| entry.shell.clone())
        };
        if let Some(shell) = shell {
            shell.wake();
        }
    }

    /// The thread that watches descriptors for this one; started when it is first asked for.
    pub(super) fn poller(&self) -> std::io::Result<Rc<Poller>> {
        let mut poller = self.poller.borrow_mut();
        if let Some(poller) = &*poller {
            return Ok(Rc::clone(poller));
        }
        let started = Rc::new(Poller::start(Arc::clone(&self.door.bell))?);
        *poller = Some(Rc::clone(&started));
        Ok(started)
    }
}

/// What this thread's executor and its tasks share; an error on a thread without one.
pub(super) fn local() -> std::io::Result<Rc<Local>> {
    LOCAL
        .with_borrow(Option::clone)
        .ok_or_else(|| std::io::Error::other("this thread runs no executor"))
}

struct TaskWaker {
    task: TaskKey,
    door: Arc<Door>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if DOOR.get() == Arc::as_ptr(&self.door) {
            if let Ok(local) = local() {
                local.wake(self.task);
            }
            return;
        }
        self.door.woken.push(self.task);
        self.door.bell.ring();
    }
}

/// A task, as the executor polls it. The future is in the list of tasks, so that it can be dropped there.
struct Shell {
    local: Rc<Local>,
    task: TaskKey,
}

impl Future for Shell {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (mut future, waker) = {
            let mut tasks = self.local.tasks.borrow_mut();
            let Some(entry) = tasks.get_mut(self.task.number) else {
                return Poll::Ready(());
            };
            let is_known = entry
                .shell
                .as_ref()
                .is_some_and(|shell| shell.will_wake(context.waker()));
            if !is_known {
                entry.shell = Some(context.waker().clone());
            }
            let Some(future) = entry.future.take() else {
                return Poll::Ready(());
            };
            (future, entry.waker.clone())
        };
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() || self.local.is_ending.get() {
            return Poll::Ready(());
        }
        if let Some(entry) = self.local.tasks.borrow_mut().get_mut(self.task.number) {
            entry.future = Some(future);
        }
        Poll::Pending
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let ended = self.local.tasks.borrow_mut().try_remove(self.task.number);
        drop(ended);
    }
}

/// Runs a task on this thread's executor, after those that are runnable now.
pub(in crate::rt) fn spawn(future: impl Future<Output = ()> + 'static) {
    let Ok(local) = local() else {
        debug_assert!(false, "this thread runs no executor");
        return;
    };
    let generation = local.generation.get() + 1;
    local.generation.set(generation);
    let task = {
        let mut tasks = local.tasks.borrow_mut();
        let vacant = tasks.vacant_entry();
        let task = TaskKey {
            number: vacant.key(),
            generation,
        };
        vacant.insert(Entry {
            generation,
            future: Some(Box::pin(future)),
            waker: Waker::from(Arc::new(TaskWaker {
                task,
                door: Arc::clone(&local.door),
            })),
            shell: None,
        });
        task
    };
    let shell = Shell { local, task };
    // `spawn_local` would poll it in here at once, while its spawner holds what it may need: a handler its service's
    // state. The default queue is always there.
    let spawned = glommio::spawn_local_into(shell, TaskQueueHandle::default());
    debug_assert!(spawned.is_ok());
    if let Ok(spawned) = spawned {
        spawned.detach();
    }
}

/// Has `watch` called whenever the doorbell was rung, before each wait for it, and whenever a task relaxes.
pub(in crate::rt) fn watch(watch: impl Fn() + 'static) {
    if let Ok(local) = local() {
        *local.watch.borrow_mut() = Some(Box::new(watch));
        // What came before is taken now.
        local.take_outside();
    }
}
