//! The pending requests: their node is not in the map yet, or its first handshake is not done.
//!
//! Invariants: they leave in order of arrival, whichever slot each is in; their number and their bytes are bounded;
//! each has at most one timer, which has expired or is cancelled when the request leaves.

use std::cell::{Cell, RefCell};

use rustc_hash::{FxHashMap, FxHashSet};
use skyring_codec::Millis;
use skyring_codec::wheel::TimerKey;

use crate::core::limits::WAITING_CALLS_MAX;
use crate::core::request::RemoteRequest;
use crate::core::slab::{Key, Slab};
use crate::error::Text;

/// Most pending requests of one shard.
pub const PENDING_REQUESTS_MAX: usize = 65_536;

/// Most bytes of their payloads together.
pub const PENDING_BYTES_MAX: usize = 64 << 20;

struct PendingRequest {
    request: RemoteRequest,
    timer: Option<TimerKey>,
    /// The order of arrival.
    number: u64,
}

/// The queue of pending requests of one shard.
#[derive(Default)]
pub(super) struct Queue {
    slots: Slab<PendingRequest>,
    pushed: u64,
    bytes: usize,
}

impl Queue {
    /// Whether no request is pending.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.len() == 0
    }

    /// Adds a request; returns it when the queue is full.
    pub(super) fn push(&mut self, request: RemoteRequest) -> Result<Key, Box<RemoteRequest>> {
        let bytes = self.bytes + request.payload.0.len();
        let is_full = match request.waits {
            true => self.slots.len() >= PENDING_REQUESTS_MAX + WAITING_CALLS_MAX,
            false => self.slots.len() >= PENDING_REQUESTS_MAX || bytes > PENDING_BYTES_MAX,
        };
        if is_full {
            return Err(Box::new(request));
        }
        self.bytes = bytes;
        self.pushed += 1;
        let number = self.pushed;
        Ok(self.slots.insert(PendingRequest {
            request,
            timer: None,
            number,
        }))
    }

    /// Sets the timer of a pending request.
    pub(super) fn set_timer(&mut self, key: Key, timer: TimerKey) {
        if let Some(pending) = self.slots.get_mut(key) {
            pending.timer = Some(timer);
        }
    }

    /// Removes a request whose timer has expired.
    pub(super) fn remove(&mut self, key: Key) -> Option<RemoteRequest> {
        let pending = self.slots.remove(key)?;
        self.bytes -= pending.request.payload.0.len();
        Some(pending.request)
    }

    /// The nodes that requests wait for, each with the latest deadline of its requests.
    pub(super) fn nodes(&self) -> FxHashMap<Text, Millis> {
        let mut nodes = FxHashMap::default();
        for pending in self.slots.iter() {
            let until = pending.request.deadline.unwrap_or(Millis::MAX);
            let latest: &mut Millis = nodes.entry(Text::clone(&pending.request.node)).or_default();
            *latest = until.max(*latest);
        }
        nodes
    }

    /// Removes the requests that satisfy `condition`, in order of arrival, at most `count`, each with its timer.
    pub(super) fn take_where(
        &mut self,
        count: usize,
        condition: impl Fn(&RemoteRequest) -> bool,
    ) -> Vec<(RemoteRequest, Option<TimerKey>)> {
        let mut numbers: Vec<u64> = self
            .slots
            .iter()
            .filter(|pending| condition(&pending.request))
            .map(|pending| pending.number)
            .collect();
        let last = match numbers.len() <= count {
            true => u64::MAX,
            false if count == 0 => return Vec::new(),
            false => *numbers.select_nth_unstable(count - 1).1,
        };
        let mut taken = self
            .slots
            .drain_where(|pending| pending.number <= last && condition(&pending.request));
        taken.sort_unstable_by_key(|pending| pending.number);
        for pending in &taken {
            self.bytes -= pending.request.payload.0.len();
        }
        taken
            .into_iter()
            .map(|pending| (pending.request, pending.timer))
            .collect()
    }
}

