//! The accepted messages that the peer has not acknowledged.
//!
//! A message is held by reference, so that it can be encoded again, in the dialect of the next connection: until
//! its first byte is transmitted, and in a session that can be resumed until the peer has acknowledged it. The
//! queue has three parts, from front to back: the first `begun` messages were transmitted, at least a byte of each;
//! those up to `encoded` are in the out-buffer; the others wait for a connection, or for the step of its release that
//! encodes them.
//!
//! Invariants: numbers grow from front to back, and so do the frames of the encoded messages; `cost` is the sum of
//! the costs of the messages that were not begun, and `retained_cost` of the others; the cost of a message is at
//! least its bytes in either dialect, and does not depend on the dialect.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::Millis;
use crate::skynet::{Address, PART_BYTES};

/// The cost of a message in addition to its payload and name, in bytes: its record here, or a header on the wire.
pub(super) const MESSAGE_BYTES_EXTRA: usize = 128;

/// The cost of each part of a long message in the skynet dialect, in bytes.
const PART_BYTES_EXTRA: usize = 8;

/// Records whose memory is retained after a burst.
const KEPT_RECORDS_MAX: usize = 8 * 1024;

/// The target of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Handle(u32),
    /// The number of a name that the message holds.
    Name(u32),
}

/// A message that the peer has not acknowledged.
#[derive(Debug)]
pub(super) struct Message {
    /// Its number among the accepted messages of the link.
    pub(super) number: u64,
    /// Its first position in the stream of the out-buffer, once it is encoded; it ends where the next one begins.
    pub(super) start: u64,
    /// Its number among the frames of the session, once it is encoded in the native dialect.
    pub(super) frame: u64,
    /// The session of a call; 0 for a send.
    pub(super) session: u32,
    /// The handle of the sender; 0 for none.
    pub(super) source: u32,
    /// The key that selects the shard of the callee.
    pub(super) key: u64,
    /// Its deadline; [`Millis::MAX`] for none.
    pub(super) deadline: Millis,
    pub(super) target: Target,
    /// It may be run more than once.
    pub(super) is_idempotent: bool,
    /// Its share of the limit on queued bytes; see [`cost`].
    pub(super) cost: usize,
    pub(super) payload: Bytes,
}

/// The share of a message of the limit on queued bytes.
#[inline]
pub(super) fn cost(address: &Address<'_>, payload_bytes: usize) -> usize {
    let name_bytes = match address {
        Address::Handle(_) => 0,
        Address::Name(name) => name.len(),
    };
    MESSAGE_BYTES_EXTRA + name_bytes + payload_bytes + payload_bytes / PART_BYTES * PART_BYTES_EXTRA
}

