//! How messages get to the services of a shard: at once, or behind what is being handled.
//!
//! Invariant: no handler is entered while another runs, so a chain of sends is a loop here and no recursion.

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

/// What waits on a shard until no handler runs.
pub(super) enum Due {
    Request(Request),
    /// The answer to what a service posted.
    Answer {
        handle: Handle,
        session: u32,
        result: Result<Payload, Error>,
    },
    /// What happened to a socket of a service.
    Event(Delivery),
}

impl Shard {
    /// Takes a message for a service of this shard: handles it at once, or queues it behind the one that
    /// is being handled.
    #[inline]
    pub(super) fn deliver(&self, shard: &Rc<ShardCore>, request: Request) {
        if self.must_queue(shard) {
            return self.enqueue(shard, request);
        }
        let Some(service) = self.services.get(request.target) else {
            return refuse_unknown(shard, &request);
        };
        if service.life().is_full(request.waits) {
            return refuse_full(shard, &request);
        }
        self.enter(shard, || handle(shard, request, service));
    }

    /// Whether something is being handled, or waits to be.
    #[inline]
    fn must_queue(&self, shard: &ShardCore) -> bool {
        shard.is_handling.get() || !self.run_queue.borrow().is_empty()
    }

    /// Handles something while nothing else is; what comes meanwhile waits.
    #[inline(always)]
    fn enter(&self, shard: &ShardCore, work: impl FnOnce()) {
        shard.is_handling.set(true);
        work();
        shard.is_handling.set(false);
        if !self.run_queue.borrow().is_empty() {
            shard.request_turn();
        }
    }

    fn queue(&self, shard: &ShardCore, due: Due) {
        self.run_queue.borrow_mut().push_back(due);
        shard.request_turn();
    }

    fn enqueue(&self, shard: &Rc<ShardCore>, request: Request) {
        let Some(service) = self.services.get(request.target) else {
            return refuse_unknown(shard, &request);
        };
        if !service.life().try_enqueue(request.payload.0.len(), request.waits) {
            return refuse_full(shard, &request);
        }
        self.queue(shard, Due::Request(request));
    }

    /// Handles queued messages until there are none or the turn is over; true when some are left.
    pub(super) fn drain_run_queue(&self, shard: &Rc<ShardCore>, started: Instant) -> bool {
        if shard.is_handling.replace(true) {
            return false;
        }
        let mut handled = 0u32;
        let more = loop {
            let Some(due) = self.run_queue.borrow_mut().pop_front() else {
                break false;
            };
            match due {
                Due::Request(request) => match self.services.get(request.target) {
                    Some(service) => {
                        service.life().dequeue(request.payload.0.len());
                        handle(shard, request, service);
                    }
                    None => refuse_unknown(shard, &request),
                },
                Due::Answer {
                    handle,
                    session,
                    result,
                } => self.hand_answer(shard, handle, session, result),
                Due::Event(delivery) => self.hand_event(shard, delivery),
            }
            handled += 1;
            // The clock is looked at seldom: handlers take far less than a turn.
            if handled.is_multiple_of(64) && is_turn_over(started) {
                break !self.run_queue.borrow().is_empty();
            }
        };
        shard.is_handling.set(false);
        more
    }

    /// Takes the answer to what a service of this shard posted.
    pub(super) fn take_answer(
        &self,
        shard: &Rc<ShardCore>,
        handle: Handle,
        session: u32,
        result: Result<Payload, Error>,
    ) {
        if self.must_queue(shard) {
            let due = Due::Answer {
                handle,
                session,
                result,
            };
            return self.queue(shard, due);
        }
        self.enter(shard, || self.hand_answer(shard, handle, session, result));
    }

    fn hand_answer(
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

    /// Takes an event for a service of this shard.
    pub(super) fn take_event(&self, shard: &Rc<ShardCore>, delivery: Delivery) {
        if self.must_queue(shard) {
            return self.queue(shard, Due::Event(delivery));
        }
        self.enter(shard, || self.hand_event(shard, delivery));
    }

    /// Gives a service its event, and tells the socket that it was handled.
    fn hand_event(&self, shard: &Rc<ShardCore>, delivery: Delivery) {
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
fn handle(shard: &ShardCore, request: Request, service: Rc<dyn Deliver>) {
    if request.deadline.is_some_and(|deadline| deadline < shard.now()) {
        // Its caller has its timeout already; running it now would be work for nobody.
        shard.node.metrics.messages_expired.add(1);
        return;
    }
    service.deliver(request);
}

fn refuse_unknown(shard: &Rc<ShardCore>, request: &Request) {
    let address = request.target.to_string();
    shard.refuse(
        request.reply_to,
        Error::NoSuchService {
            address: address.into(),
        },
    );
}

fn refuse_full(shard: &Rc<ShardCore>, request: &Request) {
    let what = format!(
        "the inbox of {} holds {INBOX_MESSAGES_MAX} messages, or {INBOX_BYTES_MAX} bytes",
        request.target
    );
    shard.refuse(request.reply_to, Error::overloaded(what));
}
