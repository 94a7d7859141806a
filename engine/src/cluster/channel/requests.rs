//! Calls and sends on their way into the channel's link.

use std::rc::Rc;

use skyring_codec::link::{CallerRequest, LinkError};
use skyring_codec::skynet;

use super::{Channel, Pending};
use crate::error::Error;
use crate::service::handle::Address;
use crate::shard::Shard;
use crate::shard::envelope::{RemoteRequest, ReplyTo};

impl Channel {
    /// Takes a call or a send.
    pub(crate) fn request(&self, shard: &Rc<Shard>, request: RemoteRequest) {
        let RemoteRequest {
            address,
            source,
            payload,
            reply_to,
            deadline,
            timeout_ms,
            ..
        } = request;
        let mut link = self.connection.link.borrow_mut();
        let now = shard.now();
        let accepted = if reply_to == ReplyTo::Nobody {
            let address = wire_address(&address);
            link.request(
                now,
                CallerRequest {
                    address,
                    source: source.0,
                    payload: payload.0,
                    deadline,
                    token: None,
                },
            )
        } else {
            let mut table = self.pending.borrow_mut();
            let key = table.insert(Pending {
                reply_to,
                address: address.clone(),
                timeout_ms,
            });
            let address = wire_address(&address);
            let token = Some(key.to_u64());
            let accepted = link.request(
                now,
                CallerRequest {
                    address,
                    source: source.0,
                    payload: payload.0,
                    deadline,
                    token,
                },
            );
            if accepted.is_err() {
                table.remove(key);
            }
            accepted
        };
        drop(link);
        if let Err(error) = accepted {
            shard.refuse(reply_to, self.refusal(error));
            return;
        }
        if let Some(deadline) = deadline {
            self.arm(shard, deadline);
        }
        if self.connected.get() {
            self.connection.flush_later(shard);
        } else {
            self.demanded.wake();
        }
    }

    fn refusal(&self, error: LinkError) -> Error {
        match error {
            LinkError::Overloaded { what, limit } => Error::overloaded(format!(
                "channel to {}: {what} at their limit of {limit}",
                self.node
            )),
            LinkError::TooLarge { bytes, limit } => Error::TooLarge {
                bytes: bytes as u64,
                limit: limit as u64,
            },
            LinkError::InvalidName { .. } => Error::invalid(error.to_string()),
        }
    }
}

/// An address as the wire says it.
fn wire_address(address: &Address) -> skynet::Address<'_> {
    match address {
        Address::Handle(handle) => skynet::Address::Handle(handle.0),
        Address::Name(name) => skynet::Address::Name(name.as_bytes()),
    }
}
