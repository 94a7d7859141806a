//! Gives memory back to the system when many services have ended.
//!
//! Allocators keep freed memory for the thread that freed it. Only the program knows its allocator, so it says how.

use std::cell::Cell;
use std::sync::OnceLock;

/// The number of services that end on a shard before its memory is given back.
pub const ENDED_BEFORE_RELEASE: u32 = 64;

static RELEASE: OnceLock<fn()> = OnceLock::new();

thread_local! {
    /// The services that have ended on this shard since memory was last given back.
    static ENDED: Cell<u32> = const { Cell::new(0) };
}

/// Sets the function that gives memory which the calling thread has freed back to the system, such as mimalloc's
/// `mi_collect`. It is called on a shard's thread after [`ENDED_BEFORE_RELEASE`] services have ended there. Only the
/// first function that is set is used; without one, the allocator decides.
pub fn set_memory_release(release: fn()) {
    // A second call has no effect, as documented.
    let _ = RELEASE.set(release);
}

/// Counts the end of a service, whose memory is freed.
pub(crate) fn count_end() {
    let ended = ENDED.get() + 1;
    if ended < ENDED_BEFORE_RELEASE {
        ENDED.set(ended);
        return;
    }
    release();
}

/// Gives the memory that this thread has freed back to the system.
pub(crate) fn release() {
    ENDED.set(0);
    if let Some(release) = RELEASE.get() {
        release();
    }
}
