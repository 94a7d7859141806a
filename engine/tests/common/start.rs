//! Real nodes for tests: quiet, with few threads, spread over the processors.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use skyring::log::Destination;
use skyring::{Node, NodeBuilder};

/// A node without a log, and with a long time until its peers are down: tests that need a node marked down set that
/// time, and peers that a test simulates answer no pings. Each node begins on the next processor, so that they share
/// them fairly.
pub(crate) fn builder(threads: usize) -> NodeBuilder {
    static NEXT_CPU: AtomicUsize = AtomicUsize::new(0);
    Node::builder()
        .threads(threads)
        .down_after(Duration::from_secs(600))
        .stop_timeout(Duration::from_millis(200))
        .first_cpu(NEXT_CPU.fetch_add(1, Ordering::Relaxed))
        .log_to(Destination::File("/dev/null".into()))
}

/// Starts a node with `threads` shards.
pub(crate) fn start(threads: usize) -> Node {
    builder(threads).start().expect("a node starts on this machine")
}
