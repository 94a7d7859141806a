//! The periodic check of inbound connections for silence and stalls.

use std::rc::Rc;

use skyring_codec::Millis;

use crate::cluster::accepting::inbound::state::Inbound;
use crate::cluster::accepting::incidents::Incident;
use crate::core::ShardCore;

/// Time for the first package, for the rest of a package, and between the packages of an unfinished message, in
/// milliseconds.
pub const PACKAGE_TIME_MS_MAX: Millis = 10_000;

/// Time that a connection may accept no bytes while answers wait, in milliseconds.
pub const STALL_TIME_MS_MAX: Millis = 30_000;

impl Inbound {
    /// Ends the connection if it is silent or stalled for too long, and frees unused memory.
    pub(in crate::cluster) fn sweep(&self, shard: &Rc<ShardCore>) {
        if !self.connection.is_open() {
            return self.sweep_detached(shard);
        }
        if !self.is_active.replace(false) {
            self.release_memory();
        }
        let now = shard.now();
        if let Some(since) = self.connection.blocked_since()
            && now.saturating_sub(since) > STALL_TIME_MS_MAX
        {
            shard.node.metrics.connections_stalled.add(1);
            shard.cluster().incidents.log(shard, Incident::Stalled, || {
                format!(
                    "{} took no bytes for {} s while answers waited",
                    self.address(),
                    STALL_TIME_MS_MAX / 1000
                )
            });
            self.disconnect(shard);
            return;
        }
        if self.sweep_waiting(shard) {
            return;
        }
        let progress = self.progress.get();
        let is_awaited = progress.packages == 0 || progress.is_unfinished;
        let waited = now.saturating_sub(progress.at);
        if is_awaited && waited > PACKAGE_TIME_MS_MAX && !self.is_full() {
            shard.node.metrics.connections_silent.add(1);
            shard.cluster().incidents.log(shard, Incident::Silent, || {
                format!(
                    "{} did not finish a package within {} s",
                    self.address(),
                    PACKAGE_TIME_MS_MAX / 1000
                )
            });
            self.disconnect(shard);
        }
    }
}
