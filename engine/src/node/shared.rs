//! What all shards of a node share. All of it is reached without a lock on the way of a message; what has
//! a lock is used when something is opened or launched.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use skyring_codec::native::{Hello, NONCE_BYTES, Resumption, VERSION};

use crate::config::ClusterMap;
use crate::control::Control;
use crate::error::{Error, Text};
use crate::log::Logger;
use crate::metrics::Metrics;
use crate::rt::listener::Listener;
use crate::service::handle::Handle;
use crate::service::keyed::KEYED;
use crate::service::kinds::Kinds;
use crate::service::names::Names;
use crate::service::placement::shard_of_handle;
use crate::shard::mesh::Port;
use crate::socket::SocketRegistry;
use crate::versioned::Versioned;

/// Most listeners of a node.
pub const LISTENERS_MAX: usize = 64;

/// Which dialect a node speaks where it may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DialectChoice {
    /// The native dialect with Skyring nodes, the skynet dialect with all others.
    #[default]
    Auto,
    /// Only the skynet dialect, as if this were a Skynet node.
    Skynet,
}

/// What a node was configured with and keeps.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// Time for a call to another node unless the call says otherwise, in milliseconds; 0 = no limit.
    pub(crate) call_timeout_ms: u64,
    /// How long another node may show no sign of life before it is called down, in milliseconds; 0 = for ever.
    pub(crate) down_after_ms: u64,
    /// Its name in the cluster map; empty when it has none.
    pub(crate) name: String,
    /// How many channels to have to each peer, and to let each peer have; `None`: what the peer says, else 1.
    pub(crate) channels: Option<u32>,
    /// Which dialect it speaks.
    pub(crate) dialect: DialectChoice,
    /// Most connections of one listener from one source.
    pub(crate) clients_per_source_max: usize,
    /// Most connections that one source may open in a second.
    pub(crate) accepts_per_second_max: u32,
    /// How long a stop waits for the calls of peers that are under way, in milliseconds.
    pub(crate) stop_timeout_ms: u64,
    /// Where the cluster map came from.
    pub(crate) map_file: Option<PathBuf>,
    /// Every key of the config, as text.
    pub(crate) environment: BTreeMap<String, String>,
}

/// What all shards share.
pub(crate) struct NodeShared {
    pub(crate) ports: Box<[Port]>,
    pub(crate) names: Arc<Versioned<Names>>,
    pub(crate) map: Arc<Versioned<ClusterMap>>,
    pub(crate) kinds: Kinds,
    pub(crate) settings: Settings,
    pub(crate) logger: Logger,
    pub(crate) metrics: Metrics,
    pub(crate) control: Control,
    /// How many descriptors the process may have.
    pub(crate) open_files_max: u64,
    pub(crate) handles: AtomicU32,
    pub(crate) listeners: Mutex<Vec<Listener>>,
    pub(crate) proxies: Mutex<HashMap<String, Handle>>,
    pub(crate) sockets: SocketRegistry,
    /// A random number that this process drew for the node when it started.
    pub(crate) epoch: u64,
    /// Shards that have taken their leave of all peers.
    pub(crate) shards_left: AtomicUsize,
    /// Why each node that is not reached is not.
    pub(crate) failures: Mutex<HashMap<Text, Text>>,
}

/// A number that nobody can guess and no other process draws.
pub(crate) fn random_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Bytes that nobody can guess, whatever of them was seen before.
fn secret_bytes() -> [u8; NONCE_BYTES] {
    let mut bytes = [0; NONCE_BYTES];
    let random = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
    if random.is_err() {
        // A machine without it: these are hard to guess as well.
        for half in bytes.chunks_mut(8) {
            half.copy_from_slice(&random_number().to_le_bytes()[..half.len()]);
        }
    }
    bytes
}

/// A node's log, for threads that are no shards. From [`Caller::node_log`](crate::Caller::node_log).
#[derive(Clone)]
pub struct NodeLog(pub(crate) Arc<NodeShared>);

impl NodeLog {
    /// Writes a log line in a service's name; [`Handle::NONE`] is the node's own.
    pub fn log(&self, source: Handle, text: impl std::fmt::Display) {
        self.0.logger.log(source.0, text);
    }
}

impl NodeShared {
    /// A handle that no service of this process has had.
    pub(crate) fn next_handle(&self) -> Handle {
        // 2^31 launches in one process's life are out of reach; 0 is nobody's.
        Handle((self.handles.fetch_add(1, Ordering::Relaxed) & !KEYED).max(1))
    }

    /// One that hashes to a shard: so many handles are drawn as that takes, as many as there are shards in the
    /// middle.
    pub(crate) fn next_handle_on(&self, shard: usize) -> Handle {
        loop {
            let handle = self.next_handle();
            if shard_of_handle(handle, self.ports.len()) == shard {
                return handle;
            }
        }
    }

    /// What this node says of itself when a connection begins.
    pub(crate) fn hello(&self, channel: u32, channels: u32) -> Hello {
        Hello {
            version: VERSION,
            node: self.settings.name.clone(),
            channel,
            channels,
            threads: self.ports.len() as u32,
            epoch: self.epoch,
            nonce: secret_bytes(),
            resume: Resumption::New,
        }
    }

    /// Notes why a node is not reached; `None`: it is.
    pub(crate) fn note_failure(&self, node: &Text, cause: Option<&Text>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match cause {
            Some(cause) => failures.insert(Text::clone(node), Text::clone(cause)),
            None => failures.remove(node),
        };
    }

    /// Why a node is not reached, if that is known.
    pub(crate) fn failure(&self, node: &Text) -> Option<Text> {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(node)
            .cloned()
    }

    /// Keeps a listener open until the node stops.
    pub(crate) fn keep_listener(&self, listener: Listener) -> Result<(), Error> {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if listeners.len() >= LISTENERS_MAX {
            return Err(Error::overloaded(format!(
                "{LISTENERS_MAX} listeners are the most a node has"
            )));
        }
        listeners.push(listener);
        Ok(())
    }

    /// Stops accepting.
    pub(crate) fn close_listeners(&self) {
        let listeners = std::mem::take(&mut *self.listeners.lock().unwrap_or_else(PoisonError::into_inner));
        drop(listeners);
    }

    /// The proxy that stands for that service, if there is one.
    pub(crate) fn proxy(&self, key: &str) -> Option<Handle> {
        self.proxies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .copied()
    }

    /// Keeps a proxy unless there is one already; says which it is, and whether it is this one.
    pub(crate) fn keep_proxy(&self, key: String, handle: Handle) -> (Handle, bool) {
        let mut proxies = self.proxies.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = *proxies.entry(key).or_insert(handle);
        (kept, kept == handle)
    }
}
