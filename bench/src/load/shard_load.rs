//! The state that the callers of one shard share: the called service, and the counts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use skyring::{Address, Call, Caller, Error, NodeRef, Payload};

use super::settings::Load;
use crate::latency::{self, nanoseconds};

/// A caller whose call failed pauses this long, so that immediate errors do not become a busy loop.
pub(super) const ERROR_PAUSE: Duration = Duration::from_millis(1);

pub(super) struct ShardLoad {
    node: NodeRef,
    address: Address,
    payload: Payload,
    keys: u64,
    shard: usize,
    shards: usize,
    latencies: RefCell<Histogram<u64>>,
    errors: RefCell<BTreeMap<&'static str, u64>>,
    /// Calls answered so far; only this shard writes its entry of `progress`.
    calls: Cell<u64>,
    progress: Arc<[AtomicU64]>,
    over: Cell<bool>,
    /// Callers that have not ended.
    callers: Cell<usize>,
}

impl ShardLoad {
    pub(super) fn new(caller: &Caller, load: &Load, progress: Arc<[AtomicU64]>) -> Rc<ShardLoad> {
        Rc::new(ShardLoad {
            node: caller.node(load.node.as_str()),
            address: load.address.clone(),
            payload: load.payload.clone(),
            keys: load.keys as u64,
            shard: caller.shard_index(),
            shards: caller.shards(),
            latencies: RefCell::new(latency::histogram()),
            errors: RefCell::default(),
            calls: Cell::new(0),
            progress,
            over: Cell::new(false),
            callers: Cell::new(0),
        })
    }

    /// The node by the key of this shard's caller, or call, with that number. Consecutive numbers go to consecutive
    /// channels, over all shards: with as many channels as shards a caller's channel is that of its shard.
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
    pub(super) fn failed(&self, error: &Error) {
        *self.errors.borrow_mut().entry(error.code()).or_insert(0) += 1;
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
