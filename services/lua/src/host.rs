//! What the host keeps of one Lua service, outside its state: sessions, coroutines, and the message at hand.
//!
//! Everything is in cells, because Lua's calls back into the host come while the host is calling Lua. No borrow
//! is held across such a call. The functions here are safe; those that touch the interpreter are in `raw`.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mlua::lua_State;
use rustc_hash::{FxHashMap, FxHashSet};
use skyring::{Address, Caller, Error, Handle, Kind, NodeRef, Payload, Responder};

use crate::node::NodeLua;
use crate::threads::{Thread, Threads};
use crate::watch::Note;

/// What stands for the source of a call from another node: no service has this handle.
pub const REMOTE_SOURCE: u32 = 0xffff_fffe;

/// Sessions with this bit belong to calls whose answers the engine awaits: those of other nodes and of
/// services written in Rust. A service's own sessions are below it.
pub(crate) const HELD: u32 = 0x4000_0000;

/// Most such calls that a service may leave unanswered.
pub const HELD_CALLS_MAX: usize = 65_536;

/// Most nodes whose way a service remembers.
pub const ROUTES_MAX: usize = 4_096;

/// Messages that wait before it is told, as in Skynet.
const OVERLOAD_MESSAGES: usize = 1_024;

/// No coroutine.
pub(crate) const NOBODY: u32 = u32::MAX;

/// How an answer ended, for the coroutine that waited for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The values are in [`Host::body`].
    Values,
    /// The text of the error is in [`Host::body`].
    Failed,
    /// Somebody woke it before its time.
    Broken,
}

/// Who waits for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// A coroutine that waits for this session alone.
    One(u32),
    /// A coroutine that waits for several.
    Many(u32),
    /// Nobody any more: the answer is dropped.
    Broken,
}

/// What to do with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The service has not said yet.
    Silent,
    /// Coroutines are started and resumed here: `skynet.start` of our own library.
    Native,
    /// Everything goes to one function of Lua (a registry reference), as in Skynet's C interface. With
    /// `forward` the function owns the message.
    Callback { function: i32, forward: bool },
}

/// How messages of one kind are handled, in native mode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handler {
    /// Registry reference of the function.
    pub(crate) function: i32,
    /// Whether it gets the values of the message; else it gets pointer and size.
    pub(crate) unpacks: bool,
}

/// One Lua service.
pub(crate) struct Host {
    pub(crate) caller: Caller,
    pub(crate) node: Arc<NodeLua>,
    /// The state's main thread.
    pub(crate) main: Cell<*mut lua_State>,
    pub(crate) mode: Cell<Mode>,
    pub(crate) handlers: Box<[Cell<Option<Handler>>; 256]>,
    /// Gets what no other handler does.
    pub(crate) handler_unknown: Cell<Option<Handler>>,
    pub(crate) threads: RefCell<Threads>,
    waiters: RefCell<FxHashMap<u32, Waiter>>,
    session: Cell<u32>,
    /// The coroutine that runs; [`NOBODY`] outside.
    pub(crate) running: Cell<u32>,
    /// Whether the running coroutine let go by way of the host.
    pub(crate) parked: Cell<bool>,
    /// Sessions whose coroutines are to be woken before their time.
    pub(crate) woken: RefCell<VecDeque<u32>>,
    /// Coroutines to be started.
    pub(crate) forks: RefCell<VecDeque<u32>>,
    /// The message or answer at hand. Kept until the next one: Lua may look at it by its address.
    message: Cell<Bytes>,
    body: Cell<*const [u8]>,
    pub(crate) outcome: Cell<Outcome>,
    pub(crate) answered_session: Cell<u32>,
    /// Where values are packed; see `raw::pack`.
    pub(crate) scratch: UnsafeCell<Vec<u8>>,
    /// Text on its way to Lua; see `raw::text`.
    pub(crate) text: UnsafeCell<Vec<u8>>,
    held: RefCell<FxHashMap<u32, Responder>>,
    held_next: Cell<u32>,
    /// Answers that closures of `skynet.response` still owe, as source and session.
    owed: RefCell<FxHashSet<(u32, u32)>>,
    routes: RefCell<FxHashMap<Box<[u8]>, NodeRef>>,
    /// How many messages it has handled.
    pub(crate) messages: Cell<u64>,
    /// How long that took, by the clock.
    pub(crate) spent: Cell<Duration>,
    /// How many messages may wait before that is told.
    overload: Cell<usize>,
    /// The interpreter is being closed: only finalizers run, and it must not be asked for anything.
    pub(crate) is_closing: Cell<bool>,
    /// What the interpreter may hold, in bytes; 0: no limit.
    pub(crate) memory_limit: Cell<usize>,
    /// What its shard notes of the service that runs.
    pub(crate) note: Arc<Note>,
    /// Whether the time of any coroutine is counted.
    pub(crate) profiled: Cell<bool>,
    /// Those whose time is counted: since when, and how much before, in nanoseconds.
    pub(crate) profiles: RefCell<FxHashMap<*mut lua_State, (i64, i64)>>,
}

