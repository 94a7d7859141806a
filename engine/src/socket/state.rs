//! One socket: what its task and the orders of services share.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use super::datagram::DatagramPart;
use super::stream::StreamPart;
use super::table::SocketFacts;
use super::{READ_AHEAD_BYTES_MAX, READ_AHEAD_TOTAL_BYTES_MAX};
use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::socket_event::{SocketId, SocketNews};
use crate::rt::notify::Notify;

/// How far the closing of a socket has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    No,
    /// When everything is written.
    Gently,
    AtOnce,
}

/// What only one sort of socket has.
pub(super) enum Part {
    Listener,
    Stream(StreamPart),
    Datagram(DatagramPart),
    Input,
}

/// One socket on its shard.
pub(crate) struct Socket {
    pub(super) id: SocketId,
    owner: Cell<Handle>,
    /// Its owner wants to read.
    started: Cell<bool>,
    closing: Cell<Closing>,
    /// The owner was told of the end.
    has_ended: Cell<bool>,
    /// What the owner has not handled of its events, in bytes.
    unhandled: Cell<usize>,
    /// Woken when anything here has changed.
    pub(super) changed: Notify,
    pub(super) part: Part,
    pub(super) facts: Arc<SocketFacts>,
}

impl Socket {
    pub(super) fn new(id: SocketId, owner: Handle, part: Part, facts: Arc<SocketFacts>) -> Socket {
        Socket {
            id,
            owner: Cell::new(owner),
            started: Cell::new(false),
            closing: Cell::new(Closing::No),
            has_ended: Cell::new(false),
            unhandled: Cell::new(0),
            changed: Notify::default(),
            part,
            facts,
        }
    }

    pub(super) fn owner(&self) -> Handle {
        self.owner.get()
    }

    pub(super) fn set_owner(&self, owner: Handle) {
        self.owner.set(owner);
        self.facts.owner.store(owner.0, Ordering::Relaxed);
    }

    pub(super) fn is_started(&self) -> bool {
        self.started.get()
    }

    pub(super) fn set_started(&self, is_started: bool) {
        self.started.set(is_started);
        self.facts.is_started.store(is_started, Ordering::Relaxed);
        self.changed.wake();
    }

    pub(super) fn closing(&self) -> Closing {
        self.closing.get()
    }

    /// Begins to close; what was begun more harshly stays so.
    pub(super) fn close(&self, closing: Closing) {
        if self.closing.get() != Closing::AtOnce {
            self.closing.set(closing);
        }
        self.facts.is_closing.store(true, Ordering::Relaxed);
        self.changed.wake();
    }

    /// Whether more may be read now. If the whole shard has read too far ahead it is told when that ends.
    pub(super) fn may_read(self: &Rc<Self>, shard: &ShardCore) -> bool {
        if !self.started.get() || self.unhandled.get() >= READ_AHEAD_BYTES_MAX {
            return false;
        }
        if shard.sockets().unhandled() >= READ_AHEAD_TOTAL_BYTES_MAX {
            shard.sockets().wait_for_room(self);
            return false;
        }
        true
    }

    /// Tells the owner what happened.
    pub(super) fn notify(&self, shard: &Rc<ShardCore>, news: SocketNews) {
        match news {
            SocketNews::Closed | SocketNews::Failed { .. } if self.has_ended.replace(true) => return,
            _ => {}
        }
        let bytes = news.bytes();
        self.unhandled.set(self.unhandled.get() + bytes);
        shard.sockets().add_unhandled(bytes);
        shard.notify_owner(self.owner.get(), self.id, news, bytes);
    }

    /// Tells a listener's owner of a failure that is not the end.
    pub(super) fn report_failure(&self, shard: &Rc<ShardCore>, cause: &str) {
        let cause = cause.into();
        shard.notify_owner(self.owner.get(), self.id, SocketNews::Failed { cause }, 0);
    }

    /// The owner has handled so much.
    pub(super) fn handled(&self, bytes: usize) {
        let before = self.unhandled.get();
        self.unhandled.set(before.saturating_sub(bytes));
        if before >= READ_AHEAD_BYTES_MAX && self.unhandled.get() < READ_AHEAD_BYTES_MAX {
            self.changed.wake();
        }
    }

    /// What is still counted for it.
    pub(super) fn unhandled(&self) -> usize {
        self.unhandled.get()
    }

    /// What the future gives, or `None` when something here changes first. One that is not wanted is not
    /// looked at.
    pub(super) async fn or_change<T>(&self, is_wanted: bool, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let mut changed = pin!(self.changed.wait());
        poll_fn(|context| {
            if is_wanted && let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Some(value));
            }
            changed.as_mut().poll(context).map(|()| None)
        })
        .await
    }

    /// Runs a future to its end; `None` when the socket is closed first.
    pub(super) async fn unless_closed<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        while self.closing.get() == Closing::No {
            if let Some(value) = self.or_change(true, future.as_mut()).await {
                return Some(value);
            }
        }
        None
    }
}
