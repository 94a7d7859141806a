//! The core of a shard; see [`core`](super).

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use skyring_codec::Millis;
use skyring_codec::wheel::TimerKey;

use crate::core::activity::{Figures, Work};
use crate::core::clock;
use crate::core::envelope::Envelope;
use crate::core::fairness::Fairness;
use crate::core::handle::{Address, Handle, KEYED};
use crate::core::names::Names;
use crate::core::node::NodeShared;
use crate::core::payload::Payload;
use crate::core::placement::shard_of_key;
use crate::core::request::{Outgoing, RemoteRequest, ReplyTo, Request};
use crate::core::route::Route;
use crate::core::router::Flush;
use crate::core::router::Job;
use crate::core::router::Router;
use crate::core::socket_event::Delivery;
use crate::core::timers::{Timer, Timers};
use crate::core::trace_state::TraceState;
use crate::core::versioned::Reader;
use crate::core::waiters::Waiters;
use crate::error::Error;
use crate::log::{Level, Origin};
use crate::rt;
use crate::rt::notify::Notify;
use crate::rt::read_buffer::ReadBuffer;

/// The state that all rooms of a shard share, and the router between them.
pub(crate) struct ShardCore<R: ?Sized = dyn Router> {
    /// The shard's number, 0..threads.
    pub(crate) index: usize,
    /// The state that all shards of the node share.
    pub(crate) node: Arc<NodeShared>,
    /// The names of services.
    pub(crate) names: Reader<Names>,
    /// The buffer that its connections read into.
    pub(crate) read_buffer: ReadBuffer,
    pub(super) waiters: RefCell<Waiters>,
    pub(crate) timers: Timers,
    pub(crate) fairness: Fairness,
    pub(crate) tracing: TraceState,
    pub(crate) figures: Figures,
    now: Cell<Millis>,
    /// A handler runs: further messages are queued.
    pub(crate) is_handling: Cell<bool>,
    /// Connections with output.
    unflushed: RefCell<Vec<Rc<dyn Flush>>>,
    pub(crate) turn_requested: Notify,
    turn_requested_since: Cell<Option<Instant>>,
    /// The shard is stopping.
    pub(crate) stopping: Cell<bool>,
    /// Woken when it begins to stop.
    pub(crate) stopped: Notify,
    /// Routes what leaves a room. The last field, so that a core with any router coerces to one with `dyn Router`.
    pub(crate) router: R,
}

impl<R> ShardCore<R> {
    pub(crate) fn new(index: usize, node: Arc<NodeShared>, router: R) -> Rc<ShardCore<R>> {
        let now = clock::now_ms();
        Rc::new(ShardCore {
            index,
            names: Reader::new(Arc::clone(&node.names)),
            read_buffer: ReadBuffer::default(),
            waiters: RefCell::default(),
            timers: Timers::new(now),
            fairness: Fairness::default(),
            tracing: TraceState::new(node.settings.trace_every),
            figures: Figures::default(),
            now: Cell::new(now),
            is_handling: Cell::new(false),
            unflushed: RefCell::default(),
            turn_requested: Notify::default(),
            turn_requested_since: Cell::new(None),
            stopping: Cell::new(false),
            stopped: Notify::default(),
            node,
            router,
        })
    }
}

impl<R: ?Sized> ShardCore<R> {
    /// How many shards the node has.
    #[inline]
    pub(crate) fn shards(&self) -> usize {
        self.node.injectors.len()
    }

    /// Stops the shard.
    pub(crate) fn stop(&self) {
        self.stopping.set(true);
        self.stopped.wake();
    }

    // ---- time ----

    /// The shard's time: updated when it wakes, so at most a turn old.
    #[inline]
    pub(crate) fn now(&self) -> Millis {
        self.now.get()
    }

    /// Reads the clock.
    pub(crate) fn update_now(&self) -> Millis {
        let now = clock::now_ms();
        self.now.set(now);
        now
    }

