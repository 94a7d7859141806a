//! The sockets of a shard, and the node's registry of all sockets.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::{FxHashMap, FxHashSet};

use super::state::{Closing, Part, Socket};
use super::{READ_AHEAD_TOTAL_BYTES_MAX, SocketInfo, SocketSort};
use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::socket_event::SocketId;
use crate::error::{Error, Text};

/// The state of a socket that every shard can read, for [`Sockets::info`](super::Sockets::info).
pub(super) struct SocketStats {
    sort: SocketSort,
    pub(super) owner: AtomicU32,
    pub(super) address: Mutex<Text>,
    pub(super) read: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) waiting: AtomicU64,
    pub(super) is_started: AtomicBool,
    pub(super) is_closing: AtomicBool,
}

impl SocketStats {
    /// Sets the address.
    pub(super) fn set_address(&self, address: impl std::fmt::Display) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address.to_string().into();
    }
}

/// How many sockets there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) sockets_max: usize,
    /// Of them, those that are no TCP connections, each of which needs a descriptor of the process.
    pub(super) descriptors_max: usize,
}

#[derive(Default)]
struct Registered {
    sockets: BTreeMap<SocketId, Arc<SocketStats>>,
    /// Those that are no TCP connections.
    others: usize,
}

/// Every socket of a node. Its lock is taken when sockets are opened, closed and listed.
#[derive(Default)]
pub(crate) struct SocketRegistry(Mutex<Registered>);

impl SocketRegistry {
    fn lock(&self) -> MutexGuard<'_, Registered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a new socket, unless there are too many.
    pub(super) fn insert(
        &self,
        id: SocketId,
        owner: Handle,
        sort: SocketSort,
        room: Room,
    ) -> Result<Arc<SocketStats>, Error> {
        let stats = Arc::new(SocketStats {
            sort,
            owner: AtomicU32::new(owner.0),
            address: Mutex::new("".into()),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            is_started: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
        });
        let is_other = sort != SocketSort::Stream;
        let mut registered = self.lock();
        if registered.sockets.len() >= room.sockets_max {
            let most = room.sockets_max;
            return Err(Error::overloaded(format!(
                "{most} sockets are the most this node has"
            )));
        }
        if is_other && registered.others >= room.descriptors_max {
            let most = room.descriptors_max;
            return Err(Error::overloaded(format!(
                "{most} listeners and UDP sockets are the most this node has"
            )));
        }
        registered.sockets.insert(id, Arc::clone(&stats));
        registered.others += usize::from(is_other);
        Ok(stats)
    }

    pub(super) fn remove(&self, id: SocketId) {
        let mut registered = self.lock();
        let removed = registered.sockets.remove(&id);
        if removed.is_some_and(|stats| stats.sort != SocketSort::Stream) {
            registered.others -= 1;
        }
    }

    /// The state of every socket.
    pub(super) fn list(&self) -> Vec<SocketInfo> {
        let registered = self.lock();
        let info = |(id, stats): (&SocketId, &Arc<SocketStats>)| SocketInfo {
            socket: *id,
            owner: Handle(stats.owner.load(Ordering::Relaxed)),
            sort: stats.sort,
            address: Arc::clone(&stats.address.lock().unwrap_or_else(PoisonError::into_inner)),
            read: stats.read.load(Ordering::Relaxed),
            written: stats.written.load(Ordering::Relaxed),
            waiting: stats.waiting.load(Ordering::Relaxed),
            is_started: stats.is_started.load(Ordering::Relaxed),
            is_closing: stats.is_closing.load(Ordering::Relaxed),
        };
        registered.sockets.iter().map(info).collect()
    }
}

/// The socket room of one shard.
pub(crate) struct SocketShard {
    /// The sockets of all shards.
    pub(super) registry: Arc<SocketRegistry>,
    sockets: RefCell<FxHashMap<SocketId, Rc<Socket>>>,
    /// The number tried last; all numbers of this shard have the same remainder.
    next: Cell<u32>,
    index: u32,
    shards: u32,
    /// Bytes that wait to be written to all sockets of the shard.
    pub(super) out_bytes: Rc<Cell<usize>>,
    /// Bytes of events that owners have not handled.
    unhandled: Cell<usize>,
    /// The services of this shard that have owned a socket: their end may close some.
    owners: RefCell<FxHashSet<Handle>>,
    /// The sockets that are not read until `unhandled` is lower.
    unread: RefCell<Vec<Rc<Socket>>>,
    /// Bytes that services of this shard have written to sockets of other shards, which have not accepted them.
    pub(super) in_transit: Arc<AtomicUsize>,
}

