//! One socket: the state that its task and the commands of services share.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use super::datagram::DatagramPart;
use super::stream::StreamPart;
use super::table::SocketStats;
use super::{READ_AHEAD_BYTES_MAX, READ_AHEAD_TOTAL_BYTES_MAX};
use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::socket_event::{SocketId, SocketNews};
use crate::rt::notify::Notify;

/// Whether and how a socket is closing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    No,
    /// Once everything is written.
    AfterWrites,
    AtOnce,
}

/// The state that only one sort of socket has.
pub(super) enum Part {
    /// The keyed service whose instances get its connections; `None`: its owner does.
    Listener(Cell<Option<Handle>>),
    Stream(StreamPart),
    Datagram(DatagramPart),
    Input,
}

/// One socket on its shard.
pub(crate) struct Socket {
    pub(super) id: SocketId,
    owner: Cell<Handle>,
    /// Its owner has started it.
    started: Cell<bool>,
    closing: Cell<Closing>,
    /// The owner was notified of the end.
    has_ended: Cell<bool>,
    /// Bytes of its events that the owner has not handled.
    unhandled: Cell<usize>,
    /// Woken when any field has changed.
    pub(super) changed: Notify,
    pub(super) part: Part,
    pub(super) stats: Arc<SocketStats>,
}

impl Socket {
    pub(super) fn new(id: SocketId, owner: Handle, part: Part, stats: Arc<SocketStats>) -> Socket {
        Socket {
            id,
            owner: Cell::new(owner),
            started: Cell::new(false),
            closing: Cell::new(Closing::No),
            has_ended: Cell::new(false),
            unhandled: Cell::new(0),
            changed: Notify::default(),
            part,
            stats,
        }
    }

    pub(super) fn owner(&self) -> Handle {
        self.owner.get()
    }

    pub(super) fn set_owner(&self, owner: Handle) {
        self.owner.set(owner);
        self.stats.owner.store(owner.0, Ordering::Relaxed);
    }

    pub(super) fn is_started(&self) -> bool {
        self.started.get()
    }

    pub(super) fn set_started(&self, is_started: bool) {
        self.started.set(is_started);
        self.stats.is_started.store(is_started, Ordering::Relaxed);
        self.changed.wake();
    }

    pub(super) fn closing(&self) -> Closing {
        self.closing.get()
    }

    /// Begins to close; `AtOnce` is final.
    pub(super) fn close(&self, closing: Closing) {
        if self.closing.get() != Closing::AtOnce {
            self.closing.set(closing);
        }
        self.stats.is_closing.store(true, Ordering::Relaxed);
        self.changed.wake();
    }

    /// Whether more may be read now. If the whole shard has read too far ahead, registers the socket to be woken when
    /// that ends.
    pub(super) fn check_read(self: &Rc<Self>, shard: &ShardCore) -> bool {
        if !self.started.get() || self.unhandled.get() >= READ_AHEAD_BYTES_MAX {
            return false;
        }
        if shard.sockets().unhandled() >= READ_AHEAD_TOTAL_BYTES_MAX {
            shard.sockets().wake_when_read_ahead_falls(self);
            return false;
        }
        true
    }

    /// Sends an event to the owner.
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

    /// Reports a failure that does not end the socket to its owner.
    pub(super) fn report_failure(&self, shard: &Rc<ShardCore>, cause: &str) {
        let cause = cause.into();
        shard.notify_owner(self.owner.get(), self.id, SocketNews::Failed { cause }, 0);
    }

    /// Counts bytes that the owner has handled.
    pub(super) fn count_handled(&self, bytes: usize) {
        let before = self.unhandled.get();
        self.unhandled.set(before.saturating_sub(bytes));
        if before >= READ_AHEAD_BYTES_MAX && self.unhandled.get() < READ_AHEAD_BYTES_MAX {
            self.changed.wake();
        }
    }

    /// Bytes of its events that the owner has not handled.
    pub(super) fn unhandled(&self) -> usize {
        self.unhandled.get()
    }

    /// The value of the future, or `None` when a field changes first. A future that is not wanted is not polled.
    pub(super) async fn until_change<T>(
        &self,
        is_wanted: bool,
        future: impl Future<Output = T>,
    ) -> Option<T> {
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
            if let Some(value) = self.until_change(true, future.as_mut()).await {
                return Some(value);
            }
        }
        None
    }
}