/// The messages of a link that the peer has not acknowledged. See the module documentation.
#[derive(Debug)]
pub(super) struct Queue {
    messages: VecDeque<Message>,
    begun: usize,
    encoded: usize,
    cost: usize,
    retained_cost: usize,
    next_number: u64,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            messages: VecDeque::new(),
            begun: 0,
            encoded: 0,
            cost: 0,
            retained_cost: 0,
            next_number: 0,
        }
    }

    /// The number for the next message.
    #[inline]
    pub(super) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// The number of the first message that was not begun: all before it were begun or dropped.
    #[inline]
    pub(super) fn first_number(&self) -> u64 {
        self.messages
            .get(self.begun)
            .map_or(self.next_number, |first| first.number)
    }

    /// The number of the first message that is not in the out-buffer.
    pub(super) fn first_waiting_number(&self) -> u64 {
        self.messages
            .get(self.encoded)
            .map_or(self.next_number, |first| first.number)
    }

    /// Appends a message with the next number; `is_encoded` when it is in the out-buffer.
    #[inline(always)]
    pub(super) fn push(&mut self, message: Message, is_encoded: bool) {
        debug_assert!(
            !is_encoded || self.encoded == self.messages.len(),
            "a message overtakes another"
        );
        self.next_number = message.number + 1;
        self.cost += message.cost;
        self.encoded += usize::from(is_encoded);
        self.messages.push_back(message);
    }

    /// The position of the first message that was not begun, if it is in the out-buffer.
    #[inline]
    pub(super) fn first_start(&self) -> Option<u64> {
        let first = self.messages.get(self.begun)?;
        (self.encoded > self.begun).then_some(first.start)
    }

    /// The socket has taken all bytes before `transmitted`: passes the messages that were begun to `forget` and
    /// drops them.
    #[inline]
    pub(super) fn forget_begun(&mut self, transmitted: u64, mut forget: impl FnMut(&Message)) {
        while self.first_start().is_some_and(|start| start < transmitted) {
            if let Some(message) = self.messages.pop_front() {
                forget(&message);
                self.cost -= message.cost;
            }
            self.encoded -= 1;
        }
        if self.messages.is_empty() {
            self.messages.shrink_to(KEPT_RECORDS_MAX);
        }
    }

    /// The socket has taken all bytes: every message was begun, and is retained until it is acknowledged. False
    /// when some messages are not encoded; then [`Queue::retain_begun`] must find the begun ones.
    #[inline]
    pub(super) fn retain_all(&mut self) -> bool {
        if self.encoded < self.messages.len() {
            return false;
        }
        self.retained_cost += std::mem::take(&mut self.cost);
        self.begun = self.encoded;
        true
    }

    /// The socket has taken all bytes before `transmitted`: the messages that were begun are retained until they
    /// are acknowledged.
    #[inline]
    pub(super) fn retain_begun(&mut self, transmitted: u64) {
        while self.encoded > self.begun
            && let Some(message) = self.messages.get(self.begun)
            && message.start < transmitted
        {
            self.cost -= message.cost;
            self.retained_cost += message.cost;
            self.begun += 1;
        }
    }

    /// The peer has received all frames below `received`: passes the begun messages among them to `take`.
    #[inline]
    pub(super) fn acknowledge(&mut self, received: u64, mut take: impl FnMut(Message)) {
        while self.begun > 0 && self.messages.front().is_some_and(|first| first.frame < received) {
            if let Some(message) = self.messages.pop_front() {
                self.retained_cost -= message.cost;
                take(message);
            }
            self.begun -= 1;
            self.encoded -= 1;
        }
        if self.messages.is_empty() {
            self.messages.shrink_to(KEPT_RECORDS_MAX);
        }
    }

    /// Removes the messages that were begun.
    pub(super) fn take_begun(&mut self) -> Vec<Message> {
        self.encoded -= self.begun;
        self.retained_cost = 0;
        self.messages.drain(..std::mem::take(&mut self.begun)).collect()
    }

    /// Inserts messages in front of all others. The out-buffer must hold no message.
    pub(super) fn put_back(&mut self, messages: impl DoubleEndedIterator<Item = Message>) {
        debug_assert_eq!(self.encoded, 0, "a message overtakes another");
        for message in messages.rev() {
            self.cost += message.cost;
            self.messages.push_front(message);
        }
    }

    /// The out-buffer was cleared: all messages that were not begun wait for a connection. Those for which
    /// `is_wanted` is false are dropped.
    pub(super) fn wait(&mut self, mut is_wanted: impl FnMut(&Message) -> bool) {
        self.encoded = self.begun;
        let (mut index, begun) = (0, self.begun);
        let (mut cost, messages) = (0, &mut self.messages);
        messages.retain(|message| {
            index += 1;
            let is_kept = index <= begun || is_wanted(message);
            if is_kept && index > begun {
                cost += message.cost;
            }
            is_kept
        });
        self.cost = cost;
    }

    /// Whether a message waits for a connection, or for its turn on this one.
    #[inline(always)]
    pub(super) fn has_waiting(&self) -> bool {
        self.encoded < self.messages.len()
    }

    /// Passes the first waiting messages to `encode`, which returns whether it is in the out-buffer now; the others are
    /// dropped. Ends after `count` that are, or with the one that brings their cost to `cost_max`.
    pub(super) fn encode_waiting(
        &mut self,
        count: usize,
        cost_max: usize,
        mut encode: impl FnMut(&mut Message) -> bool,
    ) {
        let first = self.encoded;
        let (mut next, mut cost) = (first, 0);
        while self.encoded - first < count
            && cost < cost_max
            && let Some(message) = self.messages.get_mut(next)
        {
            let own_cost = message.cost;
            if encode(message) {
                cost += own_cost;
                self.messages.swap(self.encoded, next);
                self.encoded += 1;
            } else {
                self.cost -= own_cost;
            }
            next += 1;
        }
        self.messages.drain(self.encoded..next);
    }

    /// Drops all messages, after passing them to `forget`.
    pub(super) fn clear(&mut self, forget: impl FnMut(&Message)) {
        self.messages.iter().for_each(forget);
        self.messages = VecDeque::new();
        (self.begun, self.encoded) = (0, 0);
        (self.cost, self.retained_cost) = (0, 0);
    }

    /// How many messages were not begun.
    pub(super) fn len(&self) -> usize {
        self.messages.len() - self.begun
    }

    /// The cost of the messages that were not begun.
    #[inline]
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// The cost of the messages that were begun and are retained.
    #[inline]
    pub(super) fn retained_cost(&self) -> usize {
        self.retained_cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::HEADER_BYTES;
    use crate::skynet::request_bytes;

    fn message(number: u64, start: u64, payload_bytes: usize) -> Message {
        Message {
            number,
            start,
            session: 0,
            source: 0,
            key: 0,
            deadline: Millis::MAX,
            target: Target::Handle(7),
            frame: number,
            is_idempotent: false,
            cost: MESSAGE_BYTES_EXTRA + payload_bytes,
            payload: vec![0; payload_bytes].into(),
        }
    }

    #[test]
    fn a_record_is_no_larger_than_its_cost() {
        assert!(size_of::<Message>() <= MESSAGE_BYTES_EXTRA);
    }

    #[test]
    fn a_message_costs_at_least_what_either_dialect_writes_for_it() {
        let name = [b'n'; 255];
        for address in [Address::Handle(1), Address::Name(b"@"), Address::Name(&name)] {
            let name_bytes = match address {
                Address::Handle(_) => 0,
                Address::Name(name) => name.len(),
            };
            for payload_bytes in [0, 1, 32_767, 32_768, 65_535, 65_536, 1_000_000, 16 << 20] {
                let cost = cost(&address, payload_bytes);
                let skynet = request_bytes(&address, payload_bytes).expect("it can be encoded");
                let native = HEADER_BYTES + name_bytes + HEADER_BYTES + payload_bytes;
                assert!(
                    cost >= skynet && cost >= native,
                    "{payload_bytes} bytes to {address:?}"
                );
            }
        }
    }

    #[test]
    fn messages_are_begun_by_their_first_byte() {
        let mut queue = Queue::new();
        for (number, start) in [(0, 100), (1, 150), (2, 200)] {
            queue.push(message(number, start, 10), true);
        }
        queue.push(message(3, 0, 10), false);
        let mut begun = Vec::new();
        let one = MESSAGE_BYTES_EXTRA + 10;
        for (transmitted, first, cost) in [(100, 0, 4), (101, 1, 3), (150, 1, 3), (199, 2, 2), (201, 3, 1)] {
            queue.forget_begun(transmitted, |message| begun.push(message.number));
            assert_eq!((queue.first_number(), queue.cost()), (first, cost * one));
        }
        assert_eq!(queue.first_start(), None, "the last one is not encoded");
        queue.forget_begun(u64::MAX, |_| ());
        assert_eq!((queue.len(), begun), (1, vec![0, 1, 2]));
    }

    #[test]
    fn begun_messages_are_retained_until_they_are_acknowledged() {
        let mut queue = Queue::new();
        for (number, start) in [(0, 100), (1, 150), (2, 200)] {
            queue.push(message(number, start, 10), true);
        }
        queue.push(message(3, 0, 10), false);
        let one = MESSAGE_BYTES_EXTRA + 10;
        queue.retain_begun(151);
        assert_eq!((queue.first_number(), queue.first_start()), (2, Some(200)));
        assert_eq!(
            (queue.cost(), queue.retained_cost(), queue.len()),
            (2 * one, 2 * one, 2)
        );
        let mut taken = Vec::new();
        queue.acknowledge(1, |message| taken.push(message.number));
        // The frame with number 2 was not begun, so the peer cannot have it.
        queue.retain_begun(200);
        queue.acknowledge(3, |message| taken.push(message.number));
        assert_eq!(
            (taken, queue.retained_cost(), queue.cost()),
            (vec![0, 1], 0, 2 * one)
        );
        assert!(!queue.retain_all(), "one waits for a connection");
        queue.retain_begun(201);
        queue.wait(|_| false);
        assert_eq!((queue.len(), queue.retained_cost(), queue.cost()), (0, one, 0));
        let begun = queue.take_begun();
        assert_eq!(
            (begun.len(), queue.retained_cost(), queue.first_number()),
            (1, 0, 4)
        );
        queue.put_back(begun.into_iter());
        assert_eq!((queue.len(), queue.cost(), queue.first_number()), (1, one, 2));
        queue.encode_waiting(usize::MAX, usize::MAX, |_| true);
        assert!(queue.retain_all());
        assert_eq!((queue.len(), queue.cost(), queue.retained_cost()), (0, 0, one));
    }

    #[test]
    fn a_step_encodes_the_first_waiting_messages_up_to_its_bounds() {
        let mut queue = Queue::new();
        for number in 0..10 {
            queue.push(message(number, 0, 0), false);
        }
        let mut seen = Vec::new();
        let mut step = |queue: &mut Queue, count, cost_max| {
            queue.encode_waiting(count, cost_max, |message| {
                seen.push(message.number);
                message.start = message.number * 10;
                message.number % 4 != 1
            });
            (
                queue.len(),
                queue.cost() / MESSAGE_BYTES_EXTRA,
                queue.has_waiting(),
            )
        };
        assert_eq!(
            step(&mut queue, 2, usize::MAX),
            (9, 9, true),
            "0 and 2; 1 is dropped"
        );
        queue.forget_begun(1, |_| ());
        assert_eq!(
            step(&mut queue, 9, 2 * MESSAGE_BYTES_EXTRA),
            (8, 8, true),
            "3 and 4"
        );
        queue.push(message(10, 0, 0), false);
        assert_eq!(step(&mut queue, 9, usize::MAX), (7, 7, false));
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        let mut begun = Vec::new();
        queue.forget_begun(u64::MAX, |message| begun.push(message.number));
        assert_eq!((begun, queue.cost()), (vec![2, 3, 4, 6, 7, 8, 10], 0));
    }

    #[test]
    fn waiting_messages_are_encoded_in_order_or_dropped() {
        let mut queue = Queue::new();
        for number in 0..4 {
            queue.push(message(number, 0, number as usize), number < 2);
        }
        queue.wait(|message| message.number != 1);
        assert_eq!((queue.len(), queue.first_start()), (3, None));
        let mut seen = Vec::new();
        queue.encode_waiting(usize::MAX, usize::MAX, |message| {
            seen.push(message.number);
            message.start = message.number * 10;
            message.number != 2
        });
        assert_eq!(seen, [0, 2, 3]);
        assert_eq!((queue.len(), queue.first_start()), (2, Some(0)));
        assert_eq!(queue.cost(), 2 * MESSAGE_BYTES_EXTRA + 3);
        queue.forget_begun(1, |_| ());
        assert_eq!((queue.first_number(), queue.next_number()), (3, 4));
    }
}
