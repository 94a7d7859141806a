//! Trace tags at the dialler's end: each is transmitted in front of its message, once.
//!
//! Tags are kept beside the queue, because few messages have one. A message that is transmitted again on a later
//! connection is transmitted without its tag. A peer of the native dialect that does not take tags gets none.
//!
//! Invariant: `waiting` is in the order of the messages, and so is what is encoded.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{CallerLink, CallerRequest};
use crate::Millis;
use crate::link::queue::MESSAGE_BYTES_EXTRA;
use crate::link::{Dialect, LinkError};
use crate::native::{FrameKind, HEADER_BYTES, Header, put_frame};
use crate::skynet::encode_trace;

/// The longest tag that is transmitted, in bytes: beside the headers of its message and of a name it fits the share that a
/// message has of the out-buffer.
pub const TRACE_SENT_BYTES_MAX: usize = MESSAGE_BYTES_EXTRA - 3 * HEADER_BYTES;

/// Tags whose messages wait for a connection; one more is dropped, and its message is not.
pub const TRACES_WAITING_MAX: usize = 1024;

/// The tag of a message that is not encoded yet.
#[derive(Debug)]
struct Tag {
    /// The number of the message.
    message: u64,
    text: Bytes,
    /// What the caller knows it by.
    id: u32,
}

/// The tags of a link.
#[derive(Debug, Default)]
pub(super) struct Traces {
    waiting: VecDeque<Tag>,
    /// The messages with these tags are in the out-buffer.
    sent: VecDeque<u32>,
    /// The peer of the native dialect takes tags.
    pub(super) is_taken: bool,
}

impl Traces {
    /// Whether no message waits for its tag.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Forgets the tags of messages that were dropped.
    pub(super) fn clear(&mut self) {
        self.waiting = VecDeque::new();
        self.sent = VecDeque::new();
    }

    /// The tag of this message, which is encoded next. Those of earlier ones, which were dropped, are forgotten.
    fn take(&mut self, message: u64) -> Option<Tag> {
        while self.waiting.front().is_some_and(|first| first.message < message) {
            self.waiting.pop_front();
        }
        let is_first = self.waiting.front().is_some_and(|first| first.message == message);
        if is_first { self.waiting.pop_front() } else { None }
    }
}

impl CallerLink {
    /// Like [`request`](CallerLink::request), with a trace tag of at most [`TRACE_SENT_BYTES_MAX`] bytes, which the peer
    /// gets with the message; a longer one is dropped. [`next_trace_sent`](CallerLink::next_trace_sent) tells when the
    /// message of the tag with this `id` is in the out-buffer.
    ///
    /// # Errors
    /// [`LinkError`]; nothing was queued and there will be no event.
    pub fn request_traced(
        &mut self,
        now: Millis,
        request: CallerRequest<'_>,
        tag: Bytes,
        id: u32,
    ) -> Result<(), LinkError> {
        let message = self.queue.next_number();
        let is_kept = tag.len() <= TRACE_SENT_BYTES_MAX && self.traces.waiting.len() < TRACES_WAITING_MAX;
        if is_kept {
            let text = tag;
            self.traces.waiting.push_back(Tag { message, text, id });
        }
        let accepted = self.request(now, request);
        if accepted.is_err() && is_kept {
            self.traces.waiting.pop_back();
        }
        accepted
    }

    /// The next tag whose message has come into the out-buffer.
    pub fn next_trace_sent(&mut self) -> Option<u32> {
        self.traces.sent.pop_front()
    }

    /// Encodes the tag of a message in front of it, if it has one.
    #[cold]
    pub(super) fn encode_trace(&mut self, dialect: Dialect, message: u64) {
        let Some(Tag { text, id, .. }) = self.traces.take(message) else {
            return;
        };
        if self.traces.sent.len() < TRACES_WAITING_MAX {
            self.traces.sent.push_back(id);
        }
        match dialect {
            Dialect::Skynet => {
                let written = encode_trace(&mut self.out, &text);
                debug_assert_eq!(written, Ok(()), "the length was checked");
            }
            Dialect::Native if self.traces.is_taken => {
                put_frame(&mut self.out, Header::new(FrameKind::Trace), &text);
            }
            Dialect::Native => {}
        }
    }
}
