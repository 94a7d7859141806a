//! The events of the channel's link, and the outcomes of its calls.

use std::rc::Rc;

use skyring_codec::link::{CallerEvent, CallerLimits, ReplyError};
use skyring_codec::native::ErrorCode;

use crate::cluster::dialling::channel::failure::{Failure, Fault};
use crate::cluster::dialling::channel::state::{Channel, Phase};
use crate::cluster::dialling::channel::token::{InFlight, Token};
use crate::cluster::membership::detector::Evidence;
use crate::core::ShardCore;
use crate::core::handle::{Address, Name};
use crate::core::payload::Payload;
use crate::core::request::ReplyTo;
use crate::core::waiters::Outcome;
use crate::error::{Error, Text};
use crate::log::Level;

impl Channel {
    /// Handles the events of the link and completes their calls. An error is the peer's: it violates the protocol.
    pub(super) fn handle_events(&self, shard: &Rc<ShardCore>, failure: Failure<'_>) -> Result<(), Fault> {
        loop {
            self.handle_replies(shard);
            let event = self.connection.link.borrow_mut().poll_event(shard.now());
            let event = match event {
                Ok(Some(event)) => event,
                Ok(None) => {
                    if self.backlog.is_active() {
                        // Calls that have ended free space too.
                        self.connection.written.wake();
                    }
                    self.count_dropped_sends(shard);
                    self.note_traces_sent(shard);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            match event {
                CallerEvent::Ready { peer, .. } => {
                    let channels = peer.as_ref().map_or(1, |peer| peer.channels);
                    self.set_open(shard, channels, peer.map(|peer| peer.epoch));
                }
                CallerEvent::Goodbye => self.handle_goodbye(shard),
                CallerEvent::Quiet => self.report(shard, Evidence::Quiet),
                CallerEvent::Heard => self.report(shard, Evidence::Heard),
                CallerEvent::Reply { token, result } => {
                    self.figures.end_round_trip(token);
                    let payload = result.map(|payload| Payload(shard.read_buffer.lend(payload)));
                    self.end_call(shard, token, |call| {
                        payload.map_err(|error| call.remote_error(&error))
                    });
                }
                CallerEvent::Expired { token, may_have_run } => self.expire(shard, token, may_have_run),
                CallerEvent::Restarted { token } => {
                    let node = self.node.clone();
                    self.end_call(shard, token, |_| Err(Error::Restarted { node }));
                }
                CallerEvent::Forgotten { token } => {
                    let cause = Text::from("the node no longer knows the channel");
                    self.end_call(shard, token, |_| {
                        Err(Failure::Broken(&cause).error(&self.node, true))
                    });
                }
                CallerEvent::Lost { token, may_have_run } => {
                    self.end_call(shard, token, |_| Err(failure.error(&self.node, may_have_run)));
                }
                CallerEvent::TooLarge { token, bytes } => {
                    shard.node.metrics.messages_too_large.add(1);
                    let (bytes, limit) = (bytes as u64, CallerLimits::default().message_bytes_max as u64);
                    self.end_call(shard, token, |_| Err(Error::TooLarge { bytes, limit }));
                }
            }
        }
    }

    fn count_dropped_sends(&self, shard: &ShardCore) {
        let dropped = self.connection.link.borrow().sends_dropped();
        let before = std::mem::replace(&mut self.state.borrow_mut().sends_dropped, dropped);
        if dropped > before {
            shard.node.metrics.sends_dropped.add(dropped - before);
        }
    }

    /// The fast path: plain answers that are contiguous in the last read.
    #[inline]
    fn handle_replies(&self, shard: &Rc<ShardCore>) {
        loop {
            let reply = self.connection.link.borrow_mut().next_reply();
            let Some((token, payload)) = reply else { return };
            self.figures.end_round_trip(token);
            let payload = shard.read_buffer.lend(payload);
            match Token::of(token) {
                Token::Waiter(key) => shard.answer_waiter(key, Payload(payload)),
                Token::InTable(_) => self.end_call(shard, token, |_| Ok(Payload(payload))),
            }
        }
    }

    /// Completes the call with this token.
    fn end_call(
        &self,
        shard: &Rc<ShardCore>,
        token: u64,
        result: impl FnOnce(&InFlight) -> Result<Payload, Error>,
    ) {
        self.figures.forget_round_trip(token);
        let result = |call: &InFlight| {
            let result = result(call);
            if let Err(error) = &result {
                self.figures.count_error(error);
            }
            result
        };
        match Token::of(token) {
            Token::Waiter(key) => {
                // The waiter puts its own address into errors that name one.
                let placeholder = InFlight {
                    reply_to: ReplyTo::Nobody,
                    address: Address::Name(Name::default()),
                    timeout_ms: 0,
                };
                shard.complete_waiter(key, Outcome::Answer(result(&placeholder)));
            }
            Token::InTable(key) => {
                let call = self.in_flight.borrow_mut().remove(key);
                if let Some(call) = call {
                    shard.reply(call.reply_to, result(&call));
                }
            }
        }
    }

    /// The handshake is done: queued requests are sent.
    pub(super) fn set_open(&self, shard: &Rc<ShardCore>, channels: u32, epoch: Option<u64>) {
        self.phase.set(Phase::Open);
        self.share_sign_of_life(shard, epoch);
        self.begin_idle_time(shard);
        self.note_traces_sent(shard);
        self.figures.connects.set(self.figures.connects.get() + 1);
        let (node, number, address) = (&self.node, self.number, self.address());
        shard.log_cluster(
            Level::Debug,
            format_args!("channel {number} to {node} is open at {address}"),
        );
        self.report(shard, Evidence::Connected(epoch));
        self.arm_next(shard);
        self.state.borrow_mut().connect_until = 0;
        shard.cluster().shared.set_failure(&self.node, None);
        self.connection.flush_later(shard);
        if self.number == 1 {
            shard
                .cluster()
                .end_handshake(shard, &self.node, self.address(), channels);
        }
    }

    /// Fails a call whose deadline has passed. The reason why there is no connection is more useful than the timeout.
    fn expire(&self, shard: &Rc<ShardCore>, token: u64, may_have_run: bool) {
        if !self.is_connected() {
            let cause = self.last_cause();
            if may_have_run {
                return self.end_call(shard, token, |_| {
                    Err(Failure::Broken(&cause).error(&self.node, true))
                });
            }
            return self.end_call(shard, token, |_| {
                Err(Failure::Down(&cause).error(&self.node, false))
            });
        }
        if let Token::Waiter(key) = Token::of(token) {
            self.figures.forget_round_trip(token);
            self.figures.count_code("timeout");
            return shard.complete_waiter(key, Outcome::Elapsed);
        }
        self.end_call(shard, token, |call| {
            let target = format!("{} {}", self.node, call.address);
            Err(Error::Timeout {
                target: target.into(),
                timeout_ms: call.timeout_ms,
            })
        });
    }
}

impl InFlight {
    fn remote_error(&self, error: &ReplyError) -> Error {
        match error.code {
            // The service's own text, unchanged.
            Some(ErrorCode::RemoteValue) => Error::remote_from_wire(&error.text),
            Some(ErrorCode::Remote) => Error::remote(String::from_utf8_lossy(&error.text)),
            _ => Error::from_wire(&error.text, &self.address.to_string()),
        }
    }
}
