//! What a load calls: a service of a node, or another's server.

use std::future::Future;
use std::time::Duration;

use skyring::{Address, Caller, NodeRef, Payload, SocketEvent};

use super::settings::Load;

/// The called side, as the callers of one shard have it.
pub(crate) trait Callee: 'static {
    /// The way of a call, found before it begins.
    type Path: 'static;

    /// The way of a call with that number, made by the worker with that number.
    fn path(&self, number: u64, worker: usize) -> Self::Path;

    /// One call, which begins when it is awaited. An error is the code by which failed calls are counted.
    fn call(&self, path: &Self::Path) -> impl Future<Output = Result<(), &'static str>>;

    /// A call has ended, with its latency or the code of its error. Returns how long a caller of a closed loop pauses.
    #[inline]
    fn ended(&self, path: &Self::Path, outcome: Result<Duration, &'static str>) -> Duration {
        let _ = (path, outcome);
        Duration::ZERO
    }

    /// The callers of this shard have ended.
    fn finished(&self) {}

    /// An event of a socket that the callee opened.
    fn socket_event(&self, event: SocketEvent) {
        let _ = event;
    }
}

/// A service of a node.
pub(super) struct ServiceCallee {
    node: NodeRef,
    address: Address,
    payload: Payload,
    keys: u64,
    shard: usize,
    shards: usize,
}

impl ServiceCallee {
    pub(super) fn new(caller: &Caller, load: &Load) -> ServiceCallee {
        ServiceCallee {
            node: caller.node(load.node.as_str()),
            address: load.address.clone(),
            payload: load.payload.clone(),
            keys: load.keys as u64,
            shard: caller.shard_index(),
            shards: caller.shards(),
        }
    }
}

impl Callee for ServiceCallee {
    type Path = NodeRef;

    /// The node by the key of this shard's call. Consecutive numbers go to consecutive channels, over all shards: with
    /// as many channels as shards a caller's channel is that of its shard.
    fn path(&self, number: u64, _worker: usize) -> NodeRef {
        let everywhere = number * self.shards as u64 + self.shard as u64;
        match everywhere.checked_rem(self.keys) {
            Some(key) => self.node.clone().key(key),
            None => self.node.clone(),
        }
    }

    #[inline(always)]
    async fn call(&self, node: &NodeRef) -> Result<(), &'static str> {
        let answer = node
            .call_payload(self.address.clone(), Ok(self.payload.clone()))
            .await;
        answer.map(drop).map_err(|error| error.code())
    }
}
