//! Requests that cannot go on yet: their node is not in the map, or had no handshake yet.
//!
//! Invariants: they come out in the order in which they went in, whatever place they were kept at; their
//! number and their bytes are bounded; each has at most one timer, which its way out cancels or has used.

use std::cell::{Cell, RefCell};

use rustc_hash::{FxHashMap, FxHashSet};
use skyring_codec::Millis;
use skyring_codec::wheel::TimerKey;

use crate::core::limits::WAITING_CALLS_MAX;
use crate::core::request::RemoteRequest;
use crate::core::slab::{Key, Slab};
use crate::error::Text;

/// Most requests of one shard that wait for their node to be named or met.
pub const PENDING_REQUESTS_MAX: usize = 65_536;

/// Most bytes that their payloads have together.
pub const PENDING_BYTES_MAX: usize = 64 << 20;

struct Held {
    request: RemoteRequest,
    timer: Option<TimerKey>,
    /// Counts up: the order in which requests came.
    number: u64,
}

/// The held requests of one shard.
#[derive(Default)]
pub(super) struct Queue {
    places: Slab<Held>,
    so_far: u64,
    bytes: usize,
}

impl Queue {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.places.len() == 0
    }

    /// Keeps a request; gives it back when there is no room.
    pub(super) fn push(&mut self, request: RemoteRequest) -> Result<Key, Box<RemoteRequest>> {
        let bytes = self.bytes + request.payload.0.len();
        let is_full = match request.waits {
            true => self.places.len() >= PENDING_REQUESTS_MAX + WAITING_CALLS_MAX,
            false => self.places.len() >= PENDING_REQUESTS_MAX || bytes > PENDING_BYTES_MAX,
        };
        if is_full {
            return Err(Box::new(request));
        }
        self.bytes = bytes;
        self.so_far += 1;
        let number = self.so_far;
        Ok(self.places.insert(Held {
            request,
            timer: None,
            number,
        }))
    }

    /// Remembers the timer that limits a held request.
    pub(super) fn set_timer(&mut self, key: Key, timer: TimerKey) {
        if let Some(held) = self.places.get_mut(key) {
            held.timer = Some(timer);
        }
    }

    /// Takes one out whose timer has gone off.
    pub(super) fn remove(&mut self, key: Key) -> Option<RemoteRequest> {
        let held = self.places.remove(key)?;
        self.bytes -= held.request.payload.0.len();
        Some(held.request)
    }

    /// The nodes that requests wait for, each with the latest deadline of its requests.
    pub(super) fn nodes(&self) -> FxHashMap<Text, Millis> {
        let mut nodes = FxHashMap::default();
        for held in self.places.iter() {
            let until = held.request.deadline.unwrap_or(Millis::MAX);
            let latest: &mut Millis = nodes.entry(Text::clone(&held.request.node)).or_default();
            *latest = until.max(*latest);
        }
        nodes
    }

    /// Takes those out that satisfy `condition`, in the order in which they came, `count` at the most, each with
    /// its timer.
    pub(super) fn take_where(
        &mut self,
        count: usize,
        condition: impl Fn(&RemoteRequest) -> bool,
    ) -> Vec<(RemoteRequest, Option<TimerKey>)> {
        let mut numbers: Vec<u64> = self
            .places
            .iter()
            .filter(|held| condition(&held.request))
            .map(|held| held.number)
            .collect();
        let last = match numbers.len() <= count {
            true => u64::MAX,
            false if count == 0 => return Vec::new(),
            false => *numbers.select_nth_unstable(count - 1).1,
        };
        let mut taken = self
            .places
            .drain_where(|held| held.number <= last && condition(&held.request));
        taken.sort_unstable_by_key(|held| held.number);
        for held in &taken {
            self.bytes -= held.request.payload.0.len();
        }
        taken.into_iter().map(|held| (held.request, held.timer)).collect()
    }
}

/// The requests of one shard that wait, and how far they are on their way.
#[derive(Default)]
pub(in crate::cluster) struct Pending {
    pub(super) queue: RefCell<Queue>,
    /// The nodes whose requests are on their way, as fast as they may.
    pub(super) draining: RefCell<FxHashSet<Text>>,
    /// A timer will go on with that.
    pub(super) is_timed: Cell<bool>,
    /// How many steps there were.
    pub(super) steps: Cell<u32>,
    /// The nodes that requests wait for and that the log has named.
    pub(super) awaited: RefCell<FxHashSet<Text>>,
    /// Until when the first shard was asked to try to reach a node.
    attempts: RefCell<FxHashMap<Text, Millis>>,
}

impl Pending {
    /// Whether requests for that node wait for their turn.
    pub(in crate::cluster) fn is_draining(&self, node: &str) -> bool {
        let draining = self.draining.borrow();
        !draining.is_empty() && draining.contains(node)
    }

    /// Until when the first shard is to try to reach a node, `margin` longer than was asked; `None`: it was asked for
    /// as long already.
    pub(super) fn extend_attempt(&self, node: &Text, until: Millis, margin: Millis) -> Option<Millis> {
        let mut attempts = self.attempts.borrow_mut();
        if attempts.get(node).is_some_and(|asked| until <= *asked) {
            return None;
        }
        let until = until.saturating_add(margin);
        attempts.insert(Text::clone(node), until);
        Some(until)
    }

    /// The node was reached.
    pub(super) fn end_attempt(&self, node: &str) {
        self.attempts.borrow_mut().remove(node);
    }

    /// The map has changed: the first shard is asked anew.
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
        }
    }

    #[test]
    fn they_come_out_in_the_order_in_which_they_went_in_though_places_are_reused() {
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
    fn some_of_them_are_the_first_ones() {
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
