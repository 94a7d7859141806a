//! Streams without a descriptor of the process.
//!
//! A process may have so many descriptors and no more: a gate would have to refuse clients for it. A ring has a table of its
//! own, whose slots take the place of descriptors in the operations of this ring. A stream whose options are set
//! once and for all gives its descriptor back when it has such a slot, the one with the number of its source. For what only a
//! descriptor can do, which is rare, it gets one for a moment.
//!
//! Invariant: a slot of the table refers to the socket of the source that has the slot, and to nothing once that is free.

use std::io;
use std::net::Shutdown;
use std::os::fd::{OwnedFd, RawFd};

use rustix::process::{Resource, getrlimit};

use super::marks::{Kind, Mark};
use super::operations::{Descriptor, Operation};
use super::ring::{Ring, SourceKey};

/// Streams of one ring that need no descriptor of the process; and never more than the limit of open files, which the kernel
/// lets a table have.
const DIRECT_SLOTS_MAX: u32 = 65_536;

/// What the completion of an installed descriptor says it is for.
const INSTALLED: Mark = Mark::numbered(Kind::Own, 2);

impl Ring {
    /// How many streams of this ring need no descriptor of the process.
    pub(super) fn direct_slots(&self) -> u32 {
        if let Some(slots) = self.direct_slots.get() {
            return slots;
        }
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let wanted = files.min(u64::from(DIRECT_SLOTS_MAX)) as u32;
        let slots = self.uring.register_direct(wanted);
        self.direct_slots.set(Some(slots));
        slots
    }

    /// Has a stream, which must have no operation in flight, need no descriptor any more; false when it goes on needing this one.
    pub(super) fn make_direct(&self, key: SourceKey, fd: RawFd) -> bool {
        let is_direct = key.slot < self.direct_slots() && self.uring.set_direct(key.slot, Some(fd)).is_ok();
        if is_direct {
            self.sources.borrow_mut().make_direct(key);
        }
        is_direct
    }

    /// Clears a slot of the table, whose source is free now: this closes the socket.
    pub(super) fn clear_direct(&self, slot: Option<u32>) {
        if let Some(slot) = slot {
            // Fails only with the ring itself, whose end closes it too.
            let _ = self.uring.set_direct(slot, None);
        }
    }

    /// A descriptor of the process for a stream that has none.
    pub(super) fn open_descriptor(&self, key: SourceKey) -> io::Result<OwnedFd> {
        let descriptor = self
            .sources
            .borrow_mut()
            .open(key)
            .map(|source| source.descriptor);
        let Some(Descriptor::Direct(slot)) = descriptor else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        self.uring
            .install_descriptor(slot, INSTALLED, &mut self.completed.borrow_mut())
    }

    /// Shuts a stream down soon, where no descriptor can be had to do it at once. The kernel looks at its slot of the table
    /// only then, so the stream has the slot until that is over.
    pub(super) fn shut_down_later(&self, key: SourceKey, how: Shutdown) {
        let descriptor = {
            let mut sources = self.sources.borrow_mut();
            let Some(source) = sources.open(key) else { return };
            source.shutdowns += 1;
            source.descriptor
        };
        let mark = Mark::new(key, Kind::ShutDown);
        // Fails only with the ring itself.
        let _ = self.push(Operation::ShutDown {
            descriptor,
            how,
            mark,
        });
    }

    /// A stream was shut down.
    pub(super) fn complete_shutdown(&self, key: SourceKey) {
        let direct = {
            let mut sources = self.sources.borrow_mut();
            let Some(source) = sources.live(key) else { return };
            source.shutdowns -= 1;
            sources.release(key)
        };
        self.clear_direct(direct);
    }
}
