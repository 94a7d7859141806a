//! Provided buffers: memory that the kernel receives into, and the ring that announces it to the kernel.
//!
//! Where the kernel can (Linux 6.12), it consumes a buffer *incrementally*: a receive takes the bytes that it fills, and
//! the next receive, of any stream, goes on behind them. So a few buffers serve the small messages of many streams. An
//! older kernel takes a whole buffer for each receive. The difference is in this file alone.
//!
//! The argument for the `unsafe` code: a byte is the kernel's from [`recycle`](Provided::recycle), or from the start, until
//! a completion hands it over as part of a [`Filled`], and there is one `Filled` for each hand-over. The kernel writes only
//! behind what it has handed over. A buffer is announced again only when the kernel has finished with it and every
//! `Filled` of it has been recycled, which consumes them; until then their bytes are only read.
#![expect(
    unsafe_code,
    reason = "the memory is shared with the kernel, which no type says"
)]

use std::cell::Cell;
use std::io;
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;
use io_uring::{IoUring, cqueue};

/// Slots of the ring that announces buffers: a power of two, and the most buffers.
pub(super) const BUFFERS: u16 = 16;

/// Bytes of one provided buffer that is consumed whole.
pub(super) const BUFFER_BYTES: usize = 16 << 10;

/// How many of those make up one buffer that is consumed incrementally: a receive ends with its buffer, so larger ones cut
/// fewer batches in two.
const INCREMENTAL_FACTOR: usize = 4;

/// More memory than the size for each buffer: otherwise the first lines of all buffers, which small messages use, would
/// fall on the same places of the processor's cache.
const BUFFER_GAP: usize = 320;

/// Bytes that the provided buffers of one ring take.
pub(super) const PROVIDED_BYTES: usize = BUFFERS as usize * (BUFFER_BYTES + BUFFER_GAP);

/// The group that the provided buffers have at their ring.
pub(super) const GROUP: u16 = 0;

/// `IOU_PBUF_RING_INC`: buffers are consumed incrementally.
const INCREMENTAL: u16 = 2;

/// `IORING_CQE_F_BUF_MORE`: the kernel goes on filling the buffer of this completion.
const BUFFER_MORE: u32 = 1 << 4;

/// How the kernel consumes buffers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Consumption {
    /// Byte by byte, where it can.
    Incremental,
    /// One for each receive, as before Linux 6.12.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "tests show both on a kernel that can do both")
    )]
    Whole,
}

/// Received bytes in a provided buffer, until they are recycled.
#[must_use = "a buffer that is not recycled is lost"]
pub(super) struct Filled {
    buffer: u16,
    start: u32,
    length: u32,
}

/// Where a buffer is between the kernel and here.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// Bytes that the kernel has handed over since it was given the buffer.
    handed_over: u32,
    /// `Filled`s of it that have not been recycled.
    pieces: u16,
    /// The kernel will not fill it any more.
    is_finished: bool,
}

/// The provided buffers of a ring.
pub(super) struct Provided {
    entries: NonNull<Entries>,
    bytes: NonNull<u8>,
    tail: Cell<u16>,
    /// One for each buffer.
    progress: Vec<Cell<Progress>>,
    buffer_bytes: usize,
    is_incremental: bool,
}

/// Aligned as the kernel wants a ring of buffers.
#[repr(C, align(4096))]
struct Entries([BufRingEntry; BUFFERS as usize]);

impl Provided {
    /// Buffers that are registered at a ring.
    ///
    /// # Safety
    /// The ring must not outlive them, unless they are unregistered.
    pub(super) unsafe fn register(ring: &IoUring, consumption: Consumption) -> io::Result<Provided> {
        // SAFETY: plain integers, for which all zeroes is a valid value.
        let entries: Box<Entries> = Box::new(unsafe { mem::zeroed() });
        let bytes = vec![0; PROVIDED_BYTES].into_boxed_slice();
        let mut provided = Provided {
            entries: NonNull::from(Box::leak(entries)),
            bytes: NonNull::from(Box::leak(bytes)).cast(),
            tail: Cell::new(0),
            progress: Vec::new(),
            buffer_bytes: BUFFER_BYTES,
            is_incremental: false,
        };
        let register = |flags| {
            let entries = provided.entries.as_ptr() as u64;
            // SAFETY: the caller's promise.
            unsafe {
                ring.submitter()
                    .register_buf_ring_with_flags(entries, BUFFERS, GROUP, flags)
            }
        };
        let registered = match consumption {
            Consumption::Incremental => register(INCREMENTAL).map(|()| true),
            Consumption::Whole => register(0).map(|()| false),
        };
        let registered = match registered {
            // The kernel does not know the flag.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => register(0).map(|()| false),
            other => other,
        };
        match registered {
            Ok(is_incremental) => provided.is_incremental = is_incremental,
            Err(error) => {
                // SAFETY: no ring knows them.
                unsafe { provided.free() };
                return Err(error);
            }
        }
        if provided.is_incremental {
            provided.buffer_bytes *= INCREMENTAL_FACTOR;
        }
        let buffers = PROVIDED_BYTES / (provided.buffer_bytes + BUFFER_GAP);
        provided.progress = vec![Cell::default(); buffers.min(usize::from(BUFFERS))];
        for buffer in 0..provided.progress.len() as u16 {
            provided.announce(buffer);
        }
        Ok(provided)
    }

