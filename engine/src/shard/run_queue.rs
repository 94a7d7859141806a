//! Delivery of messages to the services of a shard: at once, or queued behind the current handler.
//!
//! Invariant: no handler is entered while another runs, so a chain of sends is a loop and not a recursion.

use std::rc::Rc;
use std::time::Instant;

use crate::core::ShardCore;
use crate::core::clock::is_turn_over;
use crate::core::handle::Handle;
use crate::core::limits::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX};
use crate::core::payload::Payload;
use crate::core::request::Request;
use crate::core::socket_event::Delivery;
use crate::error::Error;
use crate::service::Deliver;
use crate::shard::Shard;

/// An entry of the run queue.
pub(super) enum Queued {
    Request(Request),
    /// The answer to a post of a service.
    Answer {
        handle: Handle,
        session: u32,
        result: Result<Payload, Error>,
    },
    /// An event of a socket of a service.
    Event(Delivery),
}

impl Shard {
    /// Delivers a message to a service of this shard: at once, or queued behind the current handler.
    ///
    /// The payload is taken out of `request`.
    #[inline(always)]
    pub(super) fn deliver(&self, shard: &Rc<ShardCore>, request: &mut Request) {
        if self.must_queue(shard) {
            return self.enqueue(shard, request.take());
        }
        let Some(service) = self.services.get(request.target) else {
            return self.refuse_absent(shard, request);
        };
        if service.life().is_full(request.waits) {
            return self.refuse_full(shard, request, &*service);
        }
        shard.is_handling.set(true);
        handle(shard, request, service);
        self.end_handler(shard);
    }

    /// Whether a handler runs, or entries are queued.
    #[inline]
    fn must_queue(&self, shard: &ShardCore) -> bool {
        shard.is_handling.get() || !self.run_queue.borrow().is_empty()
    }

    /// Runs a handler; messages that arrive meanwhile are queued.
    #[inline(always)]
    fn run_handler(&self, shard: &ShardCore, work: impl FnOnce()) {
        shard.is_handling.set(true);
        work();
        self.end_handler(shard);
    }

    #[inline(always)]
    fn end_handler(&self, shard: &ShardCore) {
        shard.is_handling.set(false);
        if !self.run_queue.borrow().is_empty() {
            shard.request_turn();
        }
    }

    fn queue(&self, shard: &ShardCore, queued: Queued) {
        self.run_queue.borrow_mut().push_back(queued);
        shard.request_turn();
    }

    fn enqueue(&self, shard: &Rc<ShardCore>, request: Request) {
        let Some(service) = self.services.get(request.target) else {
            return self.refuse_absent(shard, &request);
        };
        if !service.life().try_enqueue(request.payload.0.len(), request.waits) {
            return self.refuse_full(shard, &request, &*service);
        }
        self.queue(shard, Queued::Request(request));
    }

    /// Handles queued messages until there are none or the turn is over; returns true when some are left.
    pub(super) fn drain_run_queue(&self, shard: &Rc<ShardCore>, started: Instant) -> bool {
        if shard.is_handling.replace(true) {
            return false;
        }
        let mut handled = 0u32;
        let more = loop {
            let Some(queued) = self.run_queue.borrow_mut().pop_front() else {
                break false;
            };
            match queued {
                Queued::Request(mut request) => match self.services.get(request.target) {
                    Some(service) => {
                        service.life().dequeue(request.payload.0.len());
                        if service.life().is_closed() {
                            self.refuse_absent(shard, &request);
                        } else {
                            handle(shard, &mut request, service);
                        }
                    }
                    None => self.refuse_absent(shard, &request),
                },
                Queued::Answer {
                    handle,
                    session,
                    result,
                } => self.handle_answer(shard, handle, session, result),
                Queued::Event(delivery) => self.handle_event(shard, delivery),
            }
            handled += 1;
            // The clock is read seldom: handlers take far less than a turn.
            if handled.is_multiple_of(64) && is_turn_over(started) {
                break !self.run_queue.borrow().is_empty();
            }
        };
        shard.is_handling.set(false);
        more
    }

    /// Delivers the answer to a post of a service of this shard.
    pub(super) fn deliver_answer(
        &self,
        shard: &Rc<ShardCore>,
        handle: Handle,
        session: u32,
        result: Result<Payload, Error>,
    ) {
        if self.must_queue(shard) {
            let queued = Queued::Answer {
                handle,
                session,
                result,
            };
            return self.queue(shard, queued);
        }
        self.run_handler(shard, || self.handle_answer(shard, handle, session, result));
    }

    fn handle_answer(
        &self,
        shard: &Rc<ShardCore>,
        handle: Handle,
        session: u32,
        result: Result<Payload, Error>,
    ) {
        match self.services.get(handle) {
            Some(service) => service.answered(session, result),
            None if shard.stopping.get() => {}
            None => shard.node.metrics.replies_late.add(1),
        }
    }

    /// Delivers a socket event to a service of this shard.
    pub(super) fn deliver_event_here(&self, shard: &Rc<ShardCore>, delivery: Delivery) {
        if self.must_queue(shard) {
            return self.queue(shard, Queued::Event(delivery));
        }
        self.run_handler(shard, || self.handle_event(shard, delivery));
    }

    /// Calls a service with its event, and counts the event as handled.
    fn handle_event(&self, shard: &Rc<ShardCore>, delivery: Delivery) {
        let Delivery { owner, event, bytes } = delivery;
        let socket = event.socket;
        match self.services.get(owner) {
            Some(service) => service.socket_event(event),
            None => self.sockets.close_unowned_sockets(shard, owner, event),
        }
        self.sockets.event_handled(shard, socket, bytes);
    }
}

#[inline(always)]
fn handle(shard: &ShardCore, request: &mut Request, service: Rc<dyn Deliver>) {
    if request.deadline.is_some_and(|deadline| deadline < shard.now()) {
        // Its caller has failed with a timeout already: running it would be wasted work.
        shard.node.metrics.messages_expired.add(1);
        return;
    }
    service.deliver(request);
}

impl Shard {
    #[cold]
    fn refuse_absent(&self, shard: &Rc<ShardCore>, request: &Request) {
        let error = self.services.error_of_absent(shard, request.target);
        shard.refuse(request.reply_to, error);
    }

    #[cold]
    fn refuse_full(&self, shard: &Rc<ShardCore>, request: &Request, service: &dyn Deliver) {
        if service.life().is_closed() {
            return self.refuse_absent(shard, request);
        }
        let what = format!(
            "the inbox of {} holds {INBOX_MESSAGES_MAX} messages, or {INBOX_BYTES_MAX} bytes",
            request.target
        );
        shard.refuse(request.reply_to, Error::overloaded(what));
    }
}
