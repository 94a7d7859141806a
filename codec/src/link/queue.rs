//! The messages that were accepted and that the peer is not known to have.
//!
//! A message is kept by reference, so that it can be written anew, in whatever dialect the next connection
//! speaks: until its first byte is transmitted, and in a session that can be resumed until the peer has
//! acknowledged it. The queue has three parts, from front to back: the first `begun` were transmitted, at
//! least a byte of each; up to `encoded` they lie in the out-buffer; the others wait for a connection.
//!
//! Invariants: numbers grow from front to back, and so do frames among those that were encoded; `cost` is the
//! sum of what the messages cost that were not begun and `retained_cost` of the others; what a message costs is at
//! least what either dialect writes for it, and does not depend on which one does.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::Millis;
use crate::skynet::{Address, PART_BYTES};

/// What a message costs beside its payload and name, in bytes: its record here, or a header on the wire.
pub(super) const MESSAGE_BYTES_EXTRA: usize = 128;

/// What each part of a long message costs in the skynet dialect, in bytes.
const PART_BYTES_EXTRA: usize = 8;

/// Records that are kept room for once a burst is over.
const KEPT_RECORDS_MAX: usize = 8 * 1024;

/// Whom a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Handle(u32),
    /// The number of a name that the message holds.
    Name(u32),
}

/// A message that the peer is not known to have.
#[derive(Debug)]
pub(super) struct Message {
    /// Counts the accepted messages of the link.
    pub(super) number: u64,
    /// Where in the out-buffer's stream it begins, once it is there; it ends where the next begins.
    pub(super) start: u64,
    /// Its number among the frames of the session, once it is in the out-buffer in the native dialect.
    pub(super) frame: u64,
    /// The session of a call; 0 for a send.
    pub(super) session: u32,
    /// The handle of who sends it; 0 for none.
    pub(super) source: u32,
    /// What decides on the callee's shard.
    pub(super) key: u64,
    /// When nobody waits for it any more; [`Millis::MAX`] for never.
    pub(super) deadline: Millis,
    pub(super) target: Target,
    /// It may be run more than once.
    pub(super) is_idempotent: bool,
    /// What it counts for of the bound on waiting bytes; see [`cost`].
    pub(super) cost: usize,
    pub(super) payload: Bytes,
}

/// What a message costs of the bound on waiting bytes.
#[inline]
pub(super) fn cost(address: &Address<'_>, payload_bytes: usize) -> usize {
    let name_bytes = match address {
        Address::Handle(_) => 0,
        Address::Name(name) => name.len(),
    };
    MESSAGE_BYTES_EXTRA + name_bytes + payload_bytes + payload_bytes / PART_BYTES * PART_BYTES_EXTRA
}

/// The messages of a link that the peer is not known to have. See the module's page.
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

    /// The number of the first message that was not begun: all before it were, or are gone.
    #[inline]
    pub(super) fn first_number(&self) -> u64 {
        self.messages
            .get(self.begun)
            .map_or(self.next_number, |first| first.number)
    }

    /// The number of the first message that does not lie in the out-buffer.
    pub(super) fn first_waiting_number(&self) -> u64 {
        self.messages
            .get(self.encoded)
            .map_or(self.next_number, |first| first.number)
    }

    /// Adds a message that has the next number; `is_encoded` when it lies in the out-buffer.
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

    /// Where the first message begins that was not begun, if it lies in the out-buffer.
    #[inline]
    pub(super) fn first_start(&self) -> Option<u64> {
        let first = self.messages.get(self.begun)?;
        (self.encoded > self.begun).then_some(first.start)
    }

    /// The socket has taken all bytes before `transmitted`: passes the messages that were begun to `forget`,
    /// and forgets them.
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

    /// The socket has taken all bytes: every message was begun, and is kept until it is acknowledged. False when some
    /// wait, and one has to look which.
    #[inline]
    pub(super) fn retain_all(&mut self) -> bool {
        if self.encoded < self.messages.len() {
            return false;
        }
        self.retained_cost += std::mem::take(&mut self.cost);
        self.begun = self.encoded;
        true
    }

    /// The socket has taken all bytes before `transmitted`: the messages that were begun are kept until they
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

    /// The peer has all frames below `received`: passes the messages that were begun and are among them to
    /// `take`.
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

    /// Takes those out that were begun.
    pub(super) fn take_begun(&mut self) -> Vec<Message> {
        self.encoded -= self.begun;
        self.retained_cost = 0;
        self.messages.drain(..std::mem::take(&mut self.begun)).collect()
    }

    /// Puts messages in front of all others, to be written before them. Nothing lies in the out-buffer.
    pub(super) fn put_back(&mut self, messages: impl DoubleEndedIterator<Item = Message>) {
        debug_assert_eq!(self.encoded, 0, "a message overtakes another");
        for message in messages.rev() {
            self.cost += message.cost;
            self.messages.push_front(message);
        }
    }

    /// The out-buffer is gone: all messages wait that were not begun. Those that `is_wanted` denies are dropped.
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

    /// Passes every waiting message to `encode`, which says whether it lies in the out-buffer now; those
    /// that do not are dropped.
    pub(super) fn encode_waiting(&mut self, mut encode: impl FnMut(&mut Message) -> bool) {
        debug_assert_eq!(self.encoded, 0, "the out-buffer begins with what waits");
        debug_assert_eq!(self.begun, 0, "what was begun was settled before");
        self.messages.retain_mut(&mut encode);
        self.encoded = self.messages.len();
        self.cost = self.messages.iter().map(|message| message.cost).sum();
    }

    /// Drops all messages, after passing them to `forget`.
    pub(super) fn clear(&mut self, forget: impl FnMut(&Message)) {
        self.messages.iter().for_each(forget);
        self.messages = VecDeque::new();
        (self.begun, self.encoded) = (0, 0);
        (self.cost, self.retained_cost) = (0, 0);
    }

    /// How many messages there are that were not begun.
    pub(super) fn len(&self) -> usize {
        self.messages.len() - self.begun
    }

    /// What those cost together that were not begun.
    #[inline]
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// What those cost together that were begun and are kept.
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
    fn a_record_is_no_larger_than_what_it_is_counted_for() {
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
                let skynet = request_bytes(&address, payload_bytes).expect("it can be said");
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
        assert_eq!(queue.first_start(), None, "the last one only waits");
        queue.forget_begun(u64::MAX, |_| ());
        assert_eq!((queue.len(), begun), (1, vec![0, 1, 2]));
    }

    #[test]
    fn messages_that_were_begun_are_kept_until_they_are_acknowledged() {
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
        // The frame with number 2 was not begun: nobody can have it.
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
        queue.encode_waiting(|_| true);
        assert!(queue.retain_all());
        assert_eq!((queue.len(), queue.cost(), queue.retained_cost()), (0, 0, one));
    }

    #[test]
    fn what_waits_is_encoded_in_order_or_dropped() {
        let mut queue = Queue::new();
        for number in 0..4 {
            queue.push(message(number, 0, number as usize), number < 2);
        }
        queue.wait(|message| message.number != 1);
        assert_eq!((queue.len(), queue.first_start()), (3, None));
        let mut seen = Vec::new();
        queue.encode_waiting(|message| {
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
