//! The program's allocator.

/// mimalloc frees across threads cheaply.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

unsafe extern "C" {
    /// Of mimalloc: frees unused pages of the calling thread, and with `force` gives them back to the system.
    safe fn mi_collect(force: bool);
}

/// Gives the memory that this thread has freed back to the system.
pub(crate) fn release() {
    mi_collect(true);
}
