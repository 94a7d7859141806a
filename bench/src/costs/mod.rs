//! What a call costs beside time: system calls, allocations, bytes on the wire, and the processor's own counters.
//!
//! These are counted in a short load of their own after a measurement, because counting system calls slows every system
//! call down. What a machine or a user's rights do not allow is left out, with the reason.
//!
//! | figure | where it comes from |
//! | --- | --- |
//! | system calls | the kernel's tracepoint `raw_syscalls:sys_enter`, for each thread of both processes |
//! | cycles, instructions, misses | the processor's counters, for the same threads |
//! | bytes | what the client's TCP connections have sent and received, without the headers of TCP and IP |
//! | allocations | the counter of the program's allocator, for the client |

mod allocations;
mod counted;
mod result;
mod thread_counters;
mod wire;

pub use self::allocations::{AllocationCounter, set_allocation_counter};
pub(crate) use self::counted::CostCounter;
pub use self::result::{CallCosts, Sides};