impl Host {
    pub(crate) fn new(caller: Caller, node: Arc<NodeLua>, note: Arc<Note>) -> Rc<Host> {
        Rc::new(Host {
            caller,
            node,
            main: Cell::new(std::ptr::null_mut()),
            mode: Cell::new(Mode::Silent),
            handlers: Box::new([const { Cell::new(None) }; 256]),
            handler_unknown: Cell::new(None),
            threads: RefCell::default(),
            waiters: RefCell::default(),
            session: Cell::new(0),
            running: Cell::new(NOBODY),
            parked: Cell::new(false),
            woken: RefCell::default(),
            forks: RefCell::default(),
            message: Cell::new(Bytes::new()),
            body: Cell::new(&[]),
            outcome: Cell::new(Outcome::Values),
            answered_session: Cell::new(0),
            scratch: UnsafeCell::default(),
            text: UnsafeCell::default(),
            held: RefCell::default(),
            held_next: Cell::new(0),
            owed: RefCell::default(),
            routes: RefCell::default(),
            messages: Cell::new(0),
            spent: Cell::new(Duration::ZERO),
            overload: Cell::new(OVERLOAD_MESSAGES),
            is_closing: Cell::new(false),
            memory_limit: Cell::new(0),
            note,
            profiled: Cell::new(false),
            profiles: RefCell::default(),
        })
    }

    /// Logs that many messages wait, and again when there are twice as many, as Skynet does.
    #[inline]
    pub(crate) fn report_overload(&self) {
        let waiting = self.caller.messages_waiting();
        if waiting >= self.overload.get() {
            self.caller
                .log(format!("May overload, message queue length = {waiting}"));
            self.overload.set(waiting * 2);
        } else if waiting == 0 {
            self.overload.set(OVERLOAD_MESSAGES);
        }
    }

    // ---- sessions ----

