//! A running service: its state, its life, and how a message gets to it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};

use crate::error::Error;
use crate::rt;
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::context::Context;
use crate::service::handle::Handle;
use crate::service::message::{Answer, AnswerKind, Message, Payload};
use crate::service::responder::Responder;
use crate::service::router::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX, WAITING_CALLS_MAX};
use crate::shard::envelope::{ReplyTo, Request};
use crate::shard::slab::{Key, Slab};
use crate::socket::SocketEvent;

/// Whether a service lives, and the tasks that live with it.
#[derive(Default)]
pub(crate) struct Life {
    ended: Cell<bool>,
    exiting: Cell<bool>,
    /// Messages for it that are queued or being answered later.
    pub(crate) waiting: Cell<usize>,
    /// It has had a socket, so its end may close some.
    pub(crate) owns_sockets: Cell<bool>,
    /// Bytes of those that are queued.
    queued_bytes: Cell<usize>,
    tasks: RefCell<Slab<Option<Waker>>>,
}

impl Life {
    fn end(&self) {
        self.ended.set(true);
        let wakers: Vec<Waker> = self.tasks.borrow().iter().filter_map(Clone::clone).collect();
        for waker in wakers {
            waker.wake();
        }
    }

    /// Whether so many messages wait already that one more is refused. `waits`: its caller waits for room.
    pub(crate) fn is_full(&self, waits: bool) -> bool {
        let more = if waits { WAITING_CALLS_MAX } else { 0 };
        self.waiting.get() >= INBOX_MESSAGES_MAX + more
    }

    /// Takes a message of so many bytes into the inbox, if there is room.
    pub(crate) fn enter(&self, bytes: usize, waits: bool) -> bool {
        let queued = self.queued_bytes.get();
        let is_too_much = !waits && queued > 0 && queued + bytes > INBOX_BYTES_MAX;
        if is_too_much || self.is_full(waits) {
            return false;
        }
        self.waiting.set(self.waiting.get() + 1);
        self.queued_bytes.set(queued + bytes);
        true
    }

    /// Takes one out of the inbox.
    pub(crate) fn leave(&self, bytes: usize) {
        self.waiting.set(self.waiting.get().saturating_sub(1));
        self.queued_bytes
            .set(self.queued_bytes.get().saturating_sub(bytes));
    }

    /// Asks for the end once the message that is being handled is done.
    pub(crate) fn request_exit(&self) {
        self.exiting.set(true);
    }

    pub(crate) fn is_exiting(&self) -> bool {
        self.exiting.get()
    }
}

/// What a shard knows of a service whose type it does not know.
pub(crate) trait Deliver {
    /// Handles one message. Only the router calls it, never while another handler runs.
    fn deliver(self: Rc<Self>, request: Request);
    /// Hands over the answer to what it posted. Only the router calls it, never while another handler runs.
    fn answered(self: Rc<Self>, session: u32, result: Result<Payload, Error>);
    /// Hands over what happened to a socket. Only the router calls it, never while another handler runs.
    fn socket_event(self: Rc<Self>, event: SocketEvent);
    /// Its life.
    fn life(&self) -> &Rc<Life>;
    /// Drops its state and its tasks.
    fn end(&self);
}

/// A service with its state.
pub(crate) struct ServiceCell<S> {
    pub(crate) caller: Caller,
    /// `None` before it is made and after it has ended.
    pub(crate) state: RefCell<Option<S>>,
    /// Whom the message that is being handled wants answered.
    current: Cell<ReplyTo>,
}

impl<S: Service> ServiceCell<S> {
    pub(crate) fn new(caller: Caller) -> Rc<ServiceCell<S>> {
        Rc::new(ServiceCell {
            caller,
            state: RefCell::new(None),
            current: Cell::new(ReplyTo::Nobody),
        })
    }

    /// Makes the state and lets it start; an error, or a panic, ends the service.
    pub(crate) fn start(self: &Rc<Self>, make: impl FnOnce(&Context<S>) -> S) -> Result<(), Error> {
        let context = Context(Rc::clone(self));
        // A message that it sends to itself finds the state in its place.
        let shard = &self.caller.shard;
        let started = shard.hold_messages(|| {
            catch_unwind(AssertUnwindSafe(|| {
                let mut state = make(&context);
                let started = state.start(&context);
                *self.state.borrow_mut() = Some(state);
                started
            }))
        });
        let result = started.unwrap_or_else(|panic| Err(self.panicked("while it started", &*panic)));
        if result.is_err() || self.caller.life.is_exiting() {
            self.caller.shard.remove_service(self.caller.handle);
        }
        result
    }

    /// Takes over the answer to the message that is being handled.
    pub(crate) fn take_responder(&self) -> Responder {
        Responder::new(
            Rc::clone(&self.caller.shard),
            self.current.replace(ReplyTo::Nobody),
        )
    }

    fn panicked(&self, when: &str, panic: &(dyn Any + Send)) -> Error {
        let text = panic_text(panic);
        let handle = self.caller.handle;
        self.caller.shard.node.metrics.panics.add(1);
        self.caller
            .shard
            .log(handle, format!("panicked {when} and ends: {text}"));
        Error::remote(format!("service {handle} panicked {when}: {text}"))
    }
}

/// What a panic said.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no text".to_owned())
}

