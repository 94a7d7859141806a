//! One stack as addresses.

use std::sync::Arc;

/// The process and thread of a stack, and its addresses, the innermost first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Stack {
    /// The index of its process.
    pub(super) process: usize,
    pub(super) thread: Arc<str>,
    pub(super) kernel: Vec<u64>,
    pub(super) user: Vec<u64>,
    /// The functions in Lua from the outermost on, separated by `;`, if the thread ran any.
    pub(super) lua: Option<Arc<str>>,
    /// Whether another thread took the processor, in a profile of waiting.
    pub(super) is_preempted: bool,
}