    /// A session that nothing waits for: 1 up to the bit [`HELD`], and around.
    pub(crate) fn next_session(&self) -> u32 {
        loop {
            let session = (self.session.get() + 1) & (HELD - 1);
            self.session.set(session);
            // Only after a billion calls can one be taken, and then only by a call that is very old.
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

    /// The sessions that are waited for, one by one, while none is added or taken.
    pub(crate) fn nth_waiting(&self, index: usize) -> Option<(u32, Waiter)> {
        let waiters = self.waiters.borrow();
        waiters
            .iter()
            .nth(index)
            .map(|(&session, &waiter)| (session, waiter))
    }

    /// Forgets what waits for a coroutine that is gone. A timer or an answer that comes later is dropped.
    pub(crate) fn break_waits(&self, thread: u32) {
        for waiter in self.waiters.borrow_mut().values_mut() {
            if matches!(*waiter, Waiter::One(id) | Waiter::Many(id) if id == thread) {
                *waiter = Waiter::Broken;
            }
        }
    }

    pub(crate) fn thread(&self, id: u32) -> Option<Thread> {
        self.threads.borrow().get(id)
    }

    // ---- the message at hand ----

    pub(crate) fn set_message(&self, bytes: Bytes) {
        self.body.set(&raw const *bytes);
        self.message.set(bytes);
    }

    /// The bytes at hand; valid until the next message.
    pub(crate) fn body(&self) -> *const [u8] {
        self.body.get()
    }

    /// The message at hand, if that is its address.
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

    /// The service that an address of Lua names: `:hex`, `.name`, `@name`, a number as
    /// text, or a global name of Skynet.
    pub(crate) fn resolve(&self, address: &str) -> Option<Handle> {
        match Address::parse(address) {
            Some(Address::Handle(handle)) => Some(handle),
            Some(Address::Name(name)) => self.caller.find(&name),
            // Skynet's global names are names of the node here.
            None => self.caller.find(&format!(".{address}")),
        }
    }

    /// Takes over the duty to answer a call, and gives the source and the session that Lua knows it by.
    pub(crate) fn take_over(&self, source: Handle, responder: Responder) -> Result<(u32, u32), Responder> {
        let responder = match responder.into_asker() {
            Ok((asker, session)) => return Ok((asker.0, session)),
            Err(responder) => responder,
        };
        let mut held = self.held.borrow_mut();
        if held.len() >= HELD_CALLS_MAX {
            return Err(responder);
        }
        let session = loop {
            let session = HELD | self.held_next.get();
            self.held_next.set((self.held_next.get() + 1) & (HELD - 1));
            if !held.contains_key(&session) {
                break session;
            }
        };
        held.insert(session, responder);
        let source = if source == Handle::NONE {
            REMOTE_SOURCE
        } else {
            source.0
        };
        Ok((source, session))
    }

    /// Answers a call that this or another service got.
    pub(crate) fn answer(&self, source: u32, session: u32, result: Result<Payload, Error>) {
        if session & HELD == 0 {
            self.caller.answer_post(Handle(source), session, result);
            return;
        }
        let responder = self.held.borrow_mut().remove(&session);
        if let Some(responder) = responder {
            responder.answer(result);
        }
    }

    /// Sends in the name of `source`. The duty to answer a call that the engine awaits goes along with it.
    pub(crate) fn send_as(&self, source: u32, target: Handle, kind: Kind, session: u32, payload: Payload) {
        if session & HELD != 0 {
            let responder = self.held.borrow_mut().remove(&session);
            if let Some(responder) = responder {
                self.caller
                    .forward(Handle(source), target, kind, payload, responder);
                return;
            }
        }
        self.caller
            .post_as(Handle(source), target, kind, session, payload);
    }

    /// Remembers that a closure of Lua owes an answer.
    pub(crate) fn owe(&self, source: u32, session: u32) {
        self.owed.borrow_mut().insert((source, session));
    }

    /// Whether the answer was owed; it is not any more.
    pub(crate) fn settle(&self, source: u32, session: u32) -> bool {
        self.owed.borrow_mut().remove(&(source, session))
    }

    /// Whether the answer is owed still.
    pub(crate) fn is_owed(&self, source: u32, session: u32) -> bool {
        self.owed.borrow().contains(&(source, session))
    }

    /// Forgets what is owed to a service that is gone.
    pub(crate) fn forgive(&self, source: u32) {
        self.owed.borrow_mut().retain(|(asker, _)| *asker != source);
    }

    /// Answers everything that is owed, because the service ends.
    pub(crate) fn give_up(&self) {
        let mut owed: Vec<(u32, u32)> = self.owed.borrow_mut().drain().collect();
        owed.extend(self.threads.borrow_mut().take_sessions());
        for (source, session) in owed {
            let error = Error::remote("the service ended before it answered");
            self.answer(source, session, Err(error));
        }
        // What is held beyond that is answered by being dropped.
        let held = std::mem::take(&mut *self.held.borrow_mut());
        drop(held);
    }

    /// The way to a node.
    pub(crate) fn route<R>(&self, name: &[u8], way: impl FnOnce(&NodeRef) -> R) -> R {
        let mut routes = self.routes.borrow_mut();
        if let Some(node) = routes.get(name) {
            return way(node);
        }
        if routes.len() >= ROUTES_MAX {
            routes.clear();
        }
        let node = self.caller.node(String::from_utf8_lossy(name).as_ref());
        way(routes.entry(name.into()).or_insert(node))
    }
}
