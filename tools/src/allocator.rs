//! The program's allocator, which counts its allocations.
//!
//! Each thread counts in a place of its own, so counting is a load, an addition and a store, without an atomic operation
//! that other processors see.
#![expect(
    unsafe_code,
    reason = "an allocator implements an unsafe trait, and no crate counts without shared atomics"
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
// nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.alloc(layout) }
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
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.realloc(pointer, layout, size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
