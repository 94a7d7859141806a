//! A running service: its state, and the delivery of messages to it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::core::payload::Payload;
use crate::core::request::{ReplyTo, Request};
use crate::core::socket_event::SocketEvent;
use crate::core::spans::SpanKey;
use crate::error::Error;
use crate::log::Level;
use crate::rt;
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::context::Context;
use crate::service::deliver::Deliver;
use crate::service::end::End;
use crate::service::life::Life;
use crate::service::message::{Answer, AnswerKind, Message};
use crate::service::report::Report;
use crate::service::responder::Responder;
use crate::service::stop::Stop;
use crate::service::task::panic_text;

/// A service with its state.
pub(crate) struct ServiceCell<S> {
    pub(crate) caller: Caller,
    /// `None` before it is constructed and after it has ended.
    pub(crate) state: RefCell<Option<S>>,
    /// Where the answer to the current message goes.
    current: Cell<ReplyTo>,
    /// The callee's span of the current message.
    span: Cell<SpanKey>,
}

impl<S: Service> ServiceCell<S> {
    pub(crate) fn new(caller: Caller) -> Rc<ServiceCell<S>> {
        Rc::new(ServiceCell {
            caller,
            state: RefCell::new(None),
            current: Cell::new(ReplyTo::Nobody),
            span: Cell::new(SpanKey::NONE),
        })
    }

    /// Constructs the state and calls `start`; an error, or a panic, ends the service.
    pub(crate) fn start(self: &Rc<Self>, make: impl FnOnce(&Context<S>) -> S) -> Result<(), Error> {
        let context = Context(Rc::clone(self));
        // A message that it sends to itself is handled only once the state is stored.
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
        if let Err(error) = &result {
            let text = error.to_string().into();
            self.caller.life.request_end(End::StartFailed { text });
        }
        self.finish_if_exiting();
        result
    }

    /// Takes the responder of the current message.
    pub(crate) fn take_responder(&self) -> Responder {
        Responder::new(
            Rc::clone(&self.caller.shard),
            self.current.replace(ReplyTo::Nobody),
            self.caller.handle,
            self.span.get(),
        )
    }

    /// Handles a message that belongs to a span, or that comes while other code that belongs to one runs.
    #[cold]
    fn deliver_traced(self: Rc<Self>, request: &mut Request) {
        let shard = Rc::clone(&self.caller.shard);
        let span = shard.begin_handling(request.span, self.caller.handle, &request.payload);
        let _entered = shard.tracing.enter(span);
        self.handle(request, span);
    }

    /// Handles a message, whose callee's span is `span`.
    #[inline(always)]
    fn handle(self: Rc<Self>, request: &mut Request, span: SpanKey) {
        let shard = &self.caller.shard;
        self.current.set(request.reply_to);
        self.span.set(span);
        let message = Message {
            source: request.source,
            session: request.reply_to.session(),
            kind: request.kind,
            payload: std::mem::take(&mut request.payload),
        };
        let context = Context(Rc::clone(&self));
        let life = &self.caller.life;
        life.count_message();
        let timed_from = shard.begin_work(&life.work);
        let answer = catch_unwind(AssertUnwindSafe(|| {
            // The state exists: messages are delivered only between start and end.
            self.state
                .borrow_mut()
                .as_mut()
                .map(|state| state.handle(&context, message))
        }));
        if let Some(began) = timed_from {
            life.work.record(rt::now().saturating_duration_since(began));
        }
        let reply_to = self.current.replace(ReplyTo::Nobody);
        if span.is_some() {
            self.end_handling(request.reply_to, reply_to, span, &answer);
        }
        match answer {
            Ok(Some(Answer(AnswerKind::Now(result)))) => {
                shard.reply(reply_to, result.map_err(Error::into_remote));
            }
            Ok(Some(Answer(AnswerKind::Later(future)))) => {
                let life = Rc::clone(&self.caller.life);
                life.begin_answer();
                let responder = Responder::new(Rc::clone(shard), reply_to, self.caller.handle, span);
                let task = async move {
                    let result = future.await;
                    responder.answer(result);
                };
                self.caller.spawn_counted(task);
            }
            Ok(Some(Answer(AnswerKind::None))) if reply_to.session() == 0 => {
                // A send ends only now, for the count of its connection.
                shard.reply(reply_to, Ok(Payload::default()));
            }
            Ok(Some(Answer(AnswerKind::None))) => {
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
            }
        }
        self.finish_if_exiting();
    }

