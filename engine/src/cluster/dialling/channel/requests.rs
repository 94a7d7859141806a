//! The path of calls and sends into the channel's link.

use std::rc::Rc;

use skyring_codec::link::{CallerRequest, LinkError};
use skyring_codec::skynet;

use crate::cluster::dialling::channel::state::Channel;
use crate::cluster::dialling::channel::token::{self, InFlight, Token};
use crate::config::WhenDown;
use crate::core::ShardCore;
use crate::core::handle::Address;
use crate::core::request::{Outgoing, RemoteRequest, ReplyTo};
use crate::core::spans::SpanKey;
use crate::error::Error;

impl Channel {
    /// Accepts a call or a send. Inlined, with all that it calls on the way into the out-buffer: passing arguments in
    /// memory costs more than the work itself.
    #[inline(always)]
    pub(in crate::cluster) fn request(&self, shard: &Rc<ShardCore>, outgoing: Outgoing<'_>) {
        if !self.is_open() && self.refuse_if_down(shard, &outgoing) {
            return;
        }
        if outgoing.waits || self.backlog.is_active() {
            return self.request_behind_backlog(shard, outgoing);
        }
        let reply_to = outgoing.reply_to;
        if let Err(error) = self.offer(shard, outgoing) {
            self.refuse(shard, reply_to, error);
        }
    }

    /// Like `request`, for a request that was queued or comes from another shard.
    #[inline(never)]
    pub(in crate::cluster) fn request_remote(&self, shard: &Rc<ShardCore>, request: &mut RemoteRequest) {
        self.request(shard, request.outgoing());
    }

    /// Like `offer`, not inlined: for the slow paths.
    #[inline(never)]
    pub(super) fn offer_outlined(
        &self,
        shard: &Rc<ShardCore>,
        outgoing: Outgoing<'_>,
    ) -> Result<(), LinkError> {
        self.offer(shard, outgoing)
    }

    /// Offers a call or a send to the link.
    #[inline(always)]
    fn offer(&self, shard: &Rc<ShardCore>, outgoing: Outgoing<'_>) -> Result<(), LinkError> {
        let Outgoing {
            address,
            source,
            key,
            payload,
            reply_to,
            deadline,
            timeout_ms,
            is_idempotent,
            waits: _,
            span,
            when_down,
        } = outgoing;
        let token = match reply_to {
            ReplyTo::Nobody => None,
            ReplyTo::Waiter { shard: own, key } if usize::from(own) == shard.index => Some(key.to_u64()),
            _ => Some(self.insert_in_flight(reply_to, address, timeout_ms)),
        };
        let token = match when_down.unwrap_or(self.when_down.get()) {
            WhenDown::Fail => token,
            WhenDown::Wait => token.map(token::waiting),
        };
        let request = CallerRequest {
            address: wire_address(address),
            source: source.0,
            key,
            payload: std::mem::take(&mut payload.0),
            deadline,
            token,
            is_idempotent,
        };
        let accepted = match span.is_some() {
            false => self.connection.link.borrow_mut().request(shard.now(), request),
            true => self.request_traced(shard, request, span),
        };
        if let Err(error) = accepted {
            if let Some(Token::InTable(key)) = token.map(Token::of) {
                self.in_flight.borrow_mut().remove(key);
            }
            return Err(error);
        }
        self.figures.count(shard, token);
        if let Some(deadline) = deadline {
            self.arm(shard, deadline);
        }
        if self.is_open() {
            self.connection.message_queued(shard);
        } else {
            self.connect_requested.wake();
        }
        Ok(())
    }

    /// Gives the link a request with a trace tag.
    #[cold]
    fn request_traced(
        &self,
        shard: &Rc<ShardCore>,
        request: CallerRequest<'_>,
        span: SpanKey,
    ) -> Result<(), LinkError> {
        let mut link = self.connection.link.borrow_mut();
        let Some(tag) = shard.tag_of(span) else {
            return link.request(shard.now(), request);
        };
        link.request_traced(shard.now(), request, tag.to_text().into(), span.number())?;
        drop(link);
        self.note_traces_sent(shard);
        Ok(())
    }

    /// Notes in their spans which traced requests have come into the out-buffer.
    pub(super) fn note_traces_sent(&self, shard: &ShardCore) {
        let mut link = self.connection.link.borrow_mut();
        while let Some(number) = link.next_trace_sent() {
            shard.note_sent(SpanKey::from_number(number));
        }
    }

    /// Inserts a call into the table; returns its token.
    fn insert_in_flight(&self, reply_to: ReplyTo, address: &Address, timeout_ms: u64) -> u64 {
        let key = self.in_flight.borrow_mut().insert(InFlight {
            reply_to,
            address: address.clone(),
            timeout_ms,
        });
        Token::InTable(key).to_u64()
    }

    #[cold]
    pub(super) fn refuse(&self, shard: &Rc<ShardCore>, reply_to: ReplyTo, error: LinkError) {
        let error = match error {
            LinkError::Overloaded { what, limit } => Error::overloaded(format!(
                "channel to {}: {what} at their limit of {limit}",
                self.node
            )),
            LinkError::TooLarge { bytes, limit } => Error::TooLarge {
                bytes: bytes as u64,
                limit: limit as u64,
            },
            LinkError::InvalidName { .. } => Error::invalid(error.to_string()),
        };
        self.figures.count_error(&error);
        shard.refuse(reply_to, error);
    }
}

/// An address in its wire form.
#[inline]
fn wire_address(address: &Address) -> skynet::Address<'_> {
    match address {
        Address::Handle(handle) => skynet::Address::Handle(handle.0),
        Address::Name(name) => skynet::Address::Name(name.as_bytes()),
    }
}
