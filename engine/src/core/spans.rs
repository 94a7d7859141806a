//! The spans of a node: what is known of its traced calls, at the caller's end and at the callee's.
//!
//! A traced call has a span at its caller and one for each service that handles it, each with the times of its stages.
//! The node keeps the last [`SPANS_MAX`], whether they have ended or not, so a request that is dropped on its way leaves
//! nothing behind. A [`SpanKey`] is a number that fits into a request; once its span is overwritten it has no effect.
//!
//! Only traced messages come here, so a lock is cheap enough.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use smol_str::SmolStr;

use crate::core::trace_tag::TraceTag;
use crate::error::Text;
use crate::rt;

/// The spans that a node keeps.
pub const SPANS_MAX: usize = 8 * 1024;

/// Identifies a span of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SpanKey(u32);

impl SpanKey {
    /// No span: the message is not traced.
    pub(crate) const NONE: SpanKey = SpanKey(0);

    /// Of a call that is to be traced and has not begun. Keys of spans come to it once in 2^32.
    pub(crate) const ASKED_FOR: SpanKey = SpanKey(u32::MAX);

    #[inline]
    pub(crate) fn is_some(self) -> bool {
        self.0 != 0
    }

    /// The number for a link.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    /// The key of a number that a link returns.
    pub(crate) fn from_number(number: u32) -> SpanKey {
        SpanKey(number)
    }
}

/// The end of a call that a span is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanEnd {
    /// The caller's: from the call to its answer.
    Caller,
    /// The callee's: from the arrival of the request to the answer of its handler.
    Callee,
}

/// One end of a traced call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace: u128,
    /// Its own number, unique in the trace.
    pub id: u64,
    /// The number of the span that caused it; 0 for the first of a trace.
    pub parent: u64,
    /// Which end of the call it is.
    pub end: SpanEnd,
    /// The other node, of a call to another one; empty on the same node, and at the callee's end.
    pub node: Text,
    /// The address of the service, as it was called; at the callee's end its handle.
    pub service: SmolStr,
    /// The first value of the message, if it is a text: a method by the custom of Skynet. At most 64 bytes.
    pub method: SmolStr,
    /// When it began, since the Unix epoch.
    pub begun: Duration,
    /// At the caller's end, when its request was in the out-buffer of the channel, after it had begun. On the same node it is
    /// not set.
    pub sent: Option<Duration>,
    /// At the callee's end, when the handler was started, after the request had arrived.
    pub started: Option<Duration>,
    /// When the answer arrived, or was given; not set while the call runs, and never for a request that was lost.
    pub finished: Option<Duration>,
    /// The [code](crate::Error::code) of its error, if it has failed; `dropped` for a call whose caller no longer waits.
    pub error: Option<SmolStr>,
}

struct Slot {
    key: u32,
    /// The span of this node that caused it.
    parent: SpanKey,
    began: Instant,
    span: Span,
}

#[derive(Default)]
struct Ring {
    /// The slot of a key is `(key - 1) % SPANS_MAX`.
    slots: Vec<Slot>,
    last: u32,
}

/// The index of the slot of a key. Keys begin at 1 and follow each other, so the slots fill in order.
fn index_of(key: u32) -> usize {
    key.wrapping_sub(1) as usize % SPANS_MAX
}

/// A span that begins.
pub(crate) struct NewSpan {
    pub(crate) tag: TraceTag,
    pub(crate) parent: SpanKey,
    pub(crate) id: u64,
    pub(crate) end: SpanEnd,
    pub(crate) node: Text,
    pub(crate) service: SmolStr,
    pub(crate) method: SmolStr,
    /// It began so long ago.
    pub(crate) age: Duration,
}

/// The spans of a node.
#[derive(Default)]
pub(crate) struct Spans(Mutex<Ring>);

impl Spans {
    fn lock(&self) -> MutexGuard<'_, Ring> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a span.
    pub(crate) fn begin(&self, new: NewSpan) -> SpanKey {
        let unix = rt::wall_clock().duration_since(SystemTime::UNIX_EPOCH);
        let now = rt::now();
        let span = Span {
            trace: new.tag.trace,
            id: new.id,
            parent: new.tag.parent,
            end: new.end,
            node: new.node,
            service: new.service,
            method: new.method,
            begun: unix.unwrap_or_default().saturating_sub(new.age),
            sent: None,
            started: None,
            finished: None,
            error: None,
        };
        let mut ring = self.lock();
        ring.last = ring.last.checked_add(1).unwrap_or(1);
        let key = ring.last;
        let slot = Slot {
            key,
            parent: new.parent,
            began: now.checked_sub(new.age).unwrap_or(now),
            span,
        };
        match ring.slots.get_mut(index_of(key)) {
            Some(oldest) => *oldest = slot,
            None => ring.slots.push(slot),
        }
        SpanKey(key)
    }

    /// Reads or changes a span, if it is still kept. `change` gets the time since it began, and its parent of this node.
    pub(crate) fn with<T>(
        &self,
        key: SpanKey,
        change: impl FnOnce(&mut Span, Duration, SpanKey) -> T,
    ) -> Option<T> {
        let mut ring = self.lock();
        let slot = ring.slots.get_mut(index_of(key.0));
        let slot = slot.filter(|slot| slot.key == key.0)?;
        let elapsed = rt::now().saturating_duration_since(slot.began);
        Some(change(&mut slot.span, elapsed, slot.parent))
    }

    /// Copies of the spans that `is_wanted`, oldest first.
    pub(crate) fn copies(&self, is_wanted: impl Fn(&Span) -> bool) -> Vec<Span> {
        let ring = self.lock();
        let wanted = ring.slots.iter().filter(|slot| is_wanted(&slot.span));
        let mut spans: Vec<Span> = wanted.map(|slot| slot.span.clone()).collect();
        drop(ring);
        spans.sort_by_key(|span| span.begun);
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(spans: &Spans, trace: u128) -> SpanKey {
        spans.begin(NewSpan {
            tag: TraceTag { trace, parent: 0 },
            parent: SpanKey::NONE,
            id: 1,
            end: SpanEnd::Caller,
            node: "".into(),
            service: ".echo".into(),
            method: "".into(),
            age: Duration::ZERO,
        })
    }

    #[test]
    fn the_last_spans_are_kept_and_older_ones_have_no_effect() {
        let spans = Spans::default();
        let first = begin(&spans, 1);
        let second = begin(&spans, 2);
        for trace in 3..=SPANS_MAX as u128 + 1 {
            begin(&spans, trace);
        }
        assert_eq!(spans.with(first, |_, _, _| ()), None, "overwritten");
        assert_eq!(spans.with(second, |span, _, _| span.trace), Some(2));
        assert_eq!(spans.with(SpanKey::NONE, |_, _, _| ()), None);
        assert_eq!(spans.copies(|_| true).len(), SPANS_MAX);
        assert_eq!(spans.copies(|span| span.trace == 5).len(), 1);
    }

    #[test]
    fn keys_that_wrap_around_never_are_none() {
        let spans = Spans::default();
        begin(&spans, 1);
        spans.lock().last = u32::MAX;
        let wrapped = begin(&spans, 2);
        assert!(wrapped.is_some());
        assert_eq!(spans.with(wrapped, |span, _, _| span.trace), Some(2));
    }
}
