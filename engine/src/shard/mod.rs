//! A shard: one thread's services, waiters, timers and connections, and the loop that serves them.
//!
//! Everything in a [`Shard`] belongs to one thread and is reached without a lock. Its work comes in turns:
//! a [`Shard::turn`] takes what other shards sent, runs it, hands over what is staged for them, and writes
//! every connection that has output. A turn is asked for (`Shard::request_turn`) by whoever leaves
//! something behind that a turn must finish; several requests make one turn, after the tasks that are
//! runnable by then: so replies and calls leave in batches.
//!
//! Invariants: no `RefCell` of a shard stays borrowed while foreign code runs (handlers, wakers, errands);
//! a turn is bounded in time; order from one shard to another is kept.

pub(crate) mod clock;
pub(crate) mod envelope;
pub(crate) mod mesh;
pub(crate) mod slab;
pub(crate) mod turn;
pub(crate) mod waiters;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use rustc_hash::FxHashMap;
use skyring_codec::Millis;
use skyring_codec::wheel::{TimerKey, TimerWheel};

use crate::client::Slot;
use crate::cluster::ClusterShard;
use crate::cluster::connection::Flush;
use crate::error::Error;
use crate::node::shared::NodeShared;
use crate::rt::guard::Guard;
use crate::rt::notify::Notify;
use crate::rt::read_buffer::ReadBuffer;
use crate::service::cell::Deliver;
use crate::service::handle::Handle;
use crate::service::message::Payload;
use crate::service::names::Names;
use crate::shard::envelope::{Due, ReplyTo};
use crate::shard::mesh::Staged;
use crate::shard::slab::Key;
use crate::shard::waiters::{Notice, Outcome, Polled, Waiters};
use crate::socket::SocketShard;
use crate::versioned::Reader;

/// What a timer of the shard is for.
pub(crate) enum Timer {
    /// Ends a sleep, or a call's patience.
    Waiter(Key),
    /// A channel to a peer has a deadline to look at.
    Channel(Key),
    /// An accepted connection has something to do.
    Inbound(Key),
    /// A call that waits for its node to appear in the map gives up.
    Parked(Key),
    /// Calls that have waited for their node go on their way.
    Release,
    /// The patience with some node may be at its end.
    Detector,
    /// A call to a group is to be sent to a second member.
    Hedge(Key),
    /// A service asked to be woken; see `service::posting`.
    Service(Handle, u32),
}

/// One thread's part of a node.
pub(crate) struct Shard {
    /// Its number, 0..threads.
    pub(crate) index: usize,
    /// What all shards of the node share.
    pub(crate) node: Arc<NodeShared>,
    /// Names, as of the newest change.
    pub(crate) names: Reader<Names>,
    /// What this shard knows of other nodes.
    pub(crate) cluster: ClusterShard,
    /// The sockets of services that live here.
    pub(crate) sockets: SocketShard,
    /// What its connections read into.
    pub(crate) read_buffer: ReadBuffer,
    services: RefCell<FxHashMap<Handle, Rc<dyn Deliver>>>,
    waiters: RefCell<Waiters>,
    timers: RefCell<TimerWheel<Timer>>,
    timer_armed: Cell<Millis>,
    timer_changed: Notify,
    now: Cell<Millis>,
    /// Messages for services of this shard that came while another was being handled.
    pub(crate) run_queue: RefCell<VecDeque<Due>>,
    pub(crate) handling: Cell<bool>,
    /// Messages for other shards, handed over at the end of a turn.
    staged: Box<[RefCell<Staged>]>,
    /// Messages and replies that were staged since the last hand-over.
    crossed: Cell<u64>,
    /// Connections with output.
    unflushed: RefCell<Vec<Rc<dyn Flush>>>,
    turn_wanted: Notify,
    turn_wanted_since: Cell<Option<Instant>>,
    guard: Guard,
    /// Calls that completed since the executor last looked at its I/O.
    completed_since_io: Cell<u32>,
    relaxing: RefCell<Vec<Waker>>,
    relax_wanted: Notify,
    pub(crate) stopping: Cell<bool>,
    stopped: Notify,
    /// Ends the guard's wait when the shard stops.
    guard_hurried: Notify,
    /// The shard's own tasks that run.
    own_tasks: Cell<usize>,
}

impl Shard {
    pub(crate) fn new(index: usize, node: Arc<NodeShared>) -> Rc<Shard> {
        let shards = node.ports.len();
        let now = clock::now_ms();
        Rc::new(Shard {
            index,
            names: Reader::new(Arc::clone(&node.names)),
            cluster: ClusterShard::new(&node),
            sockets: SocketShard::new(index, shards),
            read_buffer: ReadBuffer::default(),
            services: RefCell::default(),
            waiters: RefCell::default(),
            timers: RefCell::new(TimerWheel::new(now)),
            timer_armed: Cell::new(Millis::MAX),
            timer_changed: Notify::default(),
            now: Cell::new(now),
            run_queue: RefCell::default(),
            handling: Cell::new(false),
            staged: (0..shards).map(|_| RefCell::default()).collect(),
            crossed: Cell::new(0),
            unflushed: RefCell::default(),
            turn_wanted: Notify::default(),
            turn_wanted_since: Cell::new(None),
            guard: Guard::default(),
            completed_since_io: Cell::new(0),
            relaxing: RefCell::default(),
            relax_wanted: Notify::default(),
            stopping: Cell::new(false),
            stopped: Notify::default(),
            guard_hurried: Notify::default(),
            own_tasks: Cell::new(0),
            node,
        })
    }

    /// How many shards the node has.
    pub(crate) fn shards(&self) -> usize {
        self.node.ports.len()
    }