/// The pending requests of one shard, and the progress of their drain.
#[derive(Default)]
pub(in crate::cluster) struct Pending {
    pub(super) queue: RefCell<Queue>,
    /// The nodes whose requests are draining.
    pub(in crate::cluster) draining: RefCell<FxHashSet<Text>>,
    /// A timer is set for the next step.
    pub(super) is_timed: Cell<bool>,
    /// The number of steps so far.
    pub(super) steps: Cell<u32>,
    /// The absent nodes that the log has named.
    pub(super) awaited: RefCell<FxHashSet<Text>>,
    /// Until when the first shard was asked to try to reach each node.
    attempts: RefCell<FxHashMap<Text, Millis>>,
}

impl Pending {
    /// Whether no request is pending.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// Whether requests for this node are draining.
    pub(in crate::cluster) fn is_draining(&self, node: &str) -> bool {
        let draining = self.draining.borrow();
        !draining.is_empty() && draining.contains(node)
    }

    /// Extends the attempt to reach a node until `until` plus `margin`, and returns that time; `None`: it lasts until
    /// `until` already.
    pub(super) fn extend_attempt(&self, node: &Text, until: Millis, margin: Millis) -> Option<Millis> {
        let mut attempts = self.attempts.borrow_mut();
        if attempts.get(node).is_some_and(|asked| until <= *asked) {
            return None;
        }
        let until = until.saturating_add(margin);
        attempts.insert(Text::clone(node), until);
        Some(until)
    }

    /// Ends the attempt to reach a node.
    pub(super) fn end_attempt(&self, node: &str) {
        self.attempts.borrow_mut().remove(node);
    }

    /// Ends all attempts: the map has changed, so the first shard must be asked again.
    pub(in crate::cluster) fn end_attempts(&self) {
        self.attempts.borrow_mut().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::handle::{Address, Handle};
    use crate::core::payload::Payload;
    use crate::core::request::ReplyTo;
    use crate::core::spans::SpanKey;

    fn request(key: u64, bytes: usize) -> RemoteRequest {
        RemoteRequest {
            node: "db".into(),
            address: Address::Handle(Handle(1)),
            source: Handle::NONE,
            key,
            channel: 1,
            payload: Payload(vec![0; bytes].into()),
            reply_to: ReplyTo::Nobody,
            deadline: None,
            timeout_ms: 0,
            is_idempotent: false,
            waits: false,
            span: SpanKey::NONE,
            when_down: None,
        }
    }

    #[test]
    fn requests_leave_in_order_of_arrival_though_slots_are_reused() {
        let mut queue = Queue::default();
        let first = queue.push(request(0, 1)).unwrap();
        queue.push(request(1, 1)).unwrap();
        queue.remove(first).unwrap();
        queue.push(request(2, 1)).unwrap();
        let keys: Vec<u64> = queue
            .take_where(usize::MAX, |_| true)
            .into_iter()
            .map(|(request, _)| request.key)
            .collect();
        assert_eq!(keys, [1, 2]);
        assert_eq!((queue.is_empty(), queue.bytes), (true, 0));
    }

    #[test]
    fn their_bytes_are_bounded() {
        let mut queue = Queue::default();
        queue.push(request(0, PENDING_BYTES_MAX)).unwrap();
        assert!(queue.push(request(1, 1)).is_err());
        assert_eq!(queue.take_where(usize::MAX, |request| request.key == 1).len(), 0);
        assert_eq!(queue.take_where(usize::MAX, |request| request.key == 0).len(), 1);
        queue.push(request(1, 1)).unwrap();
    }

    #[test]
    fn a_limited_number_takes_the_oldest() {
        let mut queue = Queue::default();
        for key in 0..100 {
            queue.push(request(key, 1)).unwrap();
        }
        let mut next = 1;
        for count in [0, 1, 7, 100] {
            for (request, _) in queue.take_where(count, |request| request.key % 2 == 1) {
                assert_eq!(request.key, next);
                next += 2;
            }
        }
        assert_eq!((next, queue.take_where(usize::MAX, |_| true).len()), (101, 50));
    }
}
