//! The drain of a stopping node: it says goodbye to its peers, so that they use other nodes at once, and finishes the
//! calls that it has accepted.
//!
//! A peer that speaks the native dialect gets a goodbye, sends nothing more on that connection, and closes it when it
//! has its answers. The skynet dialect has no goodbye: the node shuts the connection down for writing once none of
//! its requests is in progress, so that the answers arrive before the end. Requests that arrive before that are
//! served.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use skyring_codec::Millis;

use crate::cluster::accepting::inbound::Inbound;
use crate::cluster::room::ClusterShard;
use crate::core::ShardCore;
use crate::rt;

/// How long a peer without calls in flight may take to close its connection after the goodbye, in milliseconds. A
/// peer that is paused does not read it.
const GOODBYE_TIME_MS_MAX: Millis = 1_000;

/// How long the last answers have to reach the peers after the shutdown for writing, in milliseconds.
const LINGER_TIME_MS_MAX: Millis = 200;

/// Time between two checks of the open connections.
const CHECK_INTERVAL: Duration = Duration::from_millis(2);

impl ClusterShard {
    /// Says goodbye to peers, waits until their calls have finished, then counts this shard as drained. The caller
    /// that stops the node bounds the wait.
    pub(crate) fn drain(&self, shard: &Rc<ShardCore>) {
        if !self.is_draining.replace(true) {
            rt::spawn(drain(Rc::clone(shard)));
        }
    }
}

async fn drain(shard: Rc<ShardCore>) {
    let cluster = shard.cluster();
    // The node accepts no connection any more, so these sessions cannot resume.
    cluster.end_all_detached(&shard);
    for connection in cluster.all_inbound() {
        connection.send_goodbye(&shard);
    }
    let began = shard.update_now();
    let is_done = |connection: &Rc<Inbound>, now: Millis| {
        let is_overdue = now.saturating_sub(began) >= GOODBYE_TIME_MS_MAX;
        connection.has_finished() && (is_overdue || !connection.supports_goodbye())
    };
    while !shard.stopping.get() {
        let now = shard.update_now();
        let left = cluster.all_inbound();
        if left.iter().all(|connection| is_done(connection, now)) {
            break;
        }
        rt::sleep(CHECK_INTERVAL).await;
    }
    for connection in cluster.all_inbound() {
        connection.close_for_writing();
    }
    let closed = shard.update_now();
    while !cluster.all_inbound().is_empty() && shard.update_now().saturating_sub(closed) < LINGER_TIME_MS_MAX
    {
        rt::sleep(CHECK_INTERVAL).await;
    }
    cluster.shared.shards_drained.fetch_add(1, Ordering::AcqRel);
}
