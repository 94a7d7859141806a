//! What the channel's link tells, and the answers that its callers get of it.

use std::rc::Rc;

use skyring_codec::link::{CallerEvent, CallerLimits};
use skyring_codec::native::ErrorCode;

use super::{Channel, Pending};
use crate::error::{Error, Text};
use crate::service::handle::Handle;
use crate::service::message::Payload;
use crate::shard::Shard;
use crate::shard::slab::Key;

/// Why calls are lost.
#[derive(Clone, Copy)]
pub(crate) enum Loss<'a> {
    /// The connection broke, for this cause.
    Broken(&'a Text),
    /// The map turned the node off.
    Disabled,
    /// This node stops.
    ShuttingDown,
}

impl Channel {
    /// Answers whoever the link has news for. An error is the peer's: it does not speak the protocol.
    pub(super) fn take_events(&self, shard: &Rc<Shard>, loss: Loss<'_>) -> Result<(), Text> {
        loop {
            let event = self.connection.link.borrow_mut().poll_event(shard.now());
            let event = match event {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(()),
                Err(error) => return Err(error.to_string().into()),
            };
            let event = match event {
                CallerEvent::Ready { peer, .. } => {
                    self.ready(shard, peer.map_or(1, |peer| peer.channels));
                    continue;
                }
                // What is accepted from now on waits in the link for the next connection.
                CallerEvent::Goodbye => continue,
                event => event,
            };
            let Some(token) = event.token() else { continue };
            let pending = self.pending.borrow_mut().remove(Key::from_u64(token));
            let Some(pending) = pending else { continue };
            let result = match event {
                CallerEvent::Reply {
                    result: Ok(payload), ..
                } => Ok(Payload(payload)),
                CallerEvent::Reply {
                    result: Err(error), ..
                } => Err(match error.code {
                    // The service's own words, whatever they look like.
                    Some(ErrorCode::Remote) => Error::remote(String::from_utf8_lossy(&error.text)),
                    _ => Error::from_wire(&error.text, &pending.address.to_string()),
                }),
                CallerEvent::Expired { .. } => Err(self.expiry(&pending)),
                CallerEvent::Lost { may_have_run, .. } => Err(self.loss(&loss, may_have_run)),
                CallerEvent::TooLarge { bytes, .. } => {
                    shard.node.metrics.messages_too_large.add(1);
                    let limit = CallerLimits::default().message_bytes_max as u64;
                    Err(Error::TooLarge {
                        bytes: bytes as u64,
                        limit,
                    })
                }
                // Events of the connection carry no token, and were dealt with.
                CallerEvent::Ready { .. } | CallerEvent::Goodbye => continue,
            };
            shard.reply(pending.reply_to, result);
        }
    }

    /// The peer has said what it speaks: what waited goes out.
    pub(super) fn ready(&self, shard: &Rc<Shard>, channels: u32) {
        self.connected.set(true);
        if self.is_return.get() {
            shard.log(
                Handle::NONE,
                format!("cluster node {} is reached again", self.node),
            );
        }
        self.wanted_until.set(0);
        shard.node.note_failure(&self.node, None);
        self.connection.flush_later(shard);
        if self.number == 1 {
            shard.cluster.met(shard, &self.node, channels);
        }
    }

    /// What a call whose time is over gets: without a connection it was never sent, and the reason for
    /// that says more than the time.
    fn expiry(&self, pending: &Pending) -> Error {
        if !self.connected.get() {
            let cause = self.last_failure.borrow().clone();
            let cause = cause.unwrap_or_else(|| Text::from("not connected in time"));
            return Error::Unreachable {
                node: self.node.clone(),
                cause,
            };
        }
        let target = format!("{} {}", self.node, pending.address);
        Error::Timeout {
            target: target.into(),
            timeout_ms: pending.timeout_ms,
        }
    }

    fn loss(&self, loss: &Loss<'_>, may_have_run: bool) -> Error {
        let node = self.node.clone();
        match loss {
            Loss::Disabled => Error::Disabled { node, may_have_run },
            Loss::ShuttingDown => Error::ShuttingDown,
            Loss::Broken(cause) => Error::ConnectionLost {
                node,
                cause: Text::clone(cause),
                may_have_run,
            },
        }
    }
}
