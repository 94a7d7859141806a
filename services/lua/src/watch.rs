//! Detects services in an endless loop: each shard records which service it runs and a count of messages, and one thread
//! checks these records every second.
//!
//! A record costs three plain stores a message.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use mlua::lua_State;
use skyring::{Handle, NodeLog};

/// The time between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The number of checks in a row that find the same message before it is reported.
const CHECKS_BEFORE_REPORT: u32 = 5;

/// The service that a shard runs now.
pub(crate) struct ShardActivity {
    /// The service; 0: none.
    handle: AtomicU32,
    /// The source of the message that it handles.
    source: AtomicU32,
    /// The number of messages so far.
    version: AtomicU64,
    /// The coroutine that runs, which [`signal`](crate::raw::signal) interrupts.
    pub(crate) active: AtomicPtr<lua_State>,
    /// The service to interrupt; 0: none.
    pub(crate) stop_target: AtomicU32,
    /// The shard's thread.
    pub(crate) thread: libc::pthread_t,
    log: NodeLog,
}

static SHARDS: Mutex<Vec<Arc<ShardActivity>>> = Mutex::new(Vec::new());
static THREAD: Once = Once::new();

thread_local! {
    static OWN: OnceCell<Arc<ShardActivity>> = const { OnceCell::new() };
}

/// The record of this shard. `log` provides the log of its node, for reports of endless loops.
pub(crate) fn shard_activity(thread: libc::pthread_t, log: impl FnOnce() -> NodeLog) -> Arc<ShardActivity> {
    OWN.with(|own| {
        let shard = own.get_or_init(|| {
            let shard = Arc::new(ShardActivity {
                handle: AtomicU32::new(0),
                source: AtomicU32::new(0),
                version: AtomicU64::new(0),
                active: AtomicPtr::default(),
                stop_target: AtomicU32::new(0),
                thread,
                log: log(),
            });
            let mut shards = SHARDS.lock().unwrap_or_else(PoisonError::into_inner);
            // Only this list still refers to the shards of nodes that have stopped.
            shards.retain(|shard| Arc::strong_count(shard) > 1);
            shards.push(Arc::clone(&shard));
            shard
        });
        THREAD.call_once(|| {
            let spawned = std::thread::Builder::new()
                .name("lua-watch".to_owned())
                .spawn(watch);
            if let Err(error) = spawned {
                shard.log.log(
                    Handle::NONE,
                    format_args!("endless loops are not reported: {error}"),
                );
            }
        });
        Arc::clone(shard)
    })
}

/// The record of the shard that runs this service now.
pub(crate) fn running(handle: Handle) -> Option<Arc<ShardActivity>> {
    let shards = SHARDS.lock().unwrap_or_else(PoisonError::into_inner);
    shards
        .iter()
        .find(|shard| shard.handle.load(Ordering::Relaxed) == handle.0)
        .cloned()
}

impl ShardActivity {
    /// Records that the shard begins to handle a message.
    #[inline]
    pub(crate) fn begin_message(&self, handle: Handle, source: u32, main: *mut lua_State) {
        self.active.store(main, Ordering::Relaxed);
        self.source.store(source, Ordering::Relaxed);
        // Only this thread writes it.
        self.version
            .store(self.version.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.handle.store(handle.0, Ordering::Release);
    }

    /// Takes the request to interrupt a service. `true`: it names the service that runs.
    pub(crate) fn take_stop_request(&self) -> bool {
        let stop_target = self.stop_target.swap(0, Ordering::AcqRel);
        stop_target != 0 && stop_target == self.handle.load(Ordering::Relaxed)
    }

    /// Records that the message has been handled.
    #[inline]
    pub(crate) fn end_message(&self) {
        self.handle.store(0, Ordering::Relaxed);
    }
}

/// The body of the thread.
fn watch() {
    // For each shard, the count of messages at the last check, and how many checks in a row have found it unchanged.
    let mut seen: HashMap<*const ShardActivity, (u64, u32)> = HashMap::new();
    loop {
        std::thread::sleep(CHECK_INTERVAL);
        let shards: Vec<Arc<ShardActivity>> = SHARDS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        seen.retain(|&known, _| shards.iter().any(|shard| Arc::as_ptr(shard) == known));
        for shard in &shards {
            let version = shard.version.load(Ordering::Relaxed);
            let handle = shard.handle.load(Ordering::Acquire);
            let entry = seen.entry(Arc::as_ptr(shard)).or_insert((version, 0));
            if handle == 0 || entry.0 != version {
                *entry = (version, 0);
                continue;
            }
            entry.1 += 1;
            if entry.1 == CHECKS_BEFORE_REPORT {
                // It is reported again after the same time.
                entry.1 = 0;
                let source = Handle(shard.source.load(Ordering::Relaxed));
                let handle = Handle(handle);
                mark_endless(handle);
                shard.log.log(
                    Handle::NONE,
                    format_args!(
                        "A message from [ {source} ] to [ {handle} ] maybe in an endless loop (version = {version})"
                    ),
                );
            }
        }
    }
}

/// Services that were reported and have not yet queried it.
static ENDLESS: Mutex<Vec<Handle>> = Mutex::new(Vec::new());

/// Most services that are marked as endless at a time.
pub const ENDLESS_MAX: usize = 1_024;

fn mark_endless(handle: Handle) {
    let mut endless = ENDLESS.lock().unwrap_or_else(PoisonError::into_inner);
    if endless.len() < ENDLESS_MAX && !endless.contains(&handle) {
        endless.push(handle);
    }
}

/// Takes the mark of a service. `true`: it was reported since its last query.
pub(crate) fn take_endless(handle: Handle) -> bool {
    let mut endless = ENDLESS.lock().unwrap_or_else(PoisonError::into_inner);
    let found = endless.iter().position(|&known| known == handle);
    found.map(|at| endless.swap_remove(at)).is_some()
}
