//! Dispatch of the requests of an inbound connection to services.

use std::rc::Rc;

use bytes::Bytes;
use skyring_codec::Millis;
use skyring_codec::link::{Dialect, Inbound as WireInbound, ProtocolError, Request as WireRequest};
use skyring_codec::seri;
use skyring_codec::skynet::RequestAddress;

use crate::cluster::accepting::budget::REQUEST_BYTES_MAX;
use crate::cluster::accepting::inbound::state::Inbound;
use crate::cluster::accepting::incidents::Incident;
use crate::core::ShardCore;
use crate::core::clock::is_turn_over;
use crate::core::handle::KEYED;
use crate::core::handle::{Address, Handle};
use crate::core::payload::{Kind, Payload};
use crate::core::request::{ReplyTo, Request};
use crate::core::spans::SpanKey;
use crate::error::Error;
use crate::rt;

/// Requests between two checks of the clock.
const REQUESTS_PER_CLOCK_CHECK: u32 = 64;

impl Inbound {
    /// Dispatches every request that was received, as fast as the connection accepts answers.
    pub(super) async fn take_requests(&self, shard: &Rc<ShardCore>) -> Result<(), ProtocolError> {
        let mut started = rt::now();
        let mut unchecked = 0;
        loop {
            if self.is_full() && !self.wait_for_capacity(shard).await {
                return Ok(());
            }
            let taken = self.take_resolved(shard);
            if taken == 0 {
                let inbound = self.connection.link.borrow_mut().poll_inbound();
                match inbound {
                    Ok(Some(WireInbound::Request(request))) => self.take_request(shard, request),
                    Ok(Some(WireInbound::Hello(hello))) => {
                        self.peer.borrow_mut().hello = Some(Box::new(hello))
                    }
                    // The dialler closes the connection when it has its answers.
                    Ok(Some(WireInbound::Goodbye)) => {}
                    Ok(None) => break,
                    Err(error) => return Err(error),
                }
            }
            unchecked += taken.max(1);
            if unchecked >= REQUESTS_PER_CLOCK_CHECK {
                unchecked = 0;
                if is_turn_over(started) {
                    rt::relax().await;
                    shard.note_io_polled();
                    started = rt::now();
                }
            }
        }
        // The link itself has answered pings.
        if self.connection.link.borrow().has_output() {
            self.connection.flush_later(shard);
        }
        let refused = self.connection.link.borrow().requests_refused();
        let before = self.refused.replace(refused);
        if refused > before {
            shard.node.metrics.messages_too_large.add(refused - before);
            shard.cluster().incidents.log(shard, Incident::TooLarge, || {
                format!(
                    "{} sent a message that is too large, or parts that do not add up; it was refused",
                    self.address()
                )
            });
            self.connection.flush_later(shard);
        }
        Ok(())
    }

    /// The fast path of nearly all requests, up to the next check of the clock; returns their number.
    fn take_resolved(&self, shard: &Rc<ShardCore>) -> u32 {
        let mut taken = 0;
        self.is_dispatching.set(true);
        let is_limited = self.is_limited(shard);
        while taken < REQUESTS_PER_CLOCK_CHECK && !self.is_full() {
            let state = shard.names.version();
            let resolve = |name: &[u8]| resolve_name(shard, name).map(|handle| handle.0);
            let request = self.connection.link.borrow_mut().next_resolved(state, resolve);
            let Some(request) = request else { break };
            taken += 1;
            if let Some(reply_to) = self.count_request(shard, request.session, request.payload.len()) {
                let target = Handle(request.target);
                if is_limited && !self.permits(shard, target) {
                    self.deny(shard, target, reply_to);
                    continue;
                }
                let remaining_ms = (request.remaining_ms != 0).then_some(request.remaining_ms);
                self.dispatch(
                    shard,
                    self.instance(shard, target, request.shard),
                    request.payload,
                    reply_to,
                    remaining_ms,
                    SpanKey::NONE,
                );
            }
        }
        self.is_dispatching.set(false);
        taken
    }