    /// Ends the span of a message that was answered at once, or that has no answer. If its responder was taken, or if a
    /// task answers it, the responder ends it.
    #[cold]
    fn end_handling(
        &self,
        reply_to: ReplyTo,
        left: ReplyTo,
        span: SpanKey,
        answer: &std::thread::Result<Option<Answer>>,
    ) {
        self.span.set(SpanKey::NONE);
        let error = match answer {
            Ok(Some(Answer(AnswerKind::Later(_)))) => return,
            Ok(Some(Answer(AnswerKind::None))) if left != reply_to => return,
            Ok(Some(Answer(AnswerKind::Now(Ok(_))))) => None,
            Ok(Some(Answer(AnswerKind::None))) if reply_to.session() == 0 => None,
            Ok(None) => Some("no-such-service"),
            Ok(Some(_)) | Err(_) => Some("remote"),
        };
        self.caller.shard.end_span(span, error);
    }

    fn finish_if_exiting(self: &Rc<Self>) {
        if self.caller.life.is_exiting() {
            Rc::clone(self).finish();
        }
    }

    /// Logs a panic and requests the end of the service.
    fn panicked(&self, when: &str, panic: &(dyn Any + Send)) -> Error {
        let text = panic_text(panic);
        let cause = text.as_str().into();
        self.caller.life.request_end(End::Panicked { text: cause });
        let handle = self.caller.handle;
        self.caller.shard.node.metrics.panics.add(1);
        self.caller
            .shard
            .log_service(Level::Error, handle, format!("panicked {when} and ends: {text}"));
        Error::remote(format!("service {handle} panicked {when}: {text}"))
    }
}

impl<S: Service> Deliver for ServiceCell<S> {
    fn deliver(self: Rc<Self>, request: &mut Request) {
        let shard = &self.caller.shard;
        if request.span.is_some() || shard.tracing.current().is_some() {
            return self.deliver_traced(request);
        }
        self.handle(request, SpanKey::NONE);
    }

    fn answered(self: Rc<Self>, session: u32, result: Result<Payload, Error>) {
        let context = Context(Rc::clone(&self));
        let shard = &self.caller.shard;
        let _entered = shard.tracing.has_posted().then(|| {
            let error = result.as_ref().err().map(Error::code);
            let span = shard.end_posted(self.caller.handle, session, error);
            shard.tracing.enter(span)
        });
        let work = &self.caller.life.work;
        let timed_from = shard.begin_work(work);
        let answered = catch_unwind(AssertUnwindSafe(|| {
            if let Some(state) = self.state.borrow_mut().as_mut() {
                state.answered(&context, session, result);
            }
        }));
        if let Some(began) = timed_from {
            work.record(rt::now().saturating_duration_since(began));
        }
        if let Err(panic) = answered {
            let _ = self.panicked("while it took an answer", &*panic);
        }
        self.finish_if_exiting();
    }

    fn socket_event(self: Rc<Self>, event: SocketEvent) {
        let context = Context(Rc::clone(&self));
        let work = &self.caller.life.work;
        let timed_from = self.caller.shard.begin_work(work);
        let handled = catch_unwind(AssertUnwindSafe(|| {
            if let Some(state) = self.state.borrow_mut().as_mut() {
                state.socket(&context, event);
            }
        }));
        if let Some(began) = timed_from {
            work.record(rt::now().saturating_duration_since(began));
        }
        if let Err(panic) = handled {
            let _ = self.panicked("while it handled a socket event", &*panic);
        }
        self.finish_if_exiting();
    }

    fn life(&self) -> &Rc<Life> {
        &self.caller.life
    }

    fn finish(self: Rc<Self>) {
        let (life, shard) = (&self.caller.life, &self.caller.shard);
        let handle = self.caller.handle;
        if life.is_closed() || life.has_failed() || shard.stopping.get() {
            return shard.remove_service(handle, None);
        }
        life.close();
        shard.services().note_stop(shard, handle, life);
        let context = Context(Rc::clone(&self));
        // A message that it sends to itself is refused only once the state is no longer borrowed.
        let stopped = shard.hold_messages(|| {
            catch_unwind(AssertUnwindSafe(|| {
                let mut state = self.state.borrow_mut();
                state
                    .as_mut()
                    .map_or_else(Stop::now, |state| state.stop(&context))
            }))
        });
        match stopped {
            Ok(Stop(None)) => shard.remove_service(handle, None),
            Ok(Stop(Some(rest))) => self.caller.finish_stop(rest),
            Err(panic) => {
                let _ = self.panicked("while it stopped", &*panic);
                shard.remove_service(handle, None);
            }
        }
    }

    fn stops_at_once(&self) -> bool {
        S::STOPS_AT_ONCE
    }

    fn report(&self, report: &mut Report) {
        if let Ok(state) = self.state.try_borrow()
            && let Some(state) = &*state
        {
            state.report(report);
        }
    }

    fn end(&self) {
        self.caller.life.end();
        // A handler that ends its own service still borrows the state; then `deliver` removes the service.
        let state = self
            .state
            .try_borrow_mut()
            .ok()
            .and_then(|mut state| state.take());
        drop(state);
    }
}