impl<S: Service> Deliver for ServiceCell<S> {
    fn deliver(self: Rc<Self>, request: Request) {
        let shard = &self.caller.shard;
        self.current.set(request.reply_to);
        let message = Message {
            source: request.source,
            session: request.reply_to.session(),
            kind: request.kind,
            payload: request.payload,
        };
        let context = Context(Rc::clone(&self));
        let answer = catch_unwind(AssertUnwindSafe(|| {
            // The state is there: messages come only between start and end.
            self.state
                .borrow_mut()
                .as_mut()
                .map(|state| state.handle(&context, message))
        }));
        let reply_to = self.current.replace(ReplyTo::Nobody);
        match answer {
            Ok(Some(Answer(AnswerKind::Now(result)))) => {
                shard.reply(reply_to, result.map_err(Error::into_remote));
            }
            Ok(Some(Answer(AnswerKind::Later(future)))) => {
                let life = Rc::clone(&self.caller.life);
                life.waiting.set(life.waiting.get() + 1);
                let responder = Responder::new(Rc::clone(shard), reply_to);
                let task = async move {
                    let result = future.await;
                    responder.answer(result);
                };
                self.caller.spawn_counted(task);
            }
            Ok(Some(Answer(AnswerKind::Kept))) if reply_to.session() == 0 => {
                // Even a send is over only now, for the connection that it came over.
                shard.reply(reply_to, Ok(Payload::default()));
            }
            Ok(Some(Answer(AnswerKind::Kept))) => {
                shard.reply(reply_to, Err(Error::remote("the service did not answer")));
            }
            Ok(None) => {
                let address = self.caller.handle.to_string();
                shard.reply(
                    reply_to,
                    Err(Error::NoSuchService {
                        address: address.into(),
                    }),
                );
            }
            Err(panic) => {
                let error = self.panicked("while it handled a message", &*panic);
                shard.reply(reply_to, Err(error));
                self.caller.life.request_exit();
            }
        }
        if self.caller.life.is_exiting() {
            shard.remove_service(self.caller.handle);
        }
    }

    fn answered(self: Rc<Self>, session: u32, result: Result<Payload, Error>) {
        let context = Context(Rc::clone(&self));
        let answered = catch_unwind(AssertUnwindSafe(|| {
            if let Some(state) = self.state.borrow_mut().as_mut() {
                state.answered(&context, session, result);
            }
        }));
        if let Err(panic) = answered {
            let _ = self.panicked("while it took an answer", &*panic);
            self.caller.life.request_exit();
        }
        if self.caller.life.is_exiting() {
            self.caller.shard.remove_service(self.caller.handle);
        }
    }

    fn socket_event(self: Rc<Self>, event: SocketEvent) {
        let context = Context(Rc::clone(&self));
        let handled = catch_unwind(AssertUnwindSafe(|| {
            if let Some(state) = self.state.borrow_mut().as_mut() {
                state.socket(&context, event);
            }
        }));
        if let Err(panic) = handled {
            let _ = self.panicked("while it took what happened to a socket", &*panic);
            self.caller.life.request_exit();
        }
        if self.caller.life.is_exiting() {
            self.caller.shard.remove_service(self.caller.handle);
        }
    }

    fn life(&self) -> &Rc<Life> {
        &self.caller.life
    }

    fn end(&self) {
        self.caller.life.end();
        // A handler that ends its own service still borrows the state; then `deliver` has the last word.
        let state = self
            .state
            .try_borrow_mut()
            .ok()
            .and_then(|mut state| state.take());
        drop(state);
    }
}

/// A task of a service: it ends with its service, and its panic is the service's.
pub(crate) struct ServiceTask {
    caller: Caller,
    key: Key,
    counted: bool,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

impl ServiceTask {
    /// Starts it. `counted`: it stands for a message, whose place in the inbox it gives back at its end.
    pub(crate) fn start(caller: Caller, counted: bool, future: impl Future<Output = ()> + 'static) {
        let key = caller.life.tasks.borrow_mut().insert(None);
        rt::spawn(ServiceTask {
            caller,
            key,
            counted,
            future: Box::pin(future),
        });
    }
}

impl Future for ServiceTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.caller.life.ended.get() {
            return Poll::Ready(());
        }
        let polled = catch_unwind(AssertUnwindSafe(|| this.future.as_mut().poll(context)));
        let handle: Handle = this.caller.handle;
        let ready = match polled {
            Ok(poll) => poll.is_ready(),
            Err(panic) => {
                this.caller.shard.node.metrics.panics.add(1);
                let text = panic_text(&*panic);
                this.caller
                    .shard
                    .log(handle, format!("a task panicked and its service ends: {text}"));
                this.caller.life.request_exit();
                true
            }
        };
        if this.caller.life.is_exiting() {
            this.caller.shard.remove_service(handle);
            return Poll::Ready(());
        }
        if ready {
            return Poll::Ready(());
        }
        let mut tasks = this.caller.life.tasks.borrow_mut();
        if let Some(kept) = tasks.get_mut(this.key)
            && !kept
                .as_ref()
                .is_some_and(|waker| waker.will_wake(context.waker()))
        {
            *kept = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for ServiceTask {
    fn drop(&mut self) {
        self.caller.life.tasks.borrow_mut().remove(self.key);
        if self.counted {
            let waiting = &self.caller.life.waiting;
            waiting.set(waiting.get().saturating_sub(1));
        }
    }
}
