//! Nodes that watch each other closely, and waiting for what they see.

use skyring::{Node, NodeState};

use crate::events::DOWN_AFTER;
use crate::node::{PATIENCE, run};
use crate::start::builder;

/// A node that watches its peers.
pub(crate) fn watchful(threads: usize) -> Node {
    builder(threads)
        .down_after(DOWN_AFTER)
        .start()
        .expect("a node starts")
}

/// A node that gives its peers as much time as a machine under any load may take.
pub(crate) fn patient(threads: usize) -> Node {
    builder(threads)
        .down_after(PATIENCE * 3)
        .start()
        .expect("a node starts")
}

/// Tries again what a machine that stands still for a second spoils: that nothing happens in a second. It must go
/// well once.
///
/// # Panics
/// When it never does.
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

/// What a node thinks of another.
pub(crate) fn state(watcher: &Node, name: &'static str) -> NodeState {
    run(watcher, move |caller| async move { caller.cluster().state(name) })
}
