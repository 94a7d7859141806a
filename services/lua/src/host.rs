//! The state of one Lua service outside its interpreter: sessions, coroutines, and the current message.
//!
//! All state is in cells, because Lua calls back into the host while the host calls Lua. No borrow is held across such
//! a call. The functions here are safe; those that touch the interpreter are in `raw`.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bytes::Bytes;
use mlua::lua_State;
use rustc_hash::{FxHashMap, FxHashSet};
use skyring::{Address, Caller, Error, Handle, Kind, NodeRef, Payload, Responder};

use crate::node::NodeLua;
use crate::threads::{Thread, Threads};
use crate::watch::ShardActivity;

/// The source of a call from another node. No service has this handle.
pub const REMOTE_SOURCE: u32 = 0xffff_fffe;

/// Sessions with this bit belong to calls that a responder of the engine answers: those of other nodes and of services
/// in Rust. The service's own sessions are below it.
pub(crate) const ENGINE_SESSION: u32 = 0x4000_0000;

/// Most such calls that may be unanswered at a time.
pub const HELD_CALLS_MAX: usize = 65_536;

/// Most nodes whose route a service caches.
pub const ROUTES_MAX: usize = 4_096;

/// The number of queued messages from which an overload is logged, as in Skynet.
const OVERLOAD_MESSAGES: usize = 1_024;

/// The id of no coroutine.
pub(crate) const NO_THREAD: u32 = u32::MAX;

/// The result of a wait, for the coroutine that waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The values are in [`Host::body`].
    Values,
    /// The text of the error is in [`Host::body`].
    Failed,
    /// `skynet.wakeup` ended the wait early.
    Woken,
}

/// The receiver of the answer to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// A coroutine that waits for this session alone.
    One(u32),
    /// A coroutine that waits for several sessions.
    Many(u32),
    /// None any more: the answer is dropped.
    Cancelled,
}

/// How messages are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Not at all: the service has not started yet, or it has ended.
    Inactive,
    /// By coroutines that the host starts and resumes: `skynet.start` of the built-in library.
    Native,
    /// By one Lua function (a registry reference), as in Skynet's C interface. With `forward` the function owns the
    /// message.
    Callback { function: i32, forward: bool },
}

/// How messages of one kind are handled, in native mode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handler {
    /// Registry reference of the function.
    pub(crate) function: i32,
    /// Whether the host unpacks the message for it; else it gets pointer and size.
    pub(crate) unpacks: bool,
}

/// The host of one Lua service.
pub(crate) struct Host {
    pub(crate) caller: Caller,
    pub(crate) node: Arc<NodeLua>,
    /// The state's main thread.
    pub(crate) main: Cell<*mut lua_State>,
    pub(crate) mode: Cell<Mode>,
    pub(crate) handlers: Box<[Cell<Option<Handler>>; 256]>,
    /// Handles messages of kinds without a handler.
    pub(crate) handler_unknown: Cell<Option<Handler>>,
    pub(crate) threads: RefCell<Threads>,
    waiters: RefCell<FxHashMap<u32, Waiter>>,
    session: Cell<u32>,
    /// The coroutine that runs; [`NO_THREAD`] if none does.
    pub(crate) running: Cell<u32>,
    /// Whether the running coroutine yields in a function of the host.
    pub(crate) yielded_to_host: Cell<bool>,
    /// Sessions whose waits `skynet.wakeup` ends early.
    pub(crate) woken: RefCell<VecDeque<u32>>,
    /// Coroutines to start.
    pub(crate) forks: RefCell<VecDeque<u32>>,
    /// The current message or answer. It stays until the next one, because Lua may read it by its address.
    message: Cell<Bytes>,
    body: Cell<*const [u8]>,
    pub(crate) outcome: Cell<Outcome>,
    pub(crate) answered_session: Cell<u32>,
    /// The buffer into which values are packed: see `raw::pack`.
    pub(crate) scratch: UnsafeCell<Vec<u8>>,
    /// A text that is about to be copied to Lua: see `raw::push_text`.
    pub(crate) text: UnsafeCell<Vec<u8>>,
    engine_calls: RefCell<FxHashMap<u32, Responder>>,
    engine_session_next: Cell<u32>,
    /// Unanswered calls for which `skynet.response` has made a closure, as source and session.
    pending_responses: RefCell<FxHashSet<(u32, u32)>>,
    routes: RefCell<FxHashMap<Box<[u8]>, NodeRef>>,
    /// The number of messages handled.
    pub(crate) messages: Cell<u64>,
    /// When the current message began to be handled.
    pub(crate) message_started: Cell<quanta::Instant>,
    /// The elapsed time in which messages were handled, without the current one.
    pub(crate) handling_time: Cell<Duration>,
    /// The number of queued messages at which the next overload is logged.
    overload_threshold: Cell<usize>,
    /// The interpreter is being closed: only finalizers run, and they must not call into it.
    pub(crate) is_closing: Cell<bool>,
    /// The memory limit of the interpreter, in bytes; 0: no limit.
    pub(crate) memory_limit: Cell<usize>,
    /// The memory of the interpreter after the last message, in bytes, for other services to read.
    pub(crate) memory: Arc<AtomicUsize>,
    /// The shard's record of the service that runs.
    pub(crate) activity: Arc<ShardActivity>,
    /// The coroutine that has ended the service; [`NO_THREAD`] if none has.
    pub(crate) quitting: Cell<u32>,
    /// The coroutines that a debugger has stopped.
    pub(crate) stopped: RefCell<FxHashSet<u32>>,
    /// Whether any coroutine is profiled.
    pub(crate) is_profiling: Cell<bool>,
    /// The profiled coroutines: when each last began to run, and its time before that, in nanoseconds.
    pub(crate) profiles: RefCell<FxHashMap<*mut lua_State, (i64, i64)>>,
}

