//! A thread that watches descriptors for a shard: listening sockets, UDP sockets, the standard input.
//!
//! Invariants: a descriptor is watched only while a task waits for it; each wait is completed once. A number is
//! used again, so an event of a descriptor that is gone may wake the next one with its number, which checks and waits on.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::thread::JoinHandle;

use crossbeam::queue::SegQueue;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use slab::Slab;

use crate::rt::doorbell::Bell;

/// What the event that ends the thread says it is for.
const STOP: u64 = u64::MAX;

/// Events that one look takes.
const EVENTS_MAX: usize = 64;

struct Shared {
    epoll: OwnedFd,
    stop: OwnedFd,
    is_stopping: AtomicBool,
    ready: SegQueue<u64>,
    bell: Arc<Bell>,
}

/// The shard's side of the thread.
pub(super) struct Poller {
    shared: Arc<Shared>,
    /// The waiting wakers, by the number of the descriptor.
    waiting: RefCell<Slab<Option<Waker>>>,
    thread: Option<JoinHandle<()>>,
}

impl Poller {
    /// Starts the thread, which rings `bell` when something is readable.
    pub(super) fn start(bell: Arc<Bell>) -> io::Result<Poller> {
        let shared = Arc::new(Shared {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            stop: eventfd(0, EventfdFlags::CLOEXEC)?,
            is_stopping: AtomicBool::new(false),
            ready: SegQueue::new(),
            bell,
        });
        epoll::add(
            &shared.epoll,
            &shared.stop,
            EventData::new_u64(STOP),
            EventFlags::IN,
        )?;
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("poller".to_owned())
                .spawn(move || shared.run())?
        };
        Ok(Poller {
            shared,
            waiting: RefCell::default(),
            thread: Some(thread),
        })
    }

    /// Takes in a descriptor; gives its number.
    pub(super) fn insert(&self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        let number = self.waiting.borrow_mut().insert(None);
        let added = epoll::add(
            &self.shared.epoll,
            fd,
            EventData::new_u64(number as u64),
            EventFlags::ONESHOT,
        );
        if let Err(error) = added {
            self.waiting.borrow_mut().remove(number);
            return Err(error.into());
        }
        Ok(number)
    }

    /// Has `waker` woken once when the descriptor is readable.
    pub(super) fn wait(&self, number: usize, fd: BorrowedFd<'_>, waker: &Waker) -> io::Result<()> {
        let is_armed = self
            .waiting
            .borrow_mut()
            .get_mut(number)
            .is_some_and(|waiting| waiting.replace(waker.clone()).is_some());
        if !is_armed {
            let events = EventFlags::IN | EventFlags::ONESHOT;
            epoll::modify(&self.shared.epoll, fd, EventData::new_u64(number as u64), events)?;
        }
        Ok(())
    }

    /// Lets go of a descriptor.
    pub(super) fn remove(&self, number: usize, fd: BorrowedFd<'_>) {
        // It is there until now.
        let _ = epoll::delete(&self.shared.epoll, fd);
        self.waiting.borrow_mut().try_remove(number);
    }

    /// Wakes those whose descriptors have become readable.
    pub(super) fn wake_ready(&self) {
        while let Some(number) = self.shared.ready.pop() {
            let waker = self
                .waiting
                .borrow_mut()
                .get_mut(number as usize)
                .and_then(Option::take);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.shared.is_stopping.store(true, Ordering::Release);
        let _ = rustix::io::write(&self.shared.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            events.clear();
            match epoll::wait(
                self.epoll.as_fd(),
                rustix::buffer::spare_capacity(&mut events),
                None,
            ) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                // The shard's guard and its owner's own time limits are left.
                Err(_) => return,
            }
            if self.is_stopping.load(Ordering::Acquire) {
                return;
            }
            for event in &events {
                self.ready.push(event.data.u64());
            }
            self.bell.ring();
        }
    }
}
