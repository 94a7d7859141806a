//! Calls whose callers chose to wait until the link has room for them.
//!
//! Invariants: they go to the link in the order in which they came, and nothing that came later overtakes
//! them: while they wait, what does not want to wait is refused; none waits past its deadline; each is
//! answered once, by the link or here.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use skyring_codec::Millis;
use skyring_codec::link::LinkError;

use super::{Channel, Loss, Outgoing};
use crate::error::{Error, Text};
use crate::rt;
use crate::service::router::WAITING_CALLS_MAX;
use crate::shard::Shard;
use crate::shard::envelope::RemoteRequest;

/// The calls of one channel that wait for room.
#[derive(Default)]
pub(super) struct Room {
    calls: RefCell<VecDeque<RemoteRequest>>,
    /// A task lets them go on when bytes were written.
    is_watched: Cell<bool>,
}

impl Room {
    /// Whether calls wait.
    #[inline]
    pub(super) fn is_wanted(&self) -> bool {
        // The task that watches runs as long as any do.
        self.is_watched.get()
    }

    /// The earliest time at which one gives up.
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.calls.borrow().iter().filter_map(|call| call.deadline).min()
    }
}

impl Channel {
    /// Takes a call that waits for room if there is none, or anything while such calls wait.
    #[cold]
    pub(super) fn request_in_turn(&self, shard: &Rc<Shard>, outgoing: Outgoing<'_>) {
        let reply_to = outgoing.reply_to;
        let waits = outgoing.waits;
        let call = RemoteRequest {
            node: Arc::clone(&self.node),
            address: outgoing.address.clone(),
            source: outgoing.source,
            key: outgoing.key,
            channel: self.number,
            payload: outgoing.payload.clone(),
            reply_to,
            deadline: outgoing.deadline,
            timeout_ms: outgoing.timeout_ms,
            is_idempotent: outgoing.is_idempotent,
            waits,
        };
        if !self.room.is_wanted() {
            match self.offer_in_turn(shard, outgoing) {
                Ok(()) => return,
                Err(LinkError::Overloaded { .. }) => {}
                Err(error) => return self.refuse(shard, reply_to, error),
            }
        }
        let waiting = self.room.calls.borrow().len();
        if !waits || waiting >= WAITING_CALLS_MAX {
            let what = format!("channel to {}: {waiting} calls wait for room", self.node);
            return shard.refuse(reply_to, Error::overloaded(what));
        }
        if let Some(deadline) = call.deadline {
            self.arm(shard, deadline);
        }
        self.room.calls.borrow_mut().push_back(call);
        if !self.room.is_watched.replace(true)
            && let Some(channel) = shard.cluster.channel(self.key.get())
        {
            rt::spawn(channel.watch_room(Rc::clone(shard)));
        }
    }

    /// Lets calls go on whenever bytes have left, until none waits any more.
    async fn watch_room(self: Rc<Self>, shard: Rc<Shard>) {
        loop {
            self.fill_room(&shard);
            if self.room.calls.borrow().is_empty() {
                break;
            }
            self.connection.written.wait().await;
        }
        self.room.is_watched.set(false);
    }

    /// Hands over as many calls as there is room for.
    fn fill_room(&self, shard: &Rc<Shard>) {
        loop {
            let Some(mut call) = self.room.calls.borrow_mut().pop_front() else {
                return;
            };
            let mut payload = call.payload.clone();
            let offered = self.offer_in_turn(
                shard,
                Outgoing {
                    payload: &mut payload,
                    ..call.outgoing()
                },
            );
            match offered {
                Ok(()) => {}
                Err(LinkError::Overloaded { .. }) => {
                    self.room.calls.borrow_mut().push_front(call);
                    return;
                }
                Err(error) => self.refuse(shard, call.reply_to, error),
            }
        }
    }

    /// Answers the calls whose time is over. What kept them says more than the time.
    pub(super) fn expire_waiting(&self, shard: &Rc<Shard>) {
        if !self.room.is_wanted() {
            return;
        }
        let now = shard.now();
        let mut late = Vec::new();
        self.room.calls.borrow_mut().retain_mut(|call| {
            let is_late = call.deadline.is_some_and(|deadline| deadline <= now);
            if is_late {
                late.push((call.reply_to, call.timeout_ms));
            }
            !is_late
        });
        for (reply_to, timeout_ms) in late {
            let node = self.node.clone();
            let error = if self.connected.get() {
                Error::overloaded(format!("channel to {node}: no room within {timeout_ms} ms"))
            } else {
                let cause = self.last_failure.borrow().clone();
                let cause = cause.unwrap_or_else(|| Text::from("not connected in time"));
                Error::Unreachable { node, cause }
            };
            shard.refuse(reply_to, error);
        }
    }

    /// Answers all calls that wait: the channel ends.
    pub(super) fn lose_waiting(&self, shard: &Rc<Shard>, loss: &Loss<'_>) {
        let lost = std::mem::take(&mut *self.room.calls.borrow_mut());
        for call in lost {
            shard.refuse(call.reply_to, self.loss(loss, false));
        }
        self.connection.written.wake();
    }

    /// Sends all calls that wait on their way anew: the node is elsewhere.
    pub(super) fn reroute_waiting(&self, shard: &Rc<Shard>) {
        let calls = std::mem::take(&mut *self.room.calls.borrow_mut());
        for call in calls {
            shard.request_remote(call);
        }
        self.connection.written.wake();
    }
}