    fn take_request(&self, shard: &Rc<ShardCore>, request: WireRequest) {
        let Some(reply_to) = self.count_request(shard, request.session, request.payload.len()) else {
            return;
        };
        let (address, target) = match request.address {
            RequestAddress::Handle(0) => {
                let Some(handle) = queried(shard, &request.payload) else {
                    return shard.reply(reply_to, Err(self.unknown_name("name not found", "a name")));
                };
                return match self.permits(shard, handle) {
                    true => shard.reply(reply_to, Payload::pack(&handle.0)),
                    false => self.deny(shard, handle, reply_to),
                };
            }
            RequestAddress::Handle(handle) => (None, Some(Handle(handle))),
            RequestAddress::Name(name) => {
                let target = resolve_name(shard, &name);
                (Some(name), target)
            }
        };
        match target {
            Some(target) if !self.permits(shard, target) => self.deny(shard, target, reply_to),
            Some(target) => {
                let target = self.instance(shard, target, request.shard);
                let span = request.trace.as_ref().map_or(SpanKey::NONE, |tag| {
                    let payload = Payload(request.payload.clone());
                    shard.begin_arrival(tag, target, &payload)
                });
                self.dispatch(
                    shard,
                    target,
                    request.payload,
                    reply_to,
                    request.remaining_ms,
                    span,
                );
            }
            None => {
                let name = address.unwrap_or_default();
                let error = self.unknown_name("Invalid name", &String::from_utf8_lossy(&name));
                shard.refuse(reply_to, error);
            }
        }
    }

    /// Counts a request; returns where its answer goes. `None`: it was refused, and is answered.
    #[inline]
    fn count_request(&self, shard: &Rc<ShardCore>, session: u32, bytes: usize) -> Option<ReplyTo> {
        let load = self.load.get();
        let is_only = load.requests == 0;
        self.load.set(load.with(bytes));
        let reply_to = ReplyTo::Connection {
            shard: shard.index as u16,
            connection: self.key.get(),
            session,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        };
        if !self.budget.begin_request(bytes, is_only) {
            return Some(reply_to);
        }
        shard.node.metrics.requests_refused.add(1);
        shard.cluster().incidents.log(shard, Incident::Overloaded, || {
            format!(
                "a request of {} is refused: {}",
                self.address(),
                too_many_handled()
            )
        });
        shard.refuse(reply_to, Error::overloaded(too_many_handled()));
        None
    }

    /// The instance of a keyed service that a request is for: on the shard that its header names, counted from 1, or
    /// else on the shard of the channel. The skynet dialect has no keys: all its requests go to the first.
    #[inline]
    fn instance(&self, shard: &ShardCore, target: Handle, named: u16) -> Handle {
        if target.0 & KEYED == 0 {
            return target;
        }
        let on = match (named, self.connection.link.borrow().dialect()) {
            (_, Dialect::Skynet) => 0,
            (0, Dialect::Native) => shard.index,
            (named, Dialect::Native) => usize::from(named) - 1,
        };
        shard.instance_on(target, on)
    }

    #[inline]
    fn dispatch(
        &self,
        shard: &Rc<ShardCore>,
        target: Handle,
        payload: Bytes,
        reply_to: ReplyTo,
        remaining_ms: Option<u32>,
        span: SpanKey,
    ) {
        shard.request(Request {
            target,
            source: Handle::NONE,
            kind: Kind::LUA,
            payload: Payload(shard.read_buffer.lend(payload)),
            reply_to,
            waits: false,
            deadline: remaining_ms.map(|remaining| shard.now() + Millis::from(remaining)),
            span,
        });
    }

    /// The error for an unknown name: a Skynet peer gets the text that Skynet uses, since programs may compare it.
    fn unknown_name(&self, skynet_text: &str, name: &str) -> Error {
        match self.connection.link.borrow().dialect() {
            Dialect::Native => Error::NoSuchService { address: name.into() },
            Dialect::Skynet => Error::remote(skynet_text),
        }
    }
}

fn too_many_handled() -> String {
    format!("requests of {REQUEST_BYTES_MAX} bytes are being handled")
}

/// The service that a name query asks for, by a packed name, which comes without its `@`.
fn queried(shard: &ShardCore, payload: &Bytes) -> Option<Handle> {
    let name: &str = seri::unpack(payload).ok()?;
    shard.names.read(|names| names.resolve(&format!("@{name}")))
}

/// The service that a name in a request addresses: `@name`, `.name`, `:hex` or a number.
fn resolve_name(shard: &ShardCore, name: &[u8]) -> Option<Handle> {
    let name = std::str::from_utf8(name).ok()?;
    if let Some(handle) = shard.names.read(|names| names.resolve(name)) {
        return Some(handle);
    }
    match Address::parse(name)? {
        Address::Handle(handle) => Some(handle),
        Address::Name(_) => None,
    }
}
