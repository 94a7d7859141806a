//! The counter of allocations, which a program with such an allocator provides.

use std::sync::OnceLock;

/// Returns how many allocations this process has made so far.
pub type AllocationCounter = fn() -> u64;

static COUNTER: OnceLock<AllocationCounter> = OnceLock::new();

/// Says how the allocations of this process are counted. Only the first call has an effect.
pub fn set_allocation_counter(counter: AllocationCounter) {
    // A second one would count the same.
    let _ = COUNTER.set(counter);
}

/// How many allocations this process has made; `None` when nothing counts them.
pub(super) fn allocations() -> Option<u64> {
    COUNTER.get().map(|counter| counter())
}
