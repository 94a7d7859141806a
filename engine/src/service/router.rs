//! The one way of every message: to a service of this shard, of another shard, or of another node; and
//! of every answer back.
//!
//! A message for a service of this shard is handled at once, or behind the one that is being handled. No
//! handler is entered while another runs, so a chain of sends is a loop here and no recursion.

use std::rc::Rc;
use std::time::Instant;

use skyring_codec::Millis;

use crate::error::Error;
use crate::service::cell::Deliver;
use crate::service::handle::{Address, Handle};
use crate::service::message::Payload;
use crate::service::placement::shard_of_handle;
use crate::shard::envelope::{Due, Envelope, RemoteRequest, ReplyTo, Request};
use crate::shard::waiters::Outcome;
use crate::shard::{Shard, Timer};

/// Most messages for one service that wait or are being answered later.
pub const INBOX_MESSAGES_MAX: usize = 65_536;

/// Most bytes that the payloads of the messages have which are queued for one service. A larger one is queued
/// alone.
pub const INBOX_BYTES_MAX: usize = 64 << 20;

/// Most calls that wait for room in one place, beside what has room there.
pub const WAITING_CALLS_MAX: usize = 65_536;

impl Shard {
    /// The service behind an address on this node; of a keyed service the instance of the key.
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

    /// Sends a message to a service of this node, whichever shard it is on. Failures are answered.
    #[inline(always)]
    pub(crate) fn request(self: &Rc<Shard>, request: Request) {
        let shard = shard_of_handle(request.target, self.shards());
        if shard == self.index {
            self.deliver(request);
        } else if let Err(Envelope::Request(refused)) = self.stage(shard, Envelope::Request(request)) {
            self.refuse(
                refused.reply_to,
                Error::overloaded(format!("shard {shard} is behind")),
            );
        }
    }

    /// Sends a message to another node, by way of the shard that owns its channel. Failures are answered.
    pub(crate) fn request_remote(self: &Rc<Shard>, request: RemoteRequest) {
        self.cluster.route(self, request);
    }

    /// Hands a message to the cluster part of this shard, which owns the channel.
    pub(crate) fn send_remote(self: &Rc<Shard>, request: RemoteRequest) {
        self.cluster.request(self, request);
    }

    /// Carries an answer to whoever waits for it.
    #[inline]
    pub(crate) fn reply(self: &Rc<Shard>, reply_to: ReplyTo, result: Result<Payload, Error>) {
        let shard = match reply_to {
            ReplyTo::Nobody => return,
            ReplyTo::Waiter { shard, .. }
            | ReplyTo::Service { shard, .. }
            | ReplyTo::Group { shard, .. }
            | ReplyTo::Connection { shard, .. } => usize::from(shard),
        };
        if shard != self.index {
            // Replies are never refused; see `stage`.
            let _ = self.stage(shard, Envelope::Reply { reply_to, result });
            return;
        }
        match reply_to {
            ReplyTo::Nobody => {}
            ReplyTo::Waiter { key, .. } => match result {
                Ok(payload) => self.answer_waiter(key, payload),
                Err(error) => self.complete_waiter(key, Outcome::Answer(Err(error))),
            },
            ReplyTo::Service { handle, session, .. } => self.answer_service(handle, session, result),
            ReplyTo::Group { key, member, .. } => {
                self.cluster
                    .member_answered(self, key, usize::from(member), result);
            }
            ReplyTo::Connection {
                connection,
                session,
                bytes,
                ..
            } => {
                self.cluster
                    .respond(self, connection, session, bytes as usize, result);
            }
        }
    }

    /// Answers a message that goes no further: a call with the error, a send by counting it.
    pub(crate) fn refuse(self: &Rc<Shard>, reply_to: ReplyTo, error: Error) {
        if reply_to.session() == 0 {
            self.node.metrics.sends_dropped.add(1);
        }
        self.reply(reply_to, Err(error));
    }

    /// Takes a message for a service of this shard: handles it at once, or queues it behind the one that
    /// is being handled.
    #[inline]
    pub(crate) fn deliver(self: &Rc<Shard>, request: Request) {
        if self.handling.get() || !self.run_queue.borrow().is_empty() {
            self.enqueue(request);
            return;
        }
        let Some(service) = self.service(request.target) else {
            return self.refuse_unknown(&request);
        };
        if service.life().is_full(request.waits) {
            return self.refuse_full(&request);
        }
        self.handling.set(true);
        self.handle(request, service);
        self.handling.set(false);
        if !self.run_queue.borrow().is_empty() {
            self.request_turn();
        }
    }

