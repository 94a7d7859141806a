//! Calls and sends on their way into the channel's link.

use std::rc::Rc;

use skyring_codec::Millis;
use skyring_codec::link::{CallerRequest, LinkError};
use skyring_codec::skynet;

use super::{Channel, Pending};
use crate::error::Error;
use crate::service::handle::{Address, Handle};
use crate::service::message::Payload;
use crate::shard::Shard;
use crate::shard::envelope::{RemoteRequest, ReplyTo};
use crate::shard::slab::Key;

/// Set in the tokens of calls that are in the channel's table. The others are keys of waiters of this shard,
/// which know all that there is to know of their calls; a key never has this bit.
const IN_TABLE: u64 = 1 << 63;

/// A call, or a send, for the channel.
pub(crate) struct Outgoing<'a> {
    pub(crate) address: &'a Address,
    pub(crate) source: Handle,
    /// What decides on the instance of a keyed service.
    pub(crate) key: u64,
    /// Taken by whoever it goes on with. By reference, because each move of it is two loads that wait for the stores
    /// of the move before.
    pub(crate) payload: &'a mut Payload,
    pub(crate) reply_to: ReplyTo,
    pub(crate) deadline: Option<Millis>,
    /// The time that the call was given, for the text of its error; 0 = no limit.
    pub(crate) timeout_ms: u64,
    /// The call waits for room in the link instead of being refused.
    pub(crate) waits: bool,
    /// The call may be run more than once.
    pub(crate) is_idempotent: bool,
}

/// Who waits for the event with a token.
pub(super) enum Waiting {
    /// A waiter of this shard.
    Here(Key),
    /// Somebody else, as the channel's table says.
    InTable(Key),
}

impl Waiting {
    #[inline]
    pub(super) fn of(token: u64) -> Waiting {
        match token & IN_TABLE {
            0 => Waiting::Here(Key::from_u64(token)),
            _ => Waiting::InTable(Key::from_u64(token & !IN_TABLE)),
        }
    }
}

impl Channel {
    /// Takes a call or a send. Inlined, as all that it calls on the way into the out-buffer: what passes from function
    /// to function in memory costs more than what is done with it.
    #[inline(always)]
    pub(crate) fn request(&self, shard: &Rc<Shard>, outgoing: Outgoing<'_>) {
        if !self.is_open.get() && self.is_refused(shard, outgoing.reply_to) {
            return;
        }
        if outgoing.waits || self.room.is_wanted() {
            return self.request_in_turn(shard, outgoing);
        }
        let reply_to = outgoing.reply_to;
        if let Err(error) = self.offer(shard, outgoing) {
            self.refuse(shard, reply_to, error);
        }
    }

    /// The same for what came from elsewhere.
    #[inline(never)]
    pub(crate) fn request_remote(&self, shard: &Rc<Shard>, request: &mut RemoteRequest) {
        self.request(shard, request.outgoing());
    }

    /// The same as `offer`, for those who are in no hurry.
    #[inline(never)]
    pub(super) fn offer_in_turn(&self, shard: &Rc<Shard>, outgoing: Outgoing<'_>) -> Result<(), LinkError> {
        self.offer(shard, outgoing)
    }

    /// Offers a call or a send to the link.
    #[inline(always)]
    fn offer(&self, shard: &Rc<Shard>, outgoing: Outgoing<'_>) -> Result<(), LinkError> {
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
        } = outgoing;
        let token = match reply_to {
            ReplyTo::Nobody => None,
            ReplyTo::Waiter { shard: own, key } if usize::from(own) == shard.index => Some(key.to_u64()),
            _ => Some(self.enter(reply_to, address, timeout_ms)),
        };
        let accepted = self.connection.link.borrow_mut().request(
            shard.now(),
            CallerRequest {
                address: wire_address(address),
                source: source.0,
                key,
                payload: std::mem::take(&mut payload.0),
                deadline,
                token,
                is_idempotent,
            },
        );
        if let Err(error) = accepted {
            if let Some(Waiting::InTable(key)) = token.map(Waiting::of) {
                self.pending.borrow_mut().remove(key);
            }
            return Err(error);
        }
        if let Some(deadline) = deadline {
            self.arm(shard, deadline);
        }
        if self.is_open.get() {
            self.connection.message_put(shard);
        } else {
            self.demanded.wake();
        }
        Ok(())
    }

    /// Enters a call into the table; gives its token.
    fn enter(&self, reply_to: ReplyTo, address: &Address, timeout_ms: u64) -> u64 {
        let key = self.pending.borrow_mut().insert(Pending {
            reply_to,
            address: address.clone(),
            timeout_ms,
        });
        key.to_u64() | IN_TABLE
    }

    #[cold]
    pub(super) fn refuse(&self, shard: &Rc<Shard>, reply_to: ReplyTo, error: LinkError) {
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
        shard.refuse(reply_to, error);
    }
}

/// An address as the wire says it.
#[inline]
fn wire_address(address: &Address) -> skynet::Address<'_> {
    match address {
        Address::Handle(handle) => skynet::Address::Handle(handle.0),
        Address::Name(name) => skynet::Address::Name(name.as_bytes()),
    }
}