    /// What a completion with these flags and this result has received. `None` when it has taken no buffer.
    pub(super) fn take(&self, flags: u32, result: i32) -> Option<Filled> {
        let buffer = cqueue::buffer_select(flags)?;
        let length = u32::try_from(result).unwrap_or(0);
        if length == 0 && self.is_incremental {
            // Nothing was consumed, whatever the flags say.
            return None;
        }
        let slot = self.progress.get(usize::from(buffer));
        let mut progress = slot.map(Cell::get).unwrap_or_default();
        let start = progress.handed_over;
        progress.handed_over = start.saturating_add(length);
        progress.pieces += 1;
        debug_assert!(
            !progress.is_finished,
            "a buffer is filled that is not the kernel's"
        );
        progress.is_finished = !self.is_incremental || flags & BUFFER_MORE == 0;
        assert!(
            slot.is_some() && progress.handed_over as usize <= self.buffer_bytes,
            "a completion names memory that is not ours"
        );
        if let Some(slot) = slot {
            slot.set(progress);
        }
        Some(Filled {
            buffer,
            start,
            length,
        })
    }

    /// What was received.
    pub(super) fn bytes<'a>(&'a self, filled: &'a Filled) -> &'a [u8] {
        // SAFETY: within the allocation, which lives as long as this: `take` has checked it. The kernel does not write
        // to it until `recycle`, which consumes the `Filled` that is borrowed here.
        unsafe {
            let start = self.start(filled.buffer).add(filled.start as usize);
            std::slice::from_raw_parts(start, filled.length as usize)
        }
    }

    /// Gives the memory back to the kernel, as soon as all of its buffer is back.
    pub(super) fn recycle(&self, filled: Filled) {
        let slot = &self.progress[usize::from(filled.buffer)];
        let mut progress = slot.get();
        progress.pieces -= 1;
        if progress.pieces > 0 || !progress.is_finished {
            slot.set(progress);
            return;
        }
        slot.set(Progress::default());
        self.announce(filled.buffer);
    }

    /// Announces a buffer to the kernel, of which nothing else uses any byte.
    fn announce(&self, buffer: u16) {
        let first = self.entries.cast::<BufRingEntry>().as_ptr();
        let tail = self.tail.get();
        // SAFETY: the index is below the number of entries, and the kernel, which only reads entries, does
        // not look at this one before the tail has passed it. The tail is where the kernel's interface puts
        // it, in a field of the first entry that the three setters do not write to.
        unsafe {
            let entry = &mut *first.add(usize::from(tail % BUFFERS));
            entry.set_addr(self.start(buffer) as u64);
            entry.set_len(self.buffer_bytes as u32);
            entry.set_bid(buffer);
            AtomicU16::from_ptr(BufRingEntry::tail(first).cast_mut())
                .store(tail.wrapping_add(1), Ordering::Release);
        }
        self.tail.set(tail.wrapping_add(1));
    }

    fn start(&self, buffer: u16) -> *mut u8 {
        debug_assert!(usize::from(buffer) < self.progress.len());
        let stride = self.buffer_bytes + BUFFER_GAP;
        // SAFETY: below the number of buffers, so within the allocation.
        unsafe { self.bytes.as_ptr().add(usize::from(buffer) * stride) }
    }

    /// Whether the kernel consumes them incrementally.
    #[cfg(test)]
    pub(super) fn is_incremental(&self) -> bool {
        self.is_incremental
    }

    /// Whether the kernel has all of them.
    #[cfg(test)]
    pub(super) fn are_recycled(&self) -> bool {
        let is_recycled = |slot: &Cell<Progress>| slot.get().pieces == 0 && !slot.get().is_finished;
        self.progress.iter().all(is_recycled)
    }

    /// Frees the memory.
    ///
    /// # Safety
    /// The kernel must have no operation in flight that may use it, and get none afterwards.
    pub(super) unsafe fn free(&self) {
        // SAFETY: both came from boxes in `new`; the rest is the caller's promise.
        unsafe {
            drop(Box::from_raw(self.entries.as_ptr()));
            drop(Box::from_raw(ptr::slice_from_raw_parts_mut(
                self.bytes.as_ptr(),
                PROVIDED_BYTES,
            )));
        }
    }
}
