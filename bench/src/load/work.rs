//! What the callers of one shard share: whom they call, and what is counted of it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use skyring::{Address, Call, Caller, Error, NodeRef, Payload};

use super::Load;
use crate::report;

pub(super) struct Work {
    node: NodeRef,
    address: Address,
    payload: Payload,
    keys: u64,
    shard: usize,
    shards: usize,
    latencies: RefCell<Histogram<u64>>,
    errors: RefCell<BTreeMap<&'static str, u64>>,
    /// Calls answered so far; only this shard writes its place in `progress`.
    calls: Cell<u64>,
    progress: Arc<[AtomicU64]>,
    over: Cell<bool>,
    /// Callers that have not ended.
    callers: Cell<usize>,
}

impl Work {
    pub(super) fn new(caller: &Caller, load: &Load, progress: Arc<[AtomicU64]>) -> Rc<Work> {
        Rc::new(Work {
            node: caller.node(load.node.as_str()),
            address: load.address.clone(),
            payload: load.payload.clone(),
            keys: load.keys as u64,
            shard: caller.shard_index(),
            shards: caller.shards(),
            latencies: RefCell::new(report::histogram()),
            errors: RefCell::default(),
            calls: Cell::new(0),
            progress,
            over: Cell::new(false),
            callers: Cell::new(0),
        })
    }

    /// The node by the key of this shard's caller, or call, with that number. Neighbours in number go to
    /// neighbours in channel, over all shards: with as many channels as shards a caller's channel is its shard's.
    pub(super) fn node(&self, number: u64) -> NodeRef {
        let everywhere = number * self.shards as u64 + self.shard as u64;
        match everywhere.checked_rem(self.keys) {
            Some(key) => self.node.clone().key(key),
            None => self.node.clone(),
        }
    }

    /// One call, which begins when it is awaited.
    #[inline(always)]
    pub(super) fn call(&self, node: &NodeRef) -> Call {
        node.call_payload(self.address.clone(), Ok(self.payload.clone()))
    }

    /// A call was answered.
    #[inline]
    pub(super) fn answered(&self) {
        let calls = self.calls.get() + 1;
        self.calls.set(calls);
        if let Some(count) = self.progress.get(self.shard) {
            count.store(calls, Ordering::Relaxed);
        }
    }

    /// It took so long, which counts.
    #[inline]
    pub(super) fn took(&self, latency: Duration) {
        self.took_each(latency, 1);
    }

    /// So many took so long.
    #[inline]
    pub(super) fn took_each(&self, latency: Duration, calls: u64) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        let mut latencies = self.latencies.borrow_mut();
        latencies.saturating_record_n(nanoseconds, calls);
    }

    /// A call failed, which counts.
    pub(super) fn failed(&self, error: &Error) {
        *self.errors.borrow_mut().entry(error.code()).or_insert(0) += 1;
    }

    /// Forgets what was counted.
    pub(super) fn forget(&self) {
        self.latencies.borrow_mut().reset();
        self.errors.borrow_mut().clear();
    }

    /// What was counted.
    pub(super) fn counted(&self) -> (Histogram<u64>, BTreeMap<&'static str, u64>) {
        (self.latencies.borrow().clone(), self.errors.borrow().clone())
    }

    /// Calls answered so far, counted or not.
    pub(super) fn calls(&self) -> u64 {
        self.calls.get()
    }

    /// No caller is to begin another call.
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
