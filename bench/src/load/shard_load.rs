//! The state that the callers of one shard share: what they call, and the counts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::callee::Callee;
use crate::latency::{self, nanoseconds};

/// A caller whose call failed pauses this long, so that immediate errors do not become a busy loop.
pub(super) const ERROR_PAUSE: Duration = Duration::from_millis(1);

pub(super) struct ShardLoad<C> {
    callee: C,
    shard: usize,
    latencies: RefCell<Histogram<u64>>,
    errors: RefCell<BTreeMap<&'static str, u64>>,
    /// Calls answered so far; only this shard writes its entry of `progress`.
    calls: Cell<u64>,
    progress: Arc<[AtomicU64]>,
    over: Cell<bool>,
    /// Callers that have not ended.
    callers: Cell<usize>,
}

impl<C: Callee> ShardLoad<C> {
    /// The state of the shard with that index.
    pub(super) fn new(callee: C, shard: usize, progress: Arc<[AtomicU64]>) -> Rc<ShardLoad<C>> {
        Rc::new(ShardLoad {
            callee,
            shard,
            latencies: RefCell::new(latency::histogram()),
            errors: RefCell::default(),
            calls: Cell::new(0),
            progress,
            over: Cell::new(false),
            callers: Cell::new(0),
        })
    }

    pub(super) fn callee(&self) -> &C {
        &self.callee
    }

    /// Records that a call was answered.
    #[inline]
    pub(super) fn answered(&self) {
        let calls = self.calls.get() + 1;
        self.calls.set(calls);
        if let Some(count) = self.progress.get(self.shard) {
            count.store(calls, Ordering::Relaxed);
        }
    }

    /// Records the latency of a call.
    #[inline]
    pub(super) fn record_latency(&self, latency: Duration) {
        self.record_latencies(latency, 1);
    }

    /// Records the same latency for several calls.
    #[inline]
    pub(super) fn record_latencies(&self, latency: Duration, calls: u64) {
        let mut latencies = self.latencies.borrow_mut();
        latencies.saturating_record_n(nanoseconds(latency), calls);
    }

    /// Records a call that failed.
    pub(super) fn failed(&self, code: &'static str) {
        *self.errors.borrow_mut().entry(code).or_insert(0) += 1;
    }

    /// Resets the latencies and errors.
    pub(super) fn reset(&self) {
        self.latencies.borrow_mut().reset();
        self.errors.borrow_mut().clear();
    }

    /// The latencies and errors.
    pub(super) fn counted(&self) -> (Histogram<u64>, BTreeMap<&'static str, u64>) {
        (self.latencies.borrow().clone(), self.errors.borrow().clone())
    }

    /// Calls answered so far, counted or not.
    pub(super) fn calls(&self) -> u64 {
        self.calls.get()
    }

    /// Makes the callers begin no more calls.
    pub(super) fn end(&self) {
        self.over.set(true);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Whether every caller has ended.
    pub(super) fn is_done(&self) -> bool {
        self.callers.get() == 0
    }

    pub(super) fn caller_begins(&self) {
        self.callers.set(self.callers.get() + 1);
    }

    pub(super) fn caller_ends(&self) {
        self.callers.set(self.callers.get() - 1);
    }
}
