//! Work on a node, and waiting for its effects, with generous bounds.

use std::future::Future;
use std::time::{Duration, Instant};

use skyring::{Caller, Node};

/// How long tests wait for an effect that should be immediate: other work shares the machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// Runs `work` on the node to its end. A failed assertion within it fails the test.
pub(crate) fn run<T, W, F>(node: &Node, work: W) -> T
where
    T: Send + 'static,
    W: FnOnce(Caller) -> F + Send + 'static,
    F: Future<Output = T> + 'static,
{
    node.block_on(work).expect("the work ends without a panic")
}

/// Polls the condition until it holds.
///
/// # Panics
/// When it does not within [`TIMEOUT`].
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < TIMEOUT, "still waiting until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
