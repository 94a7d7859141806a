//! Profiles of processes: their stacks, sampled by the kernel, as a flame graph.
//!
//! Each thread has a timer that counts the processor time it uses (the kernel's software clock, which virtual machines
//! have too) and takes a sample every so often: the registers, a part of the stack, and the kernel's own stack if that is
//! allowed. The stack is unwound here, with the tables that every program carries for panics, so nothing has to be built
//! with frame pointers. Names come from debug information, inlined functions included, else from symbols.
//!
//! Nothing is installed, and a process does not notice; a Skyring node with services in Lua alone gets a signal at each sample,
//! upon which the sampled thread writes down its Lua stack. A user needs no rights for processes of their
//! own; the kernel may forbid even that, and the error says what to do.
//!
//! Invariants: a profile ends when it is stopped, or when its processes have ended; memory is bounded by the number of
//! different stacks.

mod changes;
mod difference;
mod error;
mod flame_graph;
mod lua_samples;
mod modules;
mod pending;
mod recorder;
mod registers;
mod result;
mod sampler;
mod signals;
mod stack;
mod symbols;
mod waits;

pub use self::changes::{Changes, FunctionChange};
pub use self::difference::{Difference, FUNCTIONS_CHANGED_MAX};
pub use self::error::ProfileError;
pub use self::recorder::Recorder;
pub use self::result::{Profile, Profiling};
pub use self::sampler::Profiled;