impl Host {
    pub(crate) fn new(caller: Caller, node: Arc<NodeLua>, activity: Arc<ShardActivity>) -> Rc<Host> {
        let memory = node.add_memory(caller.handle());
        Rc::new(Host {
            memory,
            caller,
            node,
            main: Cell::new(std::ptr::null_mut()),
            mode: Cell::new(Mode::Inactive),
            handlers: Box::new([const { Cell::new(None) }; 256]),
            handler_unknown: Cell::new(None),
            threads: RefCell::default(),
            waiters: RefCell::default(),
            session: Cell::new(0),
            running: Cell::new(NO_THREAD),
            yielded_to_host: Cell::new(false),
            woken: RefCell::default(),
            forks: RefCell::default(),
            message: Cell::new(Bytes::new()),
            body: Cell::new(&[]),
            outcome: Cell::new(Outcome::Values),
            answered_session: Cell::new(0),
            scratch: UnsafeCell::default(),
            text: UnsafeCell::default(),
            engine_calls: RefCell::default(),
            engine_session_next: Cell::new(0),
            pending_responses: RefCell::default(),
            routes: RefCell::default(),
            messages: Cell::new(0),
            message_started: Cell::new(quanta::Instant::now()),
            handling_time: Cell::new(Duration::ZERO),
            overload_threshold: Cell::new(OVERLOAD_MESSAGES),
            is_closing: Cell::new(false),
            memory_limit: Cell::new(0),
            activity,
            quitting: Cell::new(NO_THREAD),
            stopped: RefCell::default(),
            is_profiling: Cell::new(false),
            profiles: RefCell::default(),
        })
    }

    /// Logs that many messages are queued, and again when the number has doubled, as Skynet does.
    #[inline]
    pub(crate) fn report_overload(&self) {
        let waiting = self.caller.messages_waiting();
        if waiting >= self.overload_threshold.get() {
            self.caller
                .log(format!("May overload, message queue length = {waiting}"));
            self.overload_threshold.set(waiting * 2);
        } else if waiting == 0 {
            self.overload_threshold.set(OVERLOAD_MESSAGES);
        }
    }

    // ---- sessions ----

    /// A session that nothing waits for: from 1 up to the bit [`ENGINE_SESSION`], then from 1 again.
    pub(crate) fn next_session(&self) -> u32 {
        loop {
            let session = (self.session.get() + 1) & (ENGINE_SESSION - 1);
            self.session.set(session);
            // A session can be in use only after a billion further sessions.
            if session != 0 && !self.waiters.borrow().contains_key(&session) {
                return session;
            }
        }
    }

    pub(crate) fn wait_for(&self, session: u32, waiter: Waiter) {
        self.waiters.borrow_mut().insert(session, waiter);
    }

    pub(crate) fn take_waiter(&self, session: u32) -> Option<Waiter> {
        self.waiters.borrow_mut().remove(&session)
    }

    pub(crate) fn waiter(&self, session: u32) -> Option<Waiter> {
        self.waiters.borrow().get(&session).copied()
    }

    /// The session and waiter at `index`. The order is stable while none is added or removed.
    pub(crate) fn nth_waiting(&self, index: usize) -> Option<(u32, Waiter)> {
        let waiters = self.waiters.borrow();
        waiters
            .iter()
            .nth(index)
            .map(|(&session, &waiter)| (session, waiter))
    }

    /// Cancels the waits of a coroutine that has ended. A later timer or answer is dropped.
    pub(crate) fn cancel_waits(&self, thread: u32) {
        for waiter in self.waiters.borrow_mut().values_mut() {
            if matches!(*waiter, Waiter::One(id) | Waiter::Many(id) if id == thread) {
                *waiter = Waiter::Cancelled;
            }
        }
    }

    pub(crate) fn thread(&self, id: u32) -> Option<Thread> {
        self.threads.borrow().get(id)
    }

    // ---- the current message ----

    pub(crate) fn set_message(&self, bytes: Bytes) {
        self.body.set(&raw const *bytes);
        self.message.set(bytes);
    }

