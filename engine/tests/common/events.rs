//! The events that a node has about another node or a group.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use skyring::{Node, NodeChange, NodeEvent};

use crate::node::TIMEOUT;

/// The time without a sign of life after which a node is down: short, so that tests end soon, and long beside the
/// delays of a loaded machine.
pub(crate) const DOWN_AFTER: Duration = Duration::from_millis(1_200);

/// The events of a node or a group, in order.
pub(crate) struct Events(Receiver<NodeEvent>);

impl Events {
    /// Receives events from now on.
    pub(crate) fn of(watcher: &Node, name: &'static str) -> Events {
        let ((sender, receiver), (ready, is_ready)) = (channel(), channel());
        watcher
            .run(move |caller| async move {
                let mut monitor = caller.cluster().monitor(name).expect("space for a monitor");
                ready.send(()).expect("the test waits");
                while sender.send(monitor.next().await).is_ok() {}
            })
            .expect("the job is accepted");
        is_ready.recv_timeout(TIMEOUT).expect("the monitor starts");
        Events(receiver)
    }

    /// The next event.
    pub(crate) fn next(&self) -> NodeEvent {
        self.0.recv_timeout(TIMEOUT * 3).expect("an event arrives")
    }

    /// Skips events until one of these changes, and returns it.
    pub(crate) fn wait_for(&self, changes: &[NodeChange]) -> NodeEvent {
        loop {
            let event = self.next();
            if changes.contains(&event.change) {
                return event;
            }
        }
    }
}