    /// See [`Figures::begin`].
    #[inline(always)]
    pub(crate) fn begin_work(&self, work: &Work) -> Option<Instant> {
        self.figures.begin(work, self.now())
    }

    /// Records that the executor has polled its I/O.
    pub(crate) fn note_io_polled(&self) {
        self.fairness.reset();
        self.update_now();
    }

    /// Sets a timer. It is never early, and late by at most a millisecond and the current turn.
    #[inline]
    pub(crate) fn set_timer(&self, deadline: Millis, timer: Timer) -> TimerKey {
        self.timers.set(deadline, timer)
    }

    /// Cancels a timer; one that has expired is no error.
    #[inline]
    pub(crate) fn cancel_timer(&self, key: TimerKey) {
        self.timers.cancel(key);
    }

    // ---- turns ----

    /// Requests a turn after the tasks that are runnable now.
    pub(crate) fn request_turn(&self) {
        if self.turn_requested.wake() {
            self.turn_requested_since.set(Some(rt::now()));
        }
    }

    /// Whether a turn is requested that has not begun.
    pub(crate) fn is_turn_requested(&self) -> bool {
        self.turn_requested_since.get().is_some()
    }

    /// Takes the time since which the current turn was requested.
    pub(crate) fn take_turn_requested_since(&self) -> Option<Instant> {
        self.turn_requested_since.take()
    }

    /// Schedules a connection with output to be written at the end of the turn.
    pub(crate) fn flush_later(&self, connection: Rc<dyn Flush>) {
        self.unflushed.borrow_mut().push(connection);
        self.request_turn();
    }

    /// Removes one connection with output.
    pub(crate) fn pop_unflushed(&self) -> Option<Rc<dyn Flush>> {
        self.unflushed.borrow_mut().pop()
    }

    /// Runs `work` as if a message were being handled: messages that it sends on this shard are queued.
    pub(crate) fn hold_messages<T>(&self, work: impl FnOnce() -> T) -> T {
        /// Restores the flag, after a panic too.
        struct Hold<'a>(&'a Cell<bool>, bool);
        impl Drop for Hold<'_> {
            fn drop(&mut self) {
                self.0.set(self.1);
            }
        }
        let _hold = Hold(&self.is_handling, self.is_handling.replace(true));
        work()
    }

    // ---- names ----

    /// The service at an address of this node; of a keyed service, the instance of the key.
    #[inline]
    pub(crate) fn resolve(&self, address: &Address, key: u64) -> Result<Handle, Error> {
        let handle = match address {
            Address::Handle(handle) => *handle,
            Address::Name(name) => {
                self.names
                    .read(|names| names.resolve(name))
                    .ok_or_else(|| Error::NoSuchService {
                        address: name.as_str().into(),
                    })?
            }
        };
        Ok(self.instance(handle, key))
    }

    /// The target of a message with this key for this handle: an instance, when it is a keyed service. If the keyed
    /// service handle itself comes back, no instance is left.
    #[inline]
    pub(crate) fn instance(&self, handle: Handle, key: u64) -> Handle {
        if handle.0 & KEYED == 0 {
            return handle;
        }
        self.instance_on(handle, shard_of_key(key, self.shards()))
    }

    /// Like `instance`, by the number of the shard.
    pub(crate) fn instance_on(&self, handle: Handle, shard: usize) -> Handle {
        self.names
            .read(|names| names.instance(handle, shard))
            .unwrap_or(handle)
    }

    /// Writes a log line of a service; 0 is the node itself.
    pub(crate) fn log(&self, source: Handle, text: impl std::fmt::Display) {
        self.node.logger.log(source.0, text);
    }

    /// Writes a log line about the cluster.
    pub(crate) fn log_cluster(&self, level: Level, text: impl std::fmt::Display) {
        self.node
            .logger
            .write(Origin::Cluster, level, Handle::NONE.0, text);
    }

    /// Writes a log line about a service, of this level.
    pub(crate) fn log_service(&self, level: Level, source: Handle, text: impl std::fmt::Display) {
        self.node.logger.write(Origin::Service, level, source.0, text);
    }
}

