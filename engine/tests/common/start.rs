//! Real nodes for tests: quiet, with few threads, spread over the processors.

use std::sync::atomic::{AtomicUsize, Ordering};

use skyring::log::Destination;
use skyring::{Node, NodeBuilder};

/// A node that logs nowhere. Each node begins on the next processor, so that they share them fairly.
pub(crate) fn builder(threads: usize) -> NodeBuilder {
    static NEXT_CPU: AtomicUsize = AtomicUsize::new(0);
    Node::builder()
        .threads(threads)
        .first_cpu(NEXT_CPU.fetch_add(1, Ordering::Relaxed))
        .log_to(Destination::File("/dev/null".into()))
}

/// Starts a node with so many shards.
pub(crate) fn start(threads: usize) -> Node {
    builder(threads).start().expect("a node starts on this machine")
}
