//! What the channel's link tells, and the answers that its callers get of it.

use std::rc::Rc;

use skyring_codec::link::{CallerEvent, CallerLimits, ReplyError};
use skyring_codec::native::ErrorCode;

use super::requests::Waiting;
use super::{Channel, Fault, Pending};
use crate::cluster::detector::Evidence;
use crate::error::{Error, Text};
use crate::service::handle::{Address, Name};
use crate::service::message::Payload;
use crate::shard::Shard;
use crate::shard::envelope::ReplyTo;
use crate::shard::waiters::Outcome;

/// Why calls are lost.
#[derive(Clone, Copy)]
pub(crate) enum Loss<'a> {
    /// The connection broke, for this cause.
    Broken(&'a Text),
    /// The map turned the node off.
    Disabled,
    /// The node is down, for this cause.
    Down(&'a Text),
    /// This node stops.
    ShuttingDown,
}

impl Channel {
    /// Answers whoever the link has news for. An error is the peer's: it does not speak the protocol.
    pub(super) fn take_events(&self, shard: &Rc<Shard>, loss: Loss<'_>) -> Result<(), Fault> {
        loop {
            self.take_replies(shard);
            let event = self.connection.link.borrow_mut().poll_event(shard.now());
            let event = match event {
                Ok(Some(event)) => event,
                Ok(None) => {
                    if self.room.is_wanted() {
                        // What has ended makes room too.
                        self.connection.written.wake();
                    }
                    self.count_dropped_sends(shard);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            match event {
                CallerEvent::Ready { peer, .. } => {
                    let channels = peer.as_ref().map_or(1, |peer| peer.channels);
                    self.ready(shard, channels, peer.map(|peer| peer.epoch));
                }
                CallerEvent::Goodbye => self.take_goodbye(shard),
                CallerEvent::Quiet => self.report(shard, Evidence::Quiet),
                CallerEvent::Heard => self.report(shard, Evidence::Heard),
                CallerEvent::Reply { token, result } => {
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
                    self.end_call(shard, token, |_| Err(self.loss(&Loss::Broken(&cause), true)));
                }
                CallerEvent::Lost { token, may_have_run } => {
                    self.end_call(shard, token, |_| Err(self.loss(&loss, may_have_run)));
                }
                CallerEvent::TooLarge { token, bytes } => {
                    shard.node.metrics.messages_too_large.add(1);
                    let (bytes, limit) = (bytes as u64, CallerLimits::default().message_bytes_max as u64);
                    self.end_call(shard, token, |_| Err(Error::TooLarge { bytes, limit }));
                }
            }
        }
    }

    fn count_dropped_sends(&self, shard: &Shard) {
        let dropped = self.connection.link.borrow().sends_dropped();
        let before = self.sends_dropped.replace(dropped);
        if dropped > before {
            shard.node.metrics.sends_dropped.add(dropped - before);
        }
    }

    /// The one path that counts: plain answers that lie whole in what was read last.
    #[inline]
    fn take_replies(&self, shard: &Rc<Shard>) {
        loop {
            let reply = self.connection.link.borrow_mut().next_reply();
            let Some((token, payload)) = reply else { return };
            let payload = shard.read_buffer.lend(payload);
            match Waiting::of(token) {
                Waiting::Here(key) => shard.answer_waiter(key, Payload(payload)),
                Waiting::InTable(_) => self.end_call(shard, token, |_| Ok(Payload(payload))),
            }
        }
    }

    /// Answers whoever waits for the event with this token.
    fn end_call(
        &self,
        shard: &Rc<Shard>,
        token: u64,
        result: impl FnOnce(&Pending) -> Result<Payload, Error>,
    ) {
        match Waiting::of(token) {
            Waiting::Here(key) => {
                // It puts its own address into the errors that name one.
                let here = Pending {
                    reply_to: ReplyTo::Nobody,
                    address: Address::Name(Name::default()),
                    timeout_ms: 0,
                };
                shard.complete_waiter(key, Outcome::Answer(result(&here)));
            }
            Waiting::InTable(key) => {
                let pending = self.pending.borrow_mut().remove(key);
                if let Some(pending) = pending {
                    shard.reply(pending.reply_to, result(&pending));
                }
            }
        }
    }

    /// The peer has said what it speaks: what waited goes out.
    pub(super) fn ready(&self, shard: &Rc<Shard>, channels: u32, epoch: Option<u64>) {
        self.connected.set(true);
        self.is_open.set(true);
        self.report(shard, Evidence::Met(epoch));
        self.arm_next(shard);
        self.wanted_until.set(0);
        shard.node.note_failure(&self.node, None);
        self.connection.flush_later(shard);
        if self.number == 1 {
            shard.cluster.met(shard, &self.node, channels);
        }
    }

    /// The time of a call is over. The reason why there is no connection says more than the time.
    fn expire(&self, shard: &Rc<Shard>, token: u64, may_have_run: bool) {
        if !self.connected.get() {
            let cause = self.last_cause();
            if may_have_run {
                return self.end_call(shard, token, |_| Err(self.loss(&Loss::Broken(&cause), true)));
            }
            return self.end_call(shard, token, |_| Err(self.unreachable(&cause)));
        }
        if let Waiting::Here(key) = Waiting::of(token) {
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

    pub(super) fn loss(&self, loss: &Loss<'_>, may_have_run: bool) -> Error {
        let node = self.node.clone();
        match loss {
            Loss::Disabled => Error::Disabled { node, may_have_run },
            Loss::ShuttingDown => Error::ShuttingDown,
            Loss::Down(cause) if !may_have_run => self.unreachable(cause),
            Loss::Down(cause) => Error::ConnectionLost {
                node,
                cause: Text::clone(cause),
                may_have_run,
            },
            Loss::Broken(cause) => Error::ConnectionLost {
                node,
                cause: Text::clone(cause),
                may_have_run,
            },
        }
    }
}

impl Pending {
    fn remote_error(&self, error: &ReplyError) -> Error {
        match error.code {
            // The service's own words, whatever they look like.
            Some(ErrorCode::Remote) => Error::remote(String::from_utf8_lossy(&error.text)),
            _ => Error::from_wire(&error.text, &self.address.to_string()),
        }
    }
}
