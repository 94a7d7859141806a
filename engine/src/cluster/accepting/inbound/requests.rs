//! The requests of an accepted connection on their way to the services.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use skyring_codec::Millis;
use skyring_codec::link::{Dialect, Inbound as WireInbound, Request as WireRequest};
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
use crate::error::Error;
use crate::rt;

/// Requests between two looks at the clock.
const REQUESTS_PER_LOOK: u32 = 64;

impl Inbound {
    /// Passes on every request that has come, as fast as answers can be taken.
    pub(super) async fn take_requests(&self, shard: &Rc<ShardCore>) -> Result<(), String> {
        let mut started = Instant::now();
        let mut unlooked = 0;
        loop {
            if self.is_full() && !self.wait_for_room(shard).await {
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
                    // Whoever dialled closes the connection when it has its answers.
                    Ok(Some(WireInbound::Goodbye)) => {}
                    Ok(None) => break,
                    Err(error) => return Err(error.to_string()),
                }
            }
            unlooked += taken.max(1);
            if unlooked >= REQUESTS_PER_LOOK {
                unlooked = 0;
                if is_turn_over(started) {
                    rt::relax().await;
                    shard.io_seen();
                    started = Instant::now();
                }
            }
        }
        // The link itself has answered what only asked for a sign of life.
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

    /// The way that nearly all requests take, up to so many that the clock should be looked at; how many they
    /// were.
    fn take_resolved(&self, shard: &Rc<ShardCore>) -> u32 {
        let mut taken = 0;
        self.is_passing_on.set(true);
        while taken < REQUESTS_PER_LOOK && !self.is_full() {
            let state = shard.names.version();
            let resolve = |name: &[u8]| resolve_name(shard, name).map(|handle| handle.0);
            let request = self.connection.link.borrow_mut().next_resolved(state, resolve);
            let Some(request) = request else { break };
            taken += 1;
            if let Some(reply_to) = self.count_request(shard, request.session, request.payload.len()) {
                let remaining_ms = (request.remaining_ms != 0).then_some(request.remaining_ms);
                self.pass_on(
                    shard,
                    self.instance(shard, Handle(request.target), request.shard),
                    request.payload,
                    reply_to,
                    remaining_ms,
                );
            }
        }
        self.is_passing_on.set(false);
        taken
    }

    fn take_request(&self, shard: &Rc<ShardCore>, request: WireRequest) {
        let Some(reply_to) = self.count_request(shard, request.session, request.payload.len()) else {
            return;
        };
        let (address, target) = match request.address {
            RequestAddress::Handle(0) => {
                let answer = query_name(shard, &request.payload)
                    .ok_or_else(|| self.unknown_name("name not found", "a name"));
                return shard.reply(reply_to, answer);
            }
            RequestAddress::Handle(handle) => (None, Some(Handle(handle))),
            RequestAddress::Name(name) => {
                let target = resolve_name(shard, &name);
                (Some(name), target)
            }
        };
        match target {
            Some(target) => {
                let target = self.instance(shard, target, request.shard);
                self.pass_on(shard, target, request.payload, reply_to, request.remaining_ms);
            }
            None => {
                let name = address.unwrap_or_default();
                let error = self.unknown_name("Invalid name", &String::from_utf8_lossy(&name));
                shard.refuse(reply_to, error);
            }
        }
    }

    /// Counts a request that was taken; gives where its answer goes. None: it is refused, and answered.
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
        if !self.budget.take_request(bytes, is_only) {
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

    /// Of a keyed service the instance that a request is for: on the shard that its header says, counted from
    /// 1, or else on that of the channel. The skynet dialect has no keys: all its requests meet the first.
    #[inline]
    fn instance(&self, shard: &ShardCore, target: Handle, said: u16) -> Handle {
        if target.0 & KEYED == 0 {
            return target;
        }
        let on = match (said, self.connection.link.borrow().dialect()) {
            (_, Dialect::Skynet) => 0,
            (0, Dialect::Native) => shard.index,
            (said, Dialect::Native) => usize::from(said) - 1,
        };
        shard.instance_on(target, on)
    }

    #[inline]
    fn pass_on(
        &self,
        shard: &Rc<ShardCore>,
        target: Handle,
        payload: Bytes,
        reply_to: ReplyTo,
        remaining_ms: Option<u32>,
    ) {
        shard.request(Request {
            target,
            source: Handle::NONE,
            kind: Kind::LUA,
            payload: Payload(shard.read_buffer.lend(payload)),
            reply_to,
            waits: false,
            deadline: remaining_ms.map(|remaining| shard.now() + Millis::from(remaining)),
        });
    }

    /// Says that nobody has a name: to a Skynet peer in the words that Skynet uses, which its users' programs
    /// may look for.
    fn unknown_name(&self, skynet_words: &str, name: &str) -> Error {
        match self.connection.link.borrow().dialect() {
            Dialect::Native => Error::NoSuchService { address: name.into() },
            Dialect::Skynet => Error::remote(skynet_words),
        }
    }
}

fn too_many_handled() -> String {
    format!("requests of {REQUEST_BYTES_MAX} bytes are being handled")
}

/// Answers a query: the packed handle behind a packed name that comes without its `@`.
fn query_name(shard: &ShardCore, payload: &Bytes) -> Option<Payload> {
    let name: &str = seri::unpack(payload).ok()?;
    let handle = shard.names.read(|names| names.resolve(&format!("@{name}")))?;
    Payload::pack(&handle.0).ok()
}

/// The service behind a name in a request: `@name`, `.name`, `:hex` or a number.
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
