//! What a shard knows of tracing: which calls may have to be traced, the span that the running code belongs to, and the
//! traced posts that wait for their answers.
//!
//! Invariant: `current` is restored when the code that entered a span ends.

use std::cell::{Cell, RefCell};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::core::handle::Handle;
use crate::core::spans::SpanKey;
use crate::rt;

/// Slow calls that a node logs in a second; further ones are only counted.
pub const SLOW_CALLS_LOGGED_PER_SECOND_MAX: u32 = 10;

/// Traced posts of a shard that wait for their answers; one more is not traced.
const POSTED_MAX: usize = 4 * 1024;

/// A post that waits for its answer.
#[derive(Clone, Copy)]
struct Posted {
    /// The span of the call, if it is one.
    call: SpanKey,
    /// What the sender's code belongs to when the answer is there.
    resumed: SpanKey,
}

/// The state of tracing on a shard.
pub(crate) struct TraceState {
    /// The span that the running code belongs to.
    current: Cell<SpanKey>,
    /// One of so many calls that belong to no span is traced; 0 = none.
    every: u32,
    /// Calls until the next one that is traced.
    countdown: Cell<u32>,
    posted: RefCell<FxHashMap<(Handle, u32), Posted>>,
}

impl TraceState {
    pub(crate) fn new(every: u32) -> TraceState {
        TraceState {
            current: Cell::new(SpanKey::NONE),
            every,
            countdown: Cell::new(1),
            posted: RefCell::default(),
        }
    }

    /// Whether a call may have to be traced.
    #[inline(always)]
    pub(crate) fn is_active(&self) -> bool {
        self.current.get().is_some() || self.every != 0
    }

    /// The span that the running code belongs to.
    #[inline(always)]
    pub(crate) fn current(&self) -> SpanKey {
        self.current.get()
    }

    /// Whether a call that belongs to no span is traced.
    pub(super) fn is_chosen(&self) -> bool {
        if self.every == 0 {
            return false;
        }
        let left = self.countdown.get() - 1;
        self.countdown.set(if left == 0 { self.every } else { left });
        left == 0
    }

    /// Notes that the answer to a post belongs to the code that runs now; `call` is the span of the post, if it has one.
    pub(crate) fn note_posted(&self, sender: Handle, session: u32, call: SpanKey) {
        let mut posted = self.posted.borrow_mut();
        if posted.len() < POSTED_MAX {
            let resumed = self.current();
            posted.insert((sender, session), Posted { call, resumed });
        }
    }

    /// Whether any post of this shard is traced.
    #[inline]
    pub(crate) fn has_posted(&self) -> bool {
        !self.posted.borrow().is_empty()
    }

    /// Removes a post: returns its span, and the one that the sender's code belongs to.
    pub(super) fn take_posted(&self, sender: Handle, session: u32) -> Option<(SpanKey, SpanKey)> {
        let posted = self.posted.borrow_mut().remove(&(sender, session));
        posted.map(|Posted { call, resumed }| (call, resumed))
    }

    /// Forgets the posts of a service that has ended.
    pub(crate) fn forget_posted(&self, sender: Handle) {
        if self.has_posted() {
            self.posted
                .borrow_mut()
                .retain(|(handle, _), _| *handle != sender);
        }
    }

    /// Lets the code up to the end of the returned value belong to a span.
    pub(crate) fn enter(&self, span: SpanKey) -> EnteredSpan<'_> {
        EnteredSpan {
            current: &self.current,
            before: self.current.replace(span),
        }
    }
}

/// Restores the span that was current before, after a panic too.
pub(crate) struct EnteredSpan<'a> {
    current: &'a Cell<SpanKey>,
    before: SpanKey,
}

impl Drop for EnteredSpan<'_> {
    fn drop(&mut self) {
        self.current.set(self.before);
    }
}

/// Limits the log lines about slow calls of a node.
#[derive(Default)]
pub(crate) struct SlowCalls(Mutex<Option<(Instant, u32)>>);

impl SlowCalls {
    /// Whether another line may be logged now.
    pub(super) fn permits(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = rt::now();
        let (since, logged) = state.get_or_insert((now, 0));
        if now.saturating_duration_since(*since) >= Duration::from_secs(1) {
            (*since, *logged) = (now, 0);
        }
        *logged += 1;
        *logged <= SLOW_CALLS_LOGGED_PER_SECOND_MAX
    }
}
