//! The program's allocator, without its count: the figures of the examples are those of the program.
#![expect(
    unsafe_code,
    reason = "an allocator implements an unsafe trait, and the functions of mimalloc are declared here"
)]

use std::alloc::{GlobalAlloc, Layout};

use mimalloc::MiMalloc;

unsafe extern "C" {
    fn mi_malloc(size: usize) -> *mut u8;
    fn mi_realloc(pointer: *mut u8, size: usize) -> *mut u8;
    /// Of mimalloc: frees unused pages of the calling thread, and with `force` gives them back to the system.
    safe fn mi_collect(force: bool);
}

/// Gives the memory that this thread has freed back to the system.
pub(crate) fn release() {
    mi_collect(true);
}

/// mimalloc that is asked for an alignment only where it would not be there: see the allocator of the command.
struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn is_aligned(size: usize, align: usize) -> bool {
    align <= 16 && align <= size
}

// SAFETY: every method hands on to mimalloc what it was given. It aligns blocks of 16 bytes and more to 16, and smaller ones
// to no less than their size. The sizes of such blocks are not 0.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe {
            match is_aligned(layout.size(), layout.align()) {
                true => mi_malloc(layout.size()),
                false => MiMalloc.alloc(layout),
            }
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe {
            match is_aligned(size, layout.align()) {
                true => mi_realloc(pointer, size),
                false => MiMalloc.realloc(pointer, layout, size),
            }
        }
    }
}
