//! Provided buffers, consumed one for each receive or incrementally.

use std::io;
use std::mem;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

/// Slots of the ring of buffers.
pub(crate) const SLOTS: u16 = 16;

/// Bytes of all buffers together.
pub(crate) const TOTAL_BYTES: usize = 256 << 10;

/// The group that they have at their ring.
pub(crate) const GROUP: u16 = 0;

/// `IOU_PBUF_RING_INC`: a receive takes of a buffer what it fills, and the next one goes on behind it.
const INCREMENTAL: u16 = 2;

/// Aligned as the kernel requires it.
#[repr(C, align(4096))]
struct Entries([BufRingEntry; SLOTS as usize]);

/// Memory that the kernel receives into. It is never freed: the benches end with their process.
pub(crate) struct Memory {
    entries: NonNull<Entries>,
    bytes: &'static [u8],
    buffer_bytes: usize,
    tail: u16,
    order: [u16; SLOTS as usize],
}

impl Memory {
    /// Registers `buffers` buffers, a power of two, of equal size at a ring.
    pub(crate) fn register(ring: &IoUring, buffers: u16, is_incremental: bool) -> io::Result<Memory> {
        // SAFETY: the type is plain integers, for which all zeroes is a valid value.
        let entries: Box<Entries> = Box::new(unsafe { mem::zeroed() });
        let mut memory = Memory {
            entries: NonNull::from(Box::leak(entries)),
            bytes: Box::leak(vec![0; TOTAL_BYTES].into_boxed_slice()),
            buffer_bytes: TOTAL_BYTES / usize::from(buffers),
            tail: 0,
            order: [0; SLOTS as usize],
        };
        let flags = if is_incremental { INCREMENTAL } else { 0 };
        // SAFETY: the entries are never freed.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(
                memory.entries.as_ptr() as u64,
                SLOTS,
                GROUP,
                flags,
            )?;
        }
        for buffer in 0..buffers {
            memory.provide(buffer);
        }
        Ok(memory)
    }

    pub(crate) fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// Gives a buffer to the kernel.
    pub(crate) fn provide(&mut self, buffer: u16) {
        let first = self.entries.cast::<BufRingEntry>().as_ptr();
        let start = self.bytes[usize::from(buffer) * self.buffer_bytes..].as_ptr();
        self.order[usize::from(self.tail % SLOTS)] = buffer;
        // SAFETY: the index is below the number of slots, and the kernel reads an entry only after the tail has passed
        // it. The tail is in a field of the first entry that the setters do not write to.
        unsafe {
            let entry = &mut *first.add(usize::from(self.tail % SLOTS));
            entry.set_addr(start as u64);
            entry.set_len(self.buffer_bytes as u32);
            entry.set_bid(buffer);
            self.tail = self.tail.wrapping_add(1);
            AtomicU16::from_ptr(BufRingEntry::tail(first).cast_mut()).store(self.tail, Ordering::Release);
        }
    }

    /// The buffer that the kernel takes at its `place`-th use of a buffer.
    pub(crate) fn at(&self, place: u16) -> u16 {
        self.order[usize::from(place % SLOTS)]
    }
}
