//! Listening for peers: admission of connections, and their distribution to the shards.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use std::sync::Mutex;

use crate::cluster::accepting::admission::{Admission, ClientLimits, Clients, Offer, Refusal};
use crate::cluster::shared::ClusterShared;
use crate::config::Security;
use crate::core::clock;
use crate::core::handle::Handle;
use crate::core::node::NodeShared;
use crate::error::Error;
use crate::log::{Level, Origin, Throttle};
use crate::metrics::Counter;
use crate::rt::listener::{Incoming, Listener};
use crate::rt::socket::Socket;

/// Most connections of one listener unless `cluster.open` says otherwise.
pub const CLIENTS_MAX_DEFAULT: usize = 8_192;

/// Time between two log lines about refused connections, in milliseconds.
const REFUSAL_LOG_INTERVAL_MS: u64 = 10_000;

/// Listens on `address` until the node stops. Connections go to the shards round robin.
pub(crate) fn open(
    node: &Arc<NodeShared>,
    shared: &ClusterShared,
    address: SocketAddr,
    clients_max: Option<usize>,
    offer: Offer,
) -> Result<SocketAddr, Error> {
    // Some descriptors stay free for the node's own connections, its log and its config files.
    let descriptors = usize::try_from(node.open_files_max).unwrap_or(usize::MAX) / 4 * 3;
    let clients_max = clients_max.unwrap_or(CLIENTS_MAX_DEFAULT).min(descriptors).max(1);
    let limits = ClientLimits {
        clients_max,
        clients_per_source_max: node.settings.clients_per_source_max,
        accepts_per_second_max: node.settings.accepts_per_second_max,
        requires_proof: node
            .settings
            .security
            .as_ref()
            .is_some_and(Security::requires_proof),
    };
    let clients = Clients::new(limits);
    let throttle = Mutex::new(Throttle::new(REFUSAL_LOG_INTERVAL_MS));
    // The node owns the listener, so the listener must not own the node.
    let weak = Arc::downgrade(node);
    let next = AtomicUsize::new(0);
    let listener = Listener::open(address, move |incoming| {
        let Some(node) = weak.upgrade() else { return };
        let refuse = |counter: &Counter, why: String| {
            counter.add(1);
            let Ok(throttle) = throttle.lock() else { return };
            if let Some(suppressed) = throttle.allow(clock::now_ms()) {
                let more = match suppressed {
                    0 => String::new(),
                    count => format!(" ({count} more since the last such line)"),
                };
                node.logger.write(
                    Origin::Cluster,
                    Level::Warning,
                    Handle::NONE.0,
                    format!("a connection is turned away: {why}{more}"),
                );
            }
        };
        let metrics = &node.metrics;
        let (socket, peer) = match incoming {
            Incoming::Connection(socket, peer) => (socket, peer),
            Incoming::Failed(error) => return refuse(&metrics.connections_refused, error.to_string()),
        };
        let admission = match clients.admit(clock::now_ms(), peer, &offer) {
            Ok(admission) => admission,
            Err(refusal) => {
                socket.turn_away();
                let (counter, why) = match refusal {
                    Refusal::Full => (
                        &metrics.connections_refused,
                        format!("{peer}: {clients_max} clients are connected already"),
                    ),
                    Refusal::SourceFull => (
                        &metrics.connections_refused,
                        format!(
                            "{peer}: {} clients of its address are connected already",
                            limits.clients_per_source_max
                        ),
                    ),
                    Refusal::TooFast => (
                        &metrics.connections_throttled,
                        format!(
                            "{peer}: its address opens more than {} connections a second",
                            limits.accepts_per_second_max
                        ),
                    ),
                    Refusal::Unproved => (
                        &metrics.connections_unproved_refused,
                        format!("{peer}: too many connections of its address have not proved who they are"),
                    ),
                };
                return refuse(counter, why);
            }
        };
        let shard = next.fetch_add(1, Ordering::Relaxed) % node.shards();
        if pass_to_shard(&node, shard, socket, peer, Arc::clone(&admission)) {
            metrics.connections_accepted.add(1);
        } else {
            admission.return_permit();
            refuse(
                &metrics.connections_refused,
                format!("{peer}: the job queue of shard {shard} is full"),
            );
        }
    })
    .map_err(|error| Error::bind(address, &error))?;
    let local = listener.local();
    shared.add_listener(listener)?;
    Ok(local)
}

/// Passes a socket to its shard; returns false, and closes the socket, when the shard's job queue is full.
fn pass_to_shard(
    node: &NodeShared,
    shard: usize,
    socket: Socket,
    peer: SocketAddr,
    admission: Arc<Admission>,
) -> bool {
    node.injectors[shard]
        .push(Box::new(move |shard| {
            shard.cluster().accept(shard, socket, peer, admission)
        }))
        .is_ok()
}