impl ShardCore {
    // ---- what leaves a room ----

    /// See [`Router::request`].
    #[inline(always)]
    pub(crate) fn request(self: &Rc<Self>, mut request: Request) {
        self.router.request(self, &mut request);
    }

    /// See [`Router::request_by_route`].
    #[inline(always)]
    pub(crate) fn request_by_route(self: &Rc<Self>, route: &Route, outgoing: Outgoing<'_>) {
        self.router.request_by_route(self, route, outgoing);
    }

    /// See [`Router::request_remote`].
    pub(crate) fn request_remote(self: &Rc<Self>, request: RemoteRequest) {
        self.router.request_remote(self, request);
    }

    /// Delivers an answer to its waiter.
    #[inline]
    pub(crate) fn reply(self: &Rc<Self>, reply_to: ReplyTo, result: Result<Payload, Error>) {
        match reply_to {
            ReplyTo::Nobody => {}
            ReplyTo::Waiter { shard, key } if usize::from(shard) == self.index => self.answer(key, result),
            elsewhere => self.router.reply(self, elsewhere, result),
        }
    }

    /// Refuses a message: fails a call with the error, and counts a send as dropped.
    pub(crate) fn refuse(self: &Rc<Self>, reply_to: ReplyTo, error: Error) {
        if reply_to.session() == 0 {
            self.node.metrics.sends_dropped.add(1);
        }
        self.reply(reply_to, Err(error));
    }

    /// See [`Router::answer_service`].
    pub(crate) fn answer_service(
        self: &Rc<Self>,
        handle: Handle,
        session: u32,
        result: Result<Payload, Error>,
    ) {
        self.router.answer_service(self, handle, session, result);
    }

    /// See [`Router::deliver_event`].
    pub(crate) fn deliver_event(self: &Rc<Self>, delivery: Delivery) {
        self.router.deliver_event(self, delivery);
    }

    /// See [`Router::stage`].
    pub(crate) fn stage(&self, to: usize, envelope: Envelope) -> Result<(), Envelope> {
        self.router.stage(self, to, envelope)
    }

    /// Runs a job on another shard, at the end of this turn or later. Jobs are never refused.
    pub(crate) fn stage_job(&self, to: usize, job: Job) {
        let staged = self.stage(to, Envelope::Job(job));
        debug_assert!(staged.is_ok());
    }

    /// Runs `work` on a shard: on this one now, on another in its next turn.
    pub(crate) fn run_on(self: &Rc<Self>, to: usize, work: impl FnOnce(&Rc<ShardCore>) + Send + 'static) {
        if to == self.index {
            work(self);
        } else {
            self.stage_job(to, Box::new(work));
        }
    }

    /// Runs `work` on every shard: on this one now, on the others in their next turn.
    pub(crate) fn run_on_all(self: &Rc<Self>, work: impl Fn(&Rc<ShardCore>) + Clone + Send + 'static) {
        for index in 0..self.shards() {
            self.run_on(index, work.clone());
        }
    }

    /// See [`Router::has_service`].
    pub(crate) fn has_service(&self, handle: Handle) -> bool {
        self.router.has_service(handle)
    }

    /// See [`Router::inbox_depth`].
    pub(crate) fn inbox_depth(&self) -> usize {
        self.router.inbox_depth(self)
    }

    /// See [`Router::service_ended`].
    pub(crate) fn service_ended(self: &Rc<Self>, handle: Handle) {
        self.router.service_ended(self, handle);
    }

    /// The room with this type.
    ///
    /// # Panics
    /// When the shard has no such room, which is a mistake in its composition.
    pub(crate) fn room<T: Any>(&self) -> &T {
        let room = self.router.room(std::any::TypeId::of::<T>());
        match room.and_then(|room| room.downcast_ref()) {
            Some(room) => room,
            None => panic!("the shard has no {}", std::any::type_name::<T>()),
        }
    }
}
