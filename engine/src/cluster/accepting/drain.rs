//! How a node takes its leave: it tells its peers that it stops, so that they go elsewhere at once, and lets the
//! calls finish that it has taken.
//!
//! A peer that speaks the native dialect hears a goodbye, sends nothing more on that connection, and closes it when
//! it has its answers. The skynet dialect has no such word: there the connection is closed for writing once nothing
//! of it is being handled, so that the answers arrive before the end. What comes before that is served as ever.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use skyring_codec::Millis;

use crate::cluster::accepting::inbound::Inbound;
use crate::cluster::room::ClusterShard;
use crate::core::ShardCore;
use crate::rt;

/// How long a peer that has no call under way may take to close its connection after it was told goodbye, in
/// milliseconds. One that is paused itself does not hear it.
const GOODBYE_TIME_MS_MAX: Millis = 1_000;

/// How long the last answers have to reach the peers after the connections were closed for writing, in milliseconds.
const LINGER_TIME_MS_MAX: Millis = 200;

/// Time between two looks at who is still there.
const CHECK_INTERVAL: Duration = Duration::from_millis(2);

impl ClusterShard {
    /// Tells peers goodbye, and waits until their calls have finished; then counts this shard among those that
    /// have left. Whoever stops the node bounds the wait.
    pub(crate) fn drain(&self, shard: &Rc<ShardCore>) {
        if !self.is_draining.replace(true) {
            rt::spawn(drain(Rc::clone(shard)));
        }
    }
}

async fn drain(shard: Rc<ShardCore>) {
    let cluster = shard.cluster();
    // Nobody is let in any more, so they cannot go on.
    cluster.end_all_detached(&shard);
    for connection in cluster.all_inbound() {
        connection.send_goodbye(&shard);
    }
    let began = shard.update_now();
    let is_done = |connection: &Rc<Inbound>, now: Millis| {
        let is_overdue = now.saturating_sub(began) >= GOODBYE_TIME_MS_MAX;
        connection.is_finished() && (is_overdue || !connection.understands_goodbye())
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
