//! What the cluster rooms of all shards of a node share.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use skyring_codec::native::{Hello, NONCE_BYTES, Resumption, VERSION};

use crate::config::ClusterMap;
use crate::core::handle::Handle;
use crate::core::node::{NodeShared, random_number};
use crate::core::versioned::Versioned;
use crate::error::{Error, Text};
use crate::rt::listener::Listener;

/// Most listeners of a node.
pub const LISTENERS_MAX: usize = 64;

/// What all shards know of the cluster. What has a lock is used when something is opened, launched or fails.
pub(crate) struct ClusterShared {
    pub(crate) map: Arc<Versioned<ClusterMap>>,
    listeners: Mutex<Vec<Listener>>,
    proxies: Mutex<HashMap<String, Handle>>,
    /// Shards that have drained: their peers know that the node stops, and have their answers.
    pub(crate) shards_drained: AtomicUsize,
    /// Why each node that is not reached is not.
    failures: Mutex<HashMap<Text, Text>>,
}

impl ClusterShared {
    pub(crate) fn new(map: ClusterMap) -> Arc<ClusterShared> {
        Arc::new(ClusterShared {
            map: Arc::new(Versioned::new(map)),
            listeners: Mutex::default(),
            proxies: Mutex::default(),
            shards_drained: AtomicUsize::new(0),
            failures: Mutex::default(),
        })
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

/// What a node says of itself when a connection begins.
pub(crate) fn hello(node: &NodeShared, channel: u32, channels: u32) -> Hello {
    Hello {
        version: VERSION,
        node: node.settings.name.clone(),
        channel,
        channels,
        threads: node.shards() as u32,
        epoch: node.epoch,
        nonce: secret_bytes(),
        resume: Resumption::New,
    }
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
