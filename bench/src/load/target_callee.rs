//! Another's server as what a load calls.

use skyring::{Caller, SocketEvent};

use super::callee::Callee;
use crate::foreign::{Connections, Target};

/// The connections of one shard to a target.
pub(super) struct TargetCallee(Connections);

impl TargetCallee {
    /// This shard's share of the connections, at least one.
    pub(super) fn new(caller: &Caller, target: &Target, connections: usize) -> TargetCallee {
        let (shard, shards) = (caller.shard_index(), caller.shards());
        let share = connections / shards + usize::from(shard < connections % shards);
        TargetCallee(Connections::new(target.clone(), caller.sockets(), share))
    }
}

impl Callee for TargetCallee {
    type Path = usize;

    /// The connection of a worker: a worker has one call at a time, so with as many connections as workers none has two.
    fn path(&self, _number: u64, worker: usize) -> usize {
        worker % self.0.count()
    }

    async fn call(&self, connection: &usize) -> Result<(), &'static str> {
        self.0.call(*connection).await
    }

    fn socket_event(&self, event: SocketEvent) {
        self.0.event(event);
    }
}
