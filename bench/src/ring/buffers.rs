//! Provided buffers: memory that the kernel receives into, and the ring through which it gets that memory.
#![expect(
    unsafe_code,
    reason = "the memory is shared with the kernel, which no type says"
)]

use std::io;
use std::mem;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

/// Most buffers: their ring fills one page.
pub(crate) const BUFFERS_MAX: u16 = 256;

/// Memory that the kernel receives into, and the ring through which it gets that memory. It is leaked unless
/// [`free`](Buffers::free) is called, because only its user knows when the kernel has finished with it.
pub(crate) struct Buffers {
    entries: NonNull<Entries>,
    bytes: NonNull<[u8]>,
    tail: u16,
    count: u16,
    size: usize,
}

/// Aligned as the kernel requires it of a ring of buffers.
#[repr(C, align(4096))]
struct Entries([BufRingEntry; BUFFERS_MAX as usize]);

impl Buffers {
    /// `count` buffers, a power of two, of `size` bytes.
    pub(crate) fn new(count: u16, size: usize) -> Buffers {
        assert!(count.is_power_of_two() && count <= BUFFERS_MAX);
        // SAFETY: the type is plain integers, for which all zeroes is a valid value.
        let entries: Box<Entries> = Box::new(unsafe { mem::zeroed() });
        let bytes = vec![0; size * usize::from(count)].into_boxed_slice();
        let mut buffers = Buffers {
            entries: NonNull::from(Box::leak(entries)),
            bytes: NonNull::from(Box::leak(bytes)),
            tail: 0,
            count,
            size,
        };
        for buffer in 0..count {
            buffers.provide(buffer);
        }
        buffers
    }

    /// Announces them to a ring as the group `group`.
    pub(crate) fn register(&self, ring: &IoUring, group: u16) -> io::Result<()> {
        let address = self.entries.as_ptr() as u64;
        // SAFETY: the memory lives until `free`, whose caller has promised that no operation uses it any more.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(address, self.count, group, 0)
        }
    }

    /// The bytes that the kernel has received into a buffer that it has returned.
    pub(crate) fn received(&self, buffer: u16, length: usize) -> &[u8] {
        assert!(
            buffer < self.count && length <= self.size,
            "a completion names memory that is not ours"
        );
        // SAFETY: within the allocation, as was just checked; the kernel does not write to a buffer that it
        // has returned, until `provide`, which needs `&mut self`.
        unsafe { std::slice::from_raw_parts(self.start(buffer), length) }
    }

    fn start(&self, buffer: u16) -> *mut u8 {
        // Within the allocation: `buffer` is below the number of buffers.
        self.bytes
            .cast::<u8>()
            .as_ptr()
            .wrapping_add(usize::from(buffer) * self.size)
    }

    /// Provides the kernel with a buffer to receive into.
    pub(crate) fn provide(&mut self, buffer: u16) {
        assert!(buffer < self.count, "a buffer that is not ours");
        let first = self.entries.cast::<BufRingEntry>().as_ptr();
        // SAFETY: the index is below the number of entries, and the kernel, which only reads entries, does
        // not read this one before the tail has passed it. The tail is where the kernel's interface has
        // it, in a field of the first entry that the three setters do not write to.
        unsafe {
            let entry = &mut *first.add(usize::from(self.tail % self.count));
            entry.set_addr(self.start(buffer) as u64);
            entry.set_len(self.size as u32);
            entry.set_bid(buffer);
            self.tail = self.tail.wrapping_add(1);
            AtomicU16::from_ptr(BufRingEntry::tail(first).cast_mut()).store(self.tail, Ordering::Release);
        }
    }

    /// Frees the memory.
    ///
    /// # Safety
    /// The kernel must have no operation in flight that may use it, nor get one any more.
    pub(crate) unsafe fn free(&self) {
        // SAFETY: both came from boxes in `new`; the rest is the caller's promise.
        unsafe {
            drop(Box::from_raw(self.entries.as_ptr()));
            drop(Box::from_raw(self.bytes.as_ptr()));
        }
    }
}
