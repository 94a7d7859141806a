//! The finished spans of a node that wait to be exported.
//!
//! Invariants: a shard never waits for the export; what finds the queue full is dropped, and its caller counts it.

use crossbeam::queue::ArrayQueue;

use crate::core::spans::Span;

/// Finished spans of a node that wait to be exported; further ones are dropped.
pub const SPANS_QUEUED_MAX: usize = 8 * 1024;

/// A span, and the shard on which it finished.
#[cfg_attr(
    not(feature = "otlp"),
    expect(dead_code, reason = "only the export reads them")
)]
pub(crate) struct FinishedSpan {
    pub(crate) span: Span,
    /// `None`: on the control thread.
    pub(crate) shard: Option<usize>,
}

/// The queue from the shards to the export.
pub(crate) struct FinishedSpans(ArrayQueue<FinishedSpan>);

impl Default for FinishedSpans {
    fn default() -> FinishedSpans {
        FinishedSpans(ArrayQueue::new(SPANS_QUEUED_MAX))
    }
}

impl FinishedSpans {
    /// Adds a span; false if there is no space.
    pub(crate) fn push(&self, finished: FinishedSpan) -> bool {
        self.0.push(finished).is_ok()
    }

    /// Removes the oldest spans, at most so many.
    #[cfg(feature = "otlp")]
    pub(crate) fn take(&self, spans_max: usize) -> Vec<FinishedSpan> {
        std::iter::from_fn(|| self.0.pop()).take(spans_max).collect()
    }
}
