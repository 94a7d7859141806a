//! State that the Lua services of one node share.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use skyring::{Caller, Handle};

use crate::code::CodeCache;
use crate::launches::Launches;
use crate::message_logs::MessageLogs;
use crate::shared_table::SharedTables;

/// Most keys that services may add to the environment with `skynet.setenv`.
pub const ENVIRONMENT_KEYS_MAX: usize = 65_536;

/// State that the Lua services of one node share.
pub(crate) struct NodeLua {
    /// When the node started.
    started: Instant,
    /// The same time in seconds since 1970.
    started_unix: u64,
    /// Keys that services have added to those of the config.
    environment: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    /// The compiled files of the services.
    pub(crate) code: CodeCache,
    /// The tables that the services share.
    pub(crate) shared: SharedTables,
    /// The logs of the messages of single services.
    pub(crate) message_logs: MessageLogs,
    /// The services that were launched by name.
    pub(crate) launches: Launches,
    /// The memory of each service's interpreter, in bytes.
    memory: Mutex<BTreeMap<u32, Arc<AtomicUsize>>>,
    /// The handle of the service that is notified when a service ends; 0: none.
    monitor: AtomicU32,
}

impl NodeLua {
    pub(crate) fn new() -> NodeLua {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        NodeLua {
            started: Instant::now(),
            started_unix: unix.as_secs(),
            environment: Mutex::default(),
            code: CodeCache::default(),
            shared: SharedTables::default(),
            message_logs: MessageLogs::default(),
            launches: Launches::default(),
            memory: Mutex::default(),
            monitor: AtomicU32::new(0),
        }
    }

    /// Time since the node started, in hundredths of a second, as in Skynet.
    pub(crate) fn now(&self) -> i64 {
        (self.started.elapsed().as_millis() / 10) as i64
    }

    /// When the node started, in seconds since 1970.
    pub(crate) fn start_time(&self) -> u64 {
        self.started_unix
    }

    /// A key of the config, or one that a service added.
    pub(crate) fn environment(&self, caller: &Caller, key: &[u8]) -> Option<Vec<u8>> {
        let of_config = str::from_utf8(key)
            .ok()
            .and_then(|key| caller.environment_bytes(key));
        of_config.or_else(|| {
            let added = self.environment.lock().unwrap_or_else(PoisonError::into_inner);
            added.get(key).cloned()
        })
    }

    /// Adds a key. An existing key keeps its value, as in Skynet.
    pub(crate) fn set_environment(&self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let mut added = self.environment.lock().unwrap_or_else(PoisonError::into_inner);
        if added.len() >= ENVIRONMENT_KEYS_MAX {
            return Err("the environment is full");
        }
        added.entry(key.into()).or_insert_with(|| value.into());
        Ok(())
    }

    /// Adds a service, and returns where it records the memory of its interpreter.
    pub(crate) fn add_memory(&self, handle: Handle) -> Arc<AtomicUsize> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(memory.entry(handle.0).or_default())
    }

    /// Removes a service.
    pub(crate) fn remove_memory(&self, handle: Handle) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.remove(&handle.0);
    }

    /// The memory of each service's interpreter after its last message, in bytes, by handle.
    pub(crate) fn memory_of_services(&self) -> Vec<(u32, usize)> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory
            .iter()
            .map(|(handle, bytes)| (*handle, bytes.load(Ordering::Relaxed)))
            .collect()
    }

    pub(crate) fn monitor(&self) -> Option<Handle> {
        match self.monitor.load(Ordering::Relaxed) {
            0 => None,
            handle => Some(Handle(handle)),
        }
    }

    pub(crate) fn set_monitor(&self, handle: Handle) {
        self.monitor.store(handle.0, Ordering::Relaxed);
    }
}
