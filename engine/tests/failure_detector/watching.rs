//! Nodes with a short and a long time until a peer is down, and their view of it.

use skyring::{Node, NodeState};

use crate::events::DOWN_AFTER;
use crate::node::{TIMEOUT, run};
use crate::start::builder;

/// A node that soon marks a silent peer down.
pub(crate) fn watchful(threads: usize) -> Node {
    builder(threads)
        .down_after(DOWN_AFTER)
        .start()
        .expect("a node starts")
}

/// A node that gives its peers more time than a loaded machine takes.
pub(crate) fn with_long_timeout(threads: usize) -> Node {
    builder(threads)
        .down_after(TIMEOUT * 3)
        .start()
        .expect("a node starts")
}

/// Repeats a check that a machine that stalls for a second may fail: that nothing happens within a second. It must
/// succeed once.
///
/// # Panics
/// When every attempt fails.
pub(crate) fn once_of_several(attempt: impl Fn() -> Result<(), String>) {
    let mut failures = Vec::new();
    while failures.len() < 10 {
        match attempt() {
            Ok(()) => return,
            Err(failure) => failures.push(failure),
        }
    }
    panic!("every attempt has failed: {failures:#?}");
}

/// The state of another node.
pub(crate) fn state(watcher: &Node, name: &'static str) -> NodeState {
    run(watcher, move |caller| async move { caller.cluster().state(name) })
}