impl SocketShard {
    pub(crate) fn new(index: usize, shards: usize, registry: &Arc<SocketRegistry>) -> SocketShard {
        SocketShard {
            registry: Arc::clone(registry),
            sockets: RefCell::default(),
            next: Cell::new(index as u32),
            index: index as u32,
            shards: shards as u32,
            out_bytes: Rc::default(),
            unhandled: Cell::new(0),
            owners: RefCell::default(),
            unread: RefCell::default(),
            in_transit: Arc::default(),
        }
    }

    /// A number that no socket of this shard has; never 0, and positive as a 32-bit integer.
    pub(super) fn next_id(&self) -> SocketId {
        let sockets = self.sockets.borrow();
        loop {
            let mut next = self.next.get() + self.shards;
            if next > i32::MAX as u32 {
                next = self.index + self.shards;
            }
            self.next.set(next);
            if !sockets.contains_key(&SocketId(next)) {
                return SocketId(next);
            }
        }
    }

    pub(super) fn insert(&self, socket: &Rc<Socket>) {
        self.sockets.borrow_mut().insert(socket.id, Rc::clone(socket));
    }

    pub(super) fn get(&self, id: SocketId) -> Option<Rc<Socket>> {
        self.sockets.borrow().get(&id).cloned()
    }

    /// Removes a socket that has ended.
    pub(super) fn remove(&self, id: SocketId) -> Option<Rc<Socket>> {
        let removed = self.sockets.borrow_mut().remove(&id);
        if let Some(socket) = &removed {
            self.remove_unhandled(socket.unhandled());
        }
        removed
    }

    /// The connection with the most bytes to write.
    pub(super) fn largest_writer(&self) -> Option<Rc<Socket>> {
        let sockets = self.sockets.borrow();
        let waiting = |socket: &&Rc<Socket>| match &socket.part {
            Part::Stream(part) => part.waiting(),
            _ => 0,
        };
        sockets.values().max_by_key(waiting).cloned()
    }

    /// Closes the sockets of a service that has ended, after their waiting bytes are written.
    pub(crate) fn close_owned_by(&self, owner: Handle) {
        for socket in self.sockets.borrow().values() {
            if socket.owner() == owner {
                socket.close(Closing::AfterWrites);
            }
        }
    }

    /// Removes and closes all sockets: the shard stops.
    pub(crate) fn close_all(&self) {
        let sockets = std::mem::take(&mut *self.sockets.borrow_mut());
        self.unread.borrow_mut().clear();
        for socket in sockets.values() {
            socket.close(Closing::AtOnce);
        }
    }

    /// Records that a service of this shard owns a socket.
    pub(super) fn add_owner(&self, owner: Handle) {
        self.owners.borrow_mut().insert(owner);
    }

    /// Removes an owner that has ended; returns whether it has owned a socket.
    pub(super) fn remove_owner(&self, owner: Handle) -> bool {
        self.owners.borrow_mut().remove(&owner)
    }

    // ---- unhandled events ----

    pub(super) fn unhandled(&self) -> usize {
        self.unhandled.get()
    }

    pub(super) fn add_unhandled(&self, bytes: usize) {
        self.unhandled.set(self.unhandled.get() + bytes);
    }

    /// Counts bytes that owners have handled; wakes the waiting sockets when half of the limit is free.
    pub(super) fn remove_unhandled(&self, bytes: usize) {
        self.unhandled.set(self.unhandled.get().saturating_sub(bytes));
        if self.unhandled.get() <= READ_AHEAD_TOTAL_BYTES_MAX / 2 {
            let unread = std::mem::take(&mut *self.unread.borrow_mut());
            for socket in unread {
                socket.changed.wake();
            }
        }
    }

    pub(super) fn wake_when_read_ahead_falls(&self, socket: &Rc<Socket>) {
        self.unread.borrow_mut().push(Rc::clone(socket));
    }
}

impl ShardCore {
    /// The sockets of this shard.
    pub(super) fn sockets(&self) -> &SocketShard {
        self.room()
    }
}
