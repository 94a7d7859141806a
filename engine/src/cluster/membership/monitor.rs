//! Who is told what becomes of other nodes: tasks that wait for the next event, and services that get each as
//! a message.
//!
//! Invariant: whoever listens hears of each change once, in the order in which they came, the present state
//! first; one that does not take its events loses the oldest.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

use crate::cluster::membership::detector::NodeEvent;
use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::payload::{Kind, Payload};
use crate::core::request::{ReplyTo, Request};
use crate::error::{Error, Text};

/// Events that wait for one [`Monitor`]; past it the oldest is dropped.
pub const MONITOR_EVENTS_MAX: usize = 1_024;

/// Most monitors of one shard, tasks and services together.
pub const MONITORS_MAX: usize = 65_536;

/// The events that wait for one monitor.
#[derive(Default)]
struct Queue {
    events: RefCell<VecDeque<NodeEvent>>,
    waker: RefCell<Option<Waker>>,
}

impl Queue {
    fn push(&self, event: NodeEvent) {
        let mut events = self.events.borrow_mut();
        if events.len() >= MONITOR_EVENTS_MAX {
            events.pop_front();
        }
        events.push_back(event);
        drop(events);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// What becomes of one node, event by event; from [`Cluster::monitor`](crate::Cluster::monitor). Dropping it ends
/// it.
pub struct Monitor {
    queue: Rc<Queue>,
}

impl Monitor {
    /// Waits for the next event. The first one is the present state, unless nothing is known yet.
    pub async fn next(&mut self) -> NodeEvent {
        poll_fn(|context| match self.queue.events.borrow_mut().pop_front() {
            Some(event) => Poll::Ready(event),
            None => {
                *self.queue.waker.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    /// An event that is there already.
    pub fn take(&mut self) -> Option<NodeEvent> {
        self.queue.events.borrow_mut().pop_front()
    }
}

/// Who wants to hear of a node.
enum Listener {
    Task(Weak<Queue>),
    Service(Handle),
}

impl Listener {
    fn is_there(&self, shard: &ShardCore) -> bool {
        match self {
            Listener::Task(queue) => queue.strong_count() > 0,
            Listener::Service(handle) => shard.has_service(*handle),
        }
    }
}

/// Everyone of one shard who wants to hear of nodes.
#[derive(Default)]
pub(super) struct Monitors(RefCell<Vec<(Text, Listener)>>);

impl Monitors {
    /// A monitor of a node, which begins with `present`.
    pub(super) fn add(
        &self,
        shard: &ShardCore,
        node: Text,
        present: Option<NodeEvent>,
    ) -> Result<Monitor, Error> {
        let queue = Rc::new(Queue::default());
        self.enter(shard, node, Listener::Task(Rc::downgrade(&queue)))?;
        if let Some(event) = present {
            queue.push(event);
        }
        Ok(Monitor { queue })
    }

    /// Has a service of this shard told of a node, beginning with `present`. Once is enough.
    pub(super) fn subscribe(
        &self,
        shard: &Rc<ShardCore>,
        node: Text,
        service: Handle,
        present: Option<NodeEvent>,
    ) -> Result<(), Error> {
        let is_same = |(monitored, listener): &(Text, Listener)| {
            *monitored == node && matches!(listener, Listener::Service(handle) if *handle == service)
        };
        if self.0.borrow().iter().any(is_same) {
            return Ok(());
        }
        self.enter(shard, node, Listener::Service(service))?;
        if let Some(event) = present {
            send(shard, service, &event);
        }
        Ok(())
    }

    /// Takes a service's wish back.
    pub(super) fn unsubscribe(&self, node: &str, service: Handle) {
        self.0.borrow_mut().retain(|(monitored, listener)| {
            **monitored != *node || !matches!(listener, Listener::Service(handle) if *handle == service)
        });
    }

    fn enter(&self, shard: &ShardCore, node: Text, listener: Listener) -> Result<(), Error> {
        let mut listeners = self.0.borrow_mut();
        listeners.retain(|(_, listener)| listener.is_there(shard));
        if listeners.len() >= MONITORS_MAX {
            return Err(Error::overloaded(format!("a shard has {MONITORS_MAX} monitors")));
        }
        listeners.push((node, listener));
        Ok(())
    }

    /// Tells everyone who wants to hear it.
    pub(super) fn notify(&self, shard: &Rc<ShardCore>, event: &NodeEvent) {
        // Whoever is told may run, and add monitors.
        let mut services = Vec::new();
        self.0.borrow_mut().retain(|(node, listener)| {
            if !listener.is_there(shard) {
                return false;
            }
            if *node == event.node {
                match listener {
                    Listener::Task(queue) => {
                        if let Some(queue) = queue.upgrade() {
                            queue.push(event.clone());
                        }
                    }
                    Listener::Service(handle) => services.push(*handle),
                }
            }
            true
        });
        for service in services {
            send(shard, service, event);
        }
    }
}

/// Sends an event as a message: `"node", NAME, CHANGE, CAUSE, TIME_MS`.
fn send(shard: &Rc<ShardCore>, target: Handle, event: &NodeEvent) {
    let values = (
        "node",
        &*event.node,
        event.change.name(),
        &*event.cause,
        event.time_ms(),
    );
    let Ok(payload) = Payload::pack(&values) else {
        return;
    };
    shard.request(Request {
        target,
        source: Handle::NONE,
        kind: Kind::SYSTEM,
        payload,
        reply_to: ReplyTo::Nobody,
        deadline: None,
        waits: false,
    });
}