    /// Runs `work` as if a message were being handled: what it sends on this shard waits behind it.
    pub(crate) fn hold_messages<R>(self: &Rc<Shard>, work: impl FnOnce() -> R) -> R {
        /// Lets messages through again, after a panic too.
        struct Hold<'a>(&'a Shard, bool);
        impl Drop for Hold<'_> {
            fn drop(&mut self) {
                self.0.handling.set(self.1);
            }
        }
        let _hold = Hold(self, self.handling.replace(true));
        work()
    }

    fn enqueue(self: &Rc<Shard>, request: Request) {
        let Some(service) = self.service(request.target) else {
            return self.refuse_unknown(&request);
        };
        if !service.life().enter(request.payload.0.len(), request.waits) {
            return self.refuse_full(&request);
        }
        self.run_queue.borrow_mut().push_back(Due::Request(request));
        self.request_turn();
    }

    /// Handles queued messages until there are none or the turn is over; true when some are left.
    pub(crate) fn drain_run_queue(self: &Rc<Shard>, started: Instant) -> bool {
        if self.handling.replace(true) {
            return false;
        }
        let mut handled = 0u32;
        let more = loop {
            let Some(due) = self.run_queue.borrow_mut().pop_front() else {
                break false;
            };
            match due {
                Due::Request(request) => match self.service(request.target) {
                    Some(service) => {
                        service.life().leave(request.payload.0.len());
                        self.handle(request, service);
                    }
                    None => self.refuse_unknown(&request),
                },
                Due::Answer {
                    handle,
                    session,
                    result,
                } => self.hand_answer(handle, session, result),
                Due::Event(delivery) => self.hand_event(delivery),
            }
            handled += 1;
            // The clock is looked at seldom: handlers take far less than a turn.
            if handled.is_multiple_of(64) && Shard::is_turn_over(started) {
                break !self.run_queue.borrow().is_empty();
            }
        };
        self.handling.set(false);
        more
    }

    #[inline(always)]
    fn handle(self: &Rc<Shard>, request: Request, service: Rc<dyn Deliver>) {
        if request.deadline.is_some_and(|deadline| deadline < self.now()) {
            // Its caller has its timeout already; running it now would be work for nobody.
            self.node.metrics.messages_expired.add(1);
            return;
        }
        service.deliver(request);
    }

    /// Gives a service of this shard the answer to what it posted: at once, or behind what waits.
    pub(crate) fn answer_service(
        self: &Rc<Shard>,
        handle: Handle,
        session: u32,
        result: Result<Payload, Error>,
    ) {
        if self.handling.get() || !self.run_queue.borrow().is_empty() {
            self.run_queue.borrow_mut().push_back(Due::Answer {
                handle,
                session,
                result,
            });
            self.request_turn();
            return;
        }
        self.handling.set(true);
        self.hand_answer(handle, session, result);
        self.handling.set(false);
        if !self.run_queue.borrow().is_empty() {
            self.request_turn();
        }
    }

    fn hand_answer(self: &Rc<Shard>, handle: Handle, session: u32, result: Result<Payload, Error>) {
        match self.service(handle) {
            Some(service) => service.answered(session, result),
            None if self.stopping.get() => {}
            None => self.node.metrics.replies_late.add(1),
        }
    }

    /// Wakes a service at `deadline`; see `Caller::wake_after`.
    pub(crate) fn wake_service(&self, deadline: Millis, handle: Handle, session: u32) {
        self.set_timer(deadline, Timer::Service(handle, session));
    }

    fn refuse_unknown(self: &Rc<Shard>, request: &Request) {
        let address = request.target.to_string();
        self.refuse(
            request.reply_to,
            Error::NoSuchService {
                address: address.into(),
            },
        );
    }

    fn refuse_full(self: &Rc<Shard>, request: &Request) {
        let what = format!(
            "the inbox of {} holds {INBOX_MESSAGES_MAX} messages, or {INBOX_BYTES_MAX} bytes",
            request.target
        );
        self.refuse(request.reply_to, Error::overloaded(what));
    }
}
