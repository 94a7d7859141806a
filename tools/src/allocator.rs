//! The program's allocator, mimalloc, which counts its allocations.
//!
//! Most blocks are asked for without an alignment: mimalloc aligns every block of 16 bytes and more to 16, and rounds up the
//! size of a block for which an alignment is asked, which costs an interpreter of Lua a twentieth of its memory.
//!
//! Each thread counts in a place of its own, so counting is a load, an addition and a store, without an atomic operation
//! that other processors see.
#![expect(
    unsafe_code,
    reason = "an allocator implements an unsafe trait, no crate counts without shared atomics, and none declares mi_collect \
              by default"
)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use mimalloc::MiMalloc;

/// Places; threads beyond them share places, and may then lose a count to each other.
const PLACES: usize = 256;

/// One place on cache lines of its own.
#[repr(align(128))]
struct Place(AtomicU64);

static COUNTS: [Place; PLACES] = [const { Place(AtomicU64::new(0)) }; PLACES];

/// How many threads have taken a place.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The place of this thread, plus one; 0 = none yet. It needs no destructor, so it is there as long as the thread.
    static PLACE: Cell<usize> = const { Cell::new(0) };
}

/// mimalloc with a count.
pub(crate) struct CountingAllocator;

/// How many allocations this process has made, those that changed the size of one included.
pub(crate) fn allocations() -> u64 {
    COUNTS.iter().map(|place| place.0.load(Ordering::Relaxed)).sum()
}

unsafe extern "C" {
    fn mi_malloc(size: usize) -> *mut u8;
    fn mi_zalloc(size: usize) -> *mut u8;
    fn mi_realloc(pointer: *mut u8, size: usize) -> *mut u8;
    /// Of mimalloc: frees unused pages of the calling thread, and with `force` gives them back to the system.
    safe fn mi_collect(force: bool);
}

/// Gives the memory that this thread has freed back to the system.
pub(crate) fn release() {
    mi_collect(true);
}

/// The alignment of every block of mimalloc that has at least this size, in bytes; smaller blocks are aligned to 8 or to 16,
/// and never to less than their size.
const BLOCK_ALIGN: usize = 16;

/// Whether a block of this size has the alignment without asking for it.
#[inline]
fn is_aligned(size: usize, align: usize) -> bool {
    align <= BLOCK_ALIGN && align <= size
}

#[inline]
fn count() {
    let place = match PLACE.get() {
        0 => take_place(),
        place => place - 1,
    };
    let count = &COUNTS[place % PLACES].0;
    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

#[cold]
fn take_place() -> usize {
    let place = TAKEN.fetch_add(1, Ordering::Relaxed);
    PLACE.set(place % PLACES + 1);
    place % PLACES
}

// SAFETY: every method hands on to mimalloc what it was given, and does nothing else but count, which neither allocates
// nor unwinds. Blocks that are asked for without an alignment have it, as `is_aligned` says, and a size above 0.
unsafe impl GlobalAlloc for CountingAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe {
            match is_aligned(layout.size(), layout.align()) {
                true => mi_malloc(layout.size()),
                false => MiMalloc.alloc(layout),
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe {
            match is_aligned(layout.size(), layout.align()) {
                true => mi_zalloc(layout.size()),
                false => MiMalloc.alloc_zeroed(layout),
            }
        }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe {
            match is_aligned(size, layout.align()) {
                true => mi_realloc(pointer, size),
                false => MiMalloc.realloc(pointer, layout, size),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_has_the_alignment_that_was_asked_for() {
        for align in [1, 2, 4, 8, 16, 32, 64, 4096] {
            let mut blocks = Vec::new();
            for size in (1..=2_100).chain([4_096, 5_000, 70_000, 3 << 20]) {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the size is not 0, and each block is freed once, with the layout that it has then.
                unsafe {
                    let block = CountingAllocator.alloc(layout);
                    let zeroed = CountingAllocator.alloc_zeroed(layout);
                    assert!((0..size).all(|at| *zeroed.add(at) == 0), "{size} {align}");
                    let grown = CountingAllocator.realloc(zeroed, layout, size + 8);
                    for block in [block, grown] {
                        assert!(!block.is_null() && block.addr() % align == 0, "{size} {align}");
                    }
                    blocks.push((block, layout));
                    blocks.push((grown, Layout::from_size_align(size + 8, align).unwrap()));
                }
            }
            for (block, layout) in blocks {
                // SAFETY: as above.
                unsafe { CountingAllocator.dealloc(block, layout) };
            }
        }
    }

    #[test]
    fn allocations_of_every_thread_are_counted() {
        let before = allocations();
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..1_000).map(Box::new).collect::<Vec<_>>().len()))
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 1_000);
        }
        assert!(allocations() >= before + 4_000);
    }
}
