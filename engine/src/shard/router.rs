//! The router of a shard: every message between its rooms, to other shards and back passes through it.

use std::any::{Any, TypeId};
use std::rc::Rc;

use crate::core::envelope::Envelope;
use crate::core::handle::Handle;
use crate::core::payload::Payload;
use crate::core::placement::shard_of_handle;
use crate::core::request::{Outgoing, RemoteRequest, ReplyTo, Request};
use crate::core::route::Route;
use crate::core::socket_event::Delivery;
#[cfg(feature = "testing")]
use crate::core::tap::{self, Seen};
use crate::core::{Router, ShardCore};
use crate::error::Error;
use crate::shard::Shard;

impl Router for Shard {
    #[inline]
    fn request(&self, shard: &Rc<ShardCore>, request: &mut Request) {
        #[cfg(feature = "testing")]
        tap::note(shard, &Seen::Request(request));
        let owner = shard_of_handle(request.target, shard.shards());
        if owner == shard.index {
            return self.deliver(shard, request);
        }
        let staged = self.stage(shard, owner, Envelope::Request(request.take()));
        if let Err(Envelope::Request(refused)) = staged {
            shard.refuse(
                refused.reply_to,
                Error::overloaded(format!("the queue to shard {owner} is full")),
            );
        }
    }

    #[inline]
    fn request_by_route(&self, shard: &Rc<ShardCore>, route: &Route, outgoing: Outgoing<'_>) {
        #[cfg(feature = "testing")]
        tap::note(
            shard,
            &Seen::Remote {
                node: &route.node,
                address: outgoing.address,
                payload: outgoing.payload,
                reply_to: outgoing.reply_to,
            },
        );
        self.cluster.request_by_route(shard, route, outgoing);
    }

    fn request_remote(&self, shard: &Rc<ShardCore>, request: RemoteRequest) {
        #[cfg(feature = "testing")]
        tap::note(
            shard,
            &Seen::Remote {
                node: &request.node,
                address: &request.address,
                payload: &request.payload,
                reply_to: request.reply_to,
            },
        );
        self.cluster.route(shard, request);
    }

    fn reply(&self, shard: &Rc<ShardCore>, reply_to: ReplyTo, result: Result<Payload, Error>) {
        #[cfg(feature = "testing")]
        tap::note(shard, &Seen::Reply(reply_to, &result));
        let Some(owner) = reply_to.shard() else { return };
        if owner != shard.index {
            // Replies are never refused; see `stage`.
            let _ = self.stage(shard, owner, Envelope::Reply { reply_to, result });
            return;
        }
        match reply_to {
            ReplyTo::Nobody => {}
            ReplyTo::Waiter { key, .. } => shard.answer(key, result),
            ReplyTo::Service { handle, session, .. } => self.answer_service(shard, handle, session, result),
            ReplyTo::Group { key, member, .. } => {
                self.cluster
                    .member_answered(shard, key, usize::from(member), result);
            }
            ReplyTo::Connection {
                connection,
                session,
                bytes,
                ..
            } => {
                self.cluster
                    .respond(shard, connection, session, bytes as usize, result);
            }
        }
    }

    fn answer_service(
        &self,
        shard: &Rc<ShardCore>,
        handle: Handle,
        session: u32,
        result: Result<Payload, Error>,
    ) {
        self.deliver_answer(shard, handle, session, result);
    }

    fn deliver_event(&self, shard: &Rc<ShardCore>, delivery: Delivery) {
        let owner = shard_of_handle(delivery.owner, shard.shards());
        if owner == shard.index {
            self.deliver_event_here(shard, delivery);
        } else {
            // Never refused: unhandled events are bounded.
            let _ = self.stage(shard, owner, Envelope::Delivery(delivery));
        }
    }

    /// Returns requests when too many are staged; see [`STAGED_MESSAGES_MAX`](super::mesh::STAGED_MESSAGES_MAX).
    fn stage(&self, shard: &ShardCore, to: usize, envelope: Envelope) -> Result<(), Envelope> {
        let is_message = !matches!(envelope, Envelope::Job(_));
        self.staged[to].borrow_mut().push(envelope)?;
        self.crossed.set(self.crossed.get() + u64::from(is_message));
        shard.request_turn();
        Ok(())
    }

    fn has_service(&self, handle: Handle) -> bool {
        self.services.has(handle)
    }

    fn service_ended(&self, shard: &Rc<ShardCore>, handle: Handle) {
        self.sockets.owner_ended(shard, handle);
    }

    fn inbox_depth(&self, shard: &ShardCore) -> usize {
        let jobs = shard.node.injectors[shard.index].len();
        jobs + self.mesh.batches(shard.index) + self.run_queue.borrow().len()
    }

    fn room(&self, wanted: TypeId) -> Option<&dyn Any> {
        let rooms: [&dyn Any; 3] = [&self.services, &self.cluster, &self.sockets];
        rooms.into_iter().find(|room| (**room).type_id() == wanted)
    }
}