    /// The shard's time: looked up when it wakes, so at most a turn old.
    pub(crate) fn now(&self) -> Millis {
        self.now.get()
    }

    /// Looks at the clock.
    pub(crate) fn update_now(&self) -> Millis {
        let now = clock::now_ms();
        self.now.set(now);
        now
    }

    /// Writes a log line in a service's name; 0 is the node's own.
    pub(crate) fn log(&self, source: Handle, text: impl std::fmt::Display) {
        self.node.logger.log(source.0, text);
    }

    // ---- timers ----

    /// Sets a timer. Never early; late by at most a millisecond and the turn that runs.
    pub(crate) fn set_timer(&self, deadline: Millis, timer: Timer) -> TimerKey {
        let key = self.timers.borrow_mut().insert(deadline, timer);
        if deadline < self.timer_armed.get() {
            self.timer_armed.set(deadline);
            self.timer_changed.wake();
        }
        key
    }

    /// Cancels a timer; one that has gone off is no error.
    pub(crate) fn cancel_timer(&self, key: TimerKey) {
        self.timers.borrow_mut().cancel(key);
    }

    // ---- waiters ----

    /// A new waiter, limited by `deadline` if there is one.
    #[inline(always)]
    pub(crate) fn insert_waiter(&self, deadline: Option<Millis>) -> Key {
        let key = self.waiters.borrow_mut().insert();
        if let Some(deadline) = deadline {
            let timer = self.set_timer(deadline, Timer::Waiter(key));
            self.waiters.borrow_mut().set_timer(key, timer);
        }
        key
    }

    /// Where the answer for a waiter of this shard goes.
    pub(crate) fn waiter(&self, key: Key) -> ReplyTo {
        ReplyTo::Waiter {
            shard: self.index as u16,
            key,
        }
    }

    /// Gives a waiter of this shard its outcome. One that is gone counts as a late reply.
    pub(crate) fn complete_waiter(&self, key: Key, outcome: Outcome) {
        let completed = self.waiters.borrow_mut().complete(key, outcome);
        let Some((notice, timer)) = completed else {
            // A stopping node has dropped its callers, and nobody is late for them.
            if !self.stopping.get() {
                self.node.metrics.replies_late.add(1);
            }
            return;
        };
        if let Some(timer) = timer {
            self.cancel_timer(timer);
        }
        match notice {
            Notice::Task(Some(waker)) => waker.wake(),
            Notice::Task(None) => {}
            Notice::Outside(slot, outcome) => slot.complete(outcome),
        }
    }

    /// A new waiter for a caller on another thread, limited by `deadline` if there is one.
    pub(crate) fn insert_outside_waiter(&self, slot: Arc<Slot>, deadline: Option<Millis>) -> Key {
        let key = self.waiters.borrow_mut().insert_outside(slot);
        if let Some(deadline) = deadline {
            let timer = self.set_timer(deadline, Timer::Waiter(key));
            self.waiters.borrow_mut().set_timer(key, timer);
        }
        key
    }

    /// Tells the callers on other threads that the shard stops.
    pub(crate) fn end_outside_waiters(&self) {
        let slots = self.waiters.borrow_mut().drain_outside();
        for slot in slots {
            slot.complete(Outcome::Answer(Err(Error::ShuttingDown)));
        }
    }

    /// Gives a waiter of this shard the answer to its call, as [`complete_waiter`](Self::complete_waiter) does.
    #[inline(always)]
    pub(crate) fn answer_waiter(&self, key: Key, payload: Payload) {
        let answered = self.waiters.borrow_mut().answer(key, payload);
        match answered {
            Ok((waker, timer)) => {
                if let Some(timer) = timer {
                    self.cancel_timer(timer);
                }
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Err(payload) => self.complete_waiter(key, Outcome::Answer(Ok(payload))),
        }
    }

    /// See [`Waiters::poll`].
    #[inline(always)]
    pub(crate) fn poll_call(&self, key: Key, waker: &Waker) -> Polled {
        self.waiters.borrow_mut().poll(key, waker)
    }

    /// The same for those who look at every outcome alike.
    pub(crate) fn poll_waiter(&self, key: Key, waker: &Waker) -> Option<Outcome> {
        match self.poll_call(key, waker) {
            Polled::Pending => None,
            Polled::Payload(payload) => Some(Outcome::Answer(Ok(payload))),
            Polled::Outcome(outcome) => Some(outcome),
        }
    }

    /// Ends a waiter that nobody polls any more.
    pub(crate) fn forget_waiter(&self, key: Key) {
        let timer = self.waiters.borrow_mut().forget(key);
        if let Some(timer) = timer {
            self.cancel_timer(timer);
        }
    }

    /// How many calls and sleeps wait on this shard.
    pub(crate) fn waiters(&self) -> usize {
        self.waiters.borrow().len()
    }

    // ---- services ----

    /// Takes a service in.
    pub(crate) fn insert_service(&self, handle: Handle, service: Rc<dyn Deliver>) {
        self.services.borrow_mut().insert(handle, service);
    }

    /// The service of this shard with that handle.
    pub(crate) fn service(&self, handle: Handle) -> Option<Rc<dyn Deliver>> {
        self.services.borrow().get(&handle).cloned()
    }

    /// Takes a service out, with its names. What it leaves unanswered is answered with an error.
    pub(crate) fn remove_service(&self, handle: Handle) {
        let removed = self.services.borrow_mut().remove(&handle);
        if let Some(service) = removed {
            if self.names.read(|names| names.has(handle)) {
                let _ = self.node.names.update(|names| {
                    names.forget(handle);
                    Ok::<(), ()>(())
                });
            }
            if service.life().owns_sockets.get() {
                self.close_sockets_of(handle);
            }
            service.end();
        }
    }
}
