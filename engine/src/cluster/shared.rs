//! The state that the cluster rooms of all shards of a node share.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use skyring_codec::native::{Hello, NONCE_BYTES, Resumption, VERSION};

use crate::cluster::accepting::admission::Offer;
use crate::cluster::signs_of_life::SignsOfLife;
use crate::config::ClusterMap;
use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::node::NodeShared;
use crate::core::versioned::Versioned;
use crate::error::{Error, Text};
use crate::rt;
use crate::rt::listener::Listener;
use crate::status::ListenerStatus;

/// Most listeners of a node.
pub const LISTENERS_MAX: usize = 64;

/// The state that all shards share. Fields with a lock are used only when something is opened or launched, or fails.
pub(crate) struct ClusterShared {
    pub(crate) map: Arc<Versioned<ClusterMap>>,
    listeners: Mutex<Vec<Listener>>,
    proxies: Mutex<HashMap<String, Handle>>,
    /// The number of shards that have drained: their peers have the goodbye and their answers.
    pub(crate) shards_drained: AtomicUsize,
    /// The name under which the node first listened.
    opened_as: OnceLock<Text>,
    /// When each process with a connection was heard last.
    pub(in crate::cluster) signs_of_life: SignsOfLife,
    /// Why each unreachable node cannot be reached.
    failures: Mutex<HashMap<Text, Text>>,
}

impl ClusterShared {
    pub(crate) fn new(map: ClusterMap) -> Arc<ClusterShared> {
        Arc::new(ClusterShared {
            map: Arc::new(Versioned::new(map)),
            listeners: Mutex::default(),
            proxies: Mutex::default(),
            shards_drained: AtomicUsize::new(0),
            opened_as: OnceLock::new(),
            signs_of_life: SignsOfLife::default(),
            failures: Mutex::default(),
        })
    }

    /// Records a name under which the node listens; the first one is its name for peers if its config has none.
    pub(crate) fn set_name(&self, name: &Text) {
        self.opened_as.get_or_init(|| Text::clone(name));
    }

    /// Records why a node cannot be reached; `None`: it is reachable.
    pub(crate) fn set_failure(&self, node: &Text, cause: Option<&Text>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match cause {
            Some(cause) => failures.insert(Text::clone(node), Text::clone(cause)),
            None => failures.remove(node),
        };
    }

    /// Why a node cannot be reached, if that is known.
    pub(crate) fn failure(&self, node: &Text) -> Option<Text> {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(node)
            .cloned()
    }

    /// Keeps a listener open until the node stops.
    pub(crate) fn add_listener(&self, listener: Listener) -> Result<(), Error> {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if listeners.len() >= LISTENERS_MAX {
            return Err(Error::overloaded(format!(
                "{LISTENERS_MAX} listeners are the most a node has"
            )));
        }
        listeners.push(listener);
        Ok(())
    }

    /// Where the node listens.
    pub(crate) fn listener_statuses(&self) -> Vec<ListenerStatus> {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let address = |listener: &Listener| ListenerStatus {
            address: listener.local().to_string(),
        };
        listeners.iter().map(address).collect()
    }

    /// Closes all listeners.
    pub(crate) fn close_listeners(&self) {
        let listeners = std::mem::take(&mut *self.listeners.lock().unwrap_or_else(PoisonError::into_inner));
        drop(listeners);
    }

    /// The proxy of this service, if there is one.
    pub(crate) fn proxy(&self, key: &str) -> Option<Handle> {
        self.proxies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .copied()
    }

    /// The node's name: that of its settings, else the first one that it was opened as, else the one of its certificate; else
    /// empty.
    pub(crate) fn node_name(&self, node: &NodeShared) -> String {
        let opened_as = self.opened_as.get().map(Text::to_string);
        let certified = || node.settings.security.as_ref()?.tls()?.names().into_iter().next();
        match &*node.settings.name {
            "" => opened_as.or_else(certified).unwrap_or_default(),
            name => name.to_owned(),
        }
    }

    /// Stores a proxy unless there is one; returns the stored proxy, and whether it is `handle`.
    pub(crate) fn insert_proxy(&self, key: String, handle: Handle) -> (Handle, bool) {
        let mut proxies = self.proxies.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = *proxies.entry(key).or_insert(handle);
        (stored, stored == handle)
    }
}

/// The hello of this node.
pub(crate) fn hello(shard: &ShardCore, channel: u32, channels: u32) -> Hello {
    let node = &shard.node;
    Hello {
        version: VERSION,
        node: shard.cluster().shared.node_name(node),
        channel,
        channels,
        threads: shard.shards() as u32,
        epoch: node.epoch,
        nonce: secret_bytes(),
        resume: Resumption::New,
        attempt: 0,
        traces: false,
    }
}

/// The hello of this node for a peer of one of its listeners.
pub(crate) fn answer(shard: &ShardCore, offer: &Offer, channel: u32, channels: u32) -> Hello {
    let hello = hello(shard, channel, channels);
    let node = offer.name.as_ref().map(|name| name.to_string());
    Hello {
        node: node.unwrap_or(hello.node),
        traces: true,
        ..hello
    }
}

/// Unpredictable bytes for a nonce.
fn secret_bytes() -> [u8; NONCE_BYTES] {
    let mut bytes = [0; NONCE_BYTES];
    rt::fill_unpredictable(&mut bytes);
    bytes
}
