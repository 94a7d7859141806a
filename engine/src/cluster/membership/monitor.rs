//! Monitors: tasks that wait for the next event of a node, and services that receive each event as a message.
//!
//! Invariant: a subscriber receives each change once, in order, the present state first; a task that does not take
//! its events loses the oldest.

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
use crate::core::spans::SpanKey;
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

/// The events of one node; from [`Cluster::monitor`](crate::Cluster::monitor). Dropping it ends the subscription.
pub struct Monitor {
    queue: Rc<Queue>,
}

impl Monitor {
    /// Waits for the next event. The first one is the present state, unless that is unknown.
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

    /// The next event, if there is one already.
    pub fn take(&mut self) -> Option<NodeEvent> {
        self.queue.events.borrow_mut().pop_front()
    }
}

/// A subscriber to the events of a node.
enum Subscriber {
    Task(Weak<Queue>),
    Service(Handle),
}

impl Subscriber {
    fn is_alive(&self, shard: &ShardCore) -> bool {
        match self {
            Subscriber::Task(queue) => queue.strong_count() > 0,
            Subscriber::Service(handle) => shard.has_service(*handle),
        }
    }
}

/// The subscribers of one shard.
#[derive(Default)]
pub(super) struct Monitors(RefCell<Vec<(Text, Subscriber)>>);

impl Monitors {
    /// Adds a monitor of a node, which begins with `present`.
    pub(super) fn add(
        &self,
        shard: &ShardCore,
        node: Text,
        present: Option<NodeEvent>,
    ) -> Result<Monitor, Error> {
        let queue = Rc::new(Queue::default());
        self.insert(shard, node, Subscriber::Task(Rc::downgrade(&queue)))?;
        if let Some(event) = present {
            queue.push(event);
        }
        Ok(Monitor { queue })
    }

    /// Subscribes a service of this shard to a node, beginning with `present`. A second subscription changes nothing.
    pub(super) fn subscribe(
        &self,
        shard: &Rc<ShardCore>,
        node: Text,
        service: Handle,
        present: Option<NodeEvent>,
    ) -> Result<(), Error> {
        let is_same = |(monitored, subscriber): &(Text, Subscriber)| {
            *monitored == node && matches!(subscriber, Subscriber::Service(handle) if *handle == service)
        };
        if self.0.borrow().iter().any(is_same) {
            return Ok(());
        }
        self.insert(shard, node, Subscriber::Service(service))?;
        if let Some(event) = present {
            send(shard, service, &event);
        }
        Ok(())
    }

    /// Ends the subscription of a service.
    pub(super) fn unsubscribe(&self, node: &str, service: Handle) {
        self.0.borrow_mut().retain(|(monitored, subscriber)| {
            **monitored != *node || !matches!(subscriber, Subscriber::Service(handle) if *handle == service)
        });
    }

    fn insert(&self, shard: &ShardCore, node: Text, subscriber: Subscriber) -> Result<(), Error> {
        let mut subscribers = self.0.borrow_mut();
        subscribers.retain(|(_, subscriber)| subscriber.is_alive(shard));
        if subscribers.len() >= MONITORS_MAX {
            return Err(Error::overloaded(format!("a shard has {MONITORS_MAX} monitors")));
        }
        subscribers.push((node, subscriber));
        Ok(())
    }

    /// Sends an event to its subscribers.
    pub(super) fn notify(&self, shard: &Rc<ShardCore>, event: &NodeEvent) {
        // A service may run at once, and add monitors.
        let mut services = Vec::new();
        self.0.borrow_mut().retain(|(node, subscriber)| {
            if !subscriber.is_alive(shard) {
                return false;
            }
            if *node == event.node {
                match subscriber {
                    Subscriber::Task(queue) => {
                        if let Some(queue) = queue.upgrade() {
                            queue.push(event.clone());
                        }
                    }
                    Subscriber::Service(handle) => services.push(*handle),
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
        span: SpanKey::NONE,
        waits: false,
    });
}
