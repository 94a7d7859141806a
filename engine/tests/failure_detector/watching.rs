//! Nodes that watch each other closely, and waiting for what they see.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use skyring::{Node, NodeChange, NodeEvent, NodeState};

use crate::node::{PATIENCE, run};
use crate::start::builder;

/// How long a peer may show no sign of life here: short, so that tests do not take long, and long beside what a
/// loaded machine keeps a thread waiting for.
pub(crate) const DOWN_AFTER: Duration = Duration::from_millis(1_200);

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

/// The events of a node, as they come.
pub(crate) struct Events(Receiver<NodeEvent>);

impl Events {
    /// Listens from now on.
    pub(crate) fn of(watcher: &Node, name: &'static str) -> Events {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        watcher
            .run(move |caller| async move {
                let mut monitor = caller.cluster().monitor(name).expect("room for a monitor");
                ready.send(()).expect("the test waits");
                while sender.send(monitor.next().await).is_ok() {}
            })
            .expect("room for it");
        is_ready.recv_timeout(PATIENCE).expect("it listens");
        Events(receiver)
    }

    /// The next event.
    pub(crate) fn next(&self) -> NodeEvent {
        self.0.recv_timeout(PATIENCE * 3).expect("an event comes")
    }

    /// Takes events until one of these comes, and gives that and how long it took.
    pub(crate) fn wait_for(&self, changes: &[NodeChange]) -> (NodeEvent, Duration) {
        let started = Instant::now();
        loop {
            let event = self.next();
            if changes.contains(&event.change) {
                return (event, started.elapsed());
            }
        }
    }
}

/// What a node thinks of another.
pub(crate) fn state(watcher: &Node, name: &'static str) -> NodeState {
    run(watcher, move |caller| async move { caller.cluster().state(name) })
}