    /// The bytes of the current message; valid until the next one.
    pub(crate) fn body(&self) -> *const [u8] {
        self.body.get()
    }

    /// The current message, if this is its address.
    pub(crate) fn message_at(&self, address: usize) -> Option<Bytes> {
        if self.body.get().cast::<u8>() as usize != address {
            return None;
        }
        let bytes = self.message.take();
        let copy = bytes.clone();
        self.message.set(bytes);
        Some(copy)
    }

    // ---- addresses, sends and answers ----

    /// The service at an address in Lua's notation: `:hex`, `.name`, `@name`, a number as text, or a global name of
    /// Skynet.
    pub(crate) fn resolve(&self, address: &str) -> Option<Handle> {
        match Address::parse(address) {
            Some(Address::Handle(handle)) => Some(handle),
            Some(Address::Name(name)) => self.caller.find(&name),
            // Skynet's global names are names of the node here.
            None => self.caller.find(&format!(".{address}")),
        }
    }

    /// Accepts a call, and returns the source and the session by which Lua answers it.
    pub(crate) fn accept_call(&self, source: Handle, responder: Responder) -> Result<(u32, u32), Responder> {
        let responder = match responder.into_asker() {
            Ok((caller, session)) => return Ok((caller.0, session)),
            Err(responder) => responder,
        };
        let mut engine_calls = self.engine_calls.borrow_mut();
        if engine_calls.len() >= HELD_CALLS_MAX {
            return Err(responder);
        }
        let session = loop {
            let session = ENGINE_SESSION | self.engine_session_next.get();
            self.engine_session_next
                .set((self.engine_session_next.get() + 1) & (ENGINE_SESSION - 1));
            if !engine_calls.contains_key(&session) {
                break session;
            }
        };
        engine_calls.insert(session, responder);
        let source = if source == Handle::NONE {
            REMOTE_SOURCE
        } else {
            source.0
        };
        Ok((source, session))
    }

    /// Answers a call, which may be one that another service forwarded.
    pub(crate) fn answer(&self, source: u32, session: u32, result: Result<Payload, Error>) {
        if session & ENGINE_SESSION == 0 {
            self.caller.answer_post(Handle(source), session, result);
            return;
        }
        let responder = self.engine_calls.borrow_mut().remove(&session);
        if let Some(responder) = responder {
            responder.answer(result);
        }
    }

    /// Sends a message with `source` as its source. The responder of a call that the engine awaits is passed on with it.
    pub(crate) fn send_as(&self, source: u32, target: Handle, kind: Kind, session: u32, payload: Payload) {
        if session & ENGINE_SESSION != 0 {
            let responder = self.engine_calls.borrow_mut().remove(&session);
            if let Some(responder) = responder {
                self.caller
                    .forward(Handle(source), target, kind, payload, responder);
                return;
            }
        }
        self.caller
            .post_as(Handle(source), target, kind, session, payload);
    }

    /// Adds a call that a closure of `skynet.response` will answer.
    pub(crate) fn add_pending_response(&self, source: u32, session: u32) {
        self.pending_responses.borrow_mut().insert((source, session));
    }

    /// Removes such a call. `true`: it was pending.
    pub(crate) fn take_pending_response(&self, source: u32, session: u32) -> bool {
        self.pending_responses.borrow_mut().remove(&(source, session))
    }

    /// Whether such a call is still pending.
    pub(crate) fn has_pending_response(&self, source: u32, session: u32) -> bool {
        self.pending_responses.borrow().contains(&(source, session))
    }

    /// Removes the pending calls of a service that has ended.
    pub(crate) fn drop_pending_responses(&self, source: u32) {
        self.pending_responses
            .borrow_mut()
            .retain(|(caller, _)| *caller != source);
    }

    /// Answers all pending calls with an error, because the service ends.
    pub(crate) fn fail_pending_calls(&self) {
        let mut pending_responses: Vec<(u32, u32)> = self.pending_responses.borrow_mut().drain().collect();
        pending_responses.extend(self.threads.borrow_mut().take_sessions());
        for (source, session) in pending_responses {
            let error = Error::remote("the service ended before it answered");
            self.answer(source, session, Err(error));
        }
        // The other responders answer with an error when they are dropped.
        let engine_calls = std::mem::take(&mut *self.engine_calls.borrow_mut());
        drop(engine_calls);
    }

    /// Calls a function with the route to a node.
    pub(crate) fn with_route<R>(&self, name: &[u8], function: impl FnOnce(&NodeRef) -> R) -> R {
        let mut routes = self.routes.borrow_mut();
        if let Some(node) = routes.get(name) {
            return function(node);
        }
        if routes.len() >= ROUTES_MAX {
            routes.clear();
        }
        let node = self.caller.node(String::from_utf8_lossy(name).as_ref());
        function(routes.entry(name.into()).or_insert(node))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.node.remove_memory(self.caller.handle());
    }
}
