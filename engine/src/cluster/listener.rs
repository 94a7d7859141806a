//! Listening for peers: how many may come, and which shard each goes to.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use std::sync::Mutex;

use crate::error::Error;
use crate::log::Throttle;
use crate::node::shared::NodeShared;
use crate::rt::listener::{Incoming, Listener};
use crate::service::handle::Handle;
use crate::shard::clock;

/// Most connections of one listener unless `cluster.open` says otherwise.
pub const CLIENTS_MAX_DEFAULT: usize = 8_192;

/// Time between two log lines about connections that are turned away, in milliseconds.
const REFUSAL_LOG_INTERVAL_MS: u64 = 10_000;

/// A connection's place among its listener's clients; dropping it frees the place.
pub(crate) struct Admission {
    clients: Arc<AtomicUsize>,
    /// How many channels the listener lets a peer have; `None`: as many as it wants.
    pub(crate) channels: Option<u32>,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.clients.fetch_sub(1, Ordering::AcqRel);
    }
}

fn admit(clients: &Arc<AtomicUsize>, clients_max: usize, channels: Option<u32>) -> Option<Arc<Admission>> {
    clients
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
            (count < clients_max).then_some(count + 1)
        })
        .ok()
        .map(|_| {
            Arc::new(Admission {
                clients: Arc::clone(clients),
                channels,
            })
        })
}

/// Listens on `address` until the node stops. Connections go to the shards in turn.
pub(crate) fn open(
    node: &Arc<NodeShared>,
    address: SocketAddr,
    clients_max: Option<usize>,
    channels: Option<u32>,
) -> Result<SocketAddr, Error> {
    // Some descriptors stay free for the node's own connections, its log and its config files.
    let descriptors = usize::try_from(node.open_files_max).unwrap_or(usize::MAX) / 4 * 3;
    let clients_max = clients_max.unwrap_or(CLIENTS_MAX_DEFAULT).min(descriptors).max(1);
    let clients = Arc::new(AtomicUsize::new(0));
    let throttle = Mutex::new(Throttle::new(REFUSAL_LOG_INTERVAL_MS));
    // The listener is kept by the node, so it must not keep the node.
    let weak = Arc::downgrade(node);
    let next = AtomicUsize::new(0);
    let listener = Listener::open(address, move |incoming| {
        let Some(node) = weak.upgrade() else { return };
        let refused = |why: String| {
            node.metrics.connections_refused.add(1);
            let Ok(throttle) = throttle.lock() else { return };
            if let Some(suppressed) = throttle.allow(clock::now_ms()) {
                let more = match suppressed {
                    0 => String::new(),
                    count => format!(" ({count} more since the last such line)"),
                };
                node.logger.log(
                    Handle::NONE.0,
                    format!("a connection is turned away: {why}{more}"),
                );
            }
        };
        match incoming {
            Incoming::Connection(socket, peer) => match admit(&clients, clients_max, channels) {
                Some(admission) => {
                    let shard = next.fetch_add(1, Ordering::Relaxed) % node.ports.len();
                    if hand_over(&node, shard, socket, peer, admission) {
                        node.metrics.connections_accepted.add(1);
                    } else {
                        refused(format!("{peer}: shard {shard} is behind"));
                    }
                }
                None => refused(format!("{peer}: {clients_max} clients are connected already")),
            },
            Incoming::Failed(error) => refused(error.to_string()),
        }
    })
    .map_err(|error| Error::bind(address, &error))?;
    let local = listener.local();
    node.keep_listener(listener)?;
    Ok(local)
}

/// Gives a socket to its shard; false, and the socket closed, when the shard takes no more errands.
fn hand_over(
    node: &NodeShared,
    shard: usize,
    socket: OwnedFd,
    peer: SocketAddr,
    admission: Arc<Admission>,
) -> bool {
    node.ports[shard]
        .inject(Box::new(move |shard| {
            shard.cluster.accept(shard, socket, peer, admission)
        }))
        .is_ok()
}
