//! Watches for services that do not let go: one note of each shard says which service runs and since which
//! message, and a thread looks at them every second.
//!
//! The notes cost a message three plain stores.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use mlua::lua_State;
use skyring::{Handle, NodeLog};

/// How often the thread looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many looks in a row find the same message before it is told.
const LOOKS_BEFORE_TOLD: u32 = 5;

/// What a shard notes of the service that it runs.
pub(crate) struct Note {
    /// The service; 0: none.
    handle: AtomicU32,
    /// Who sent the message that it handles.
    source: AtomicU32,
    /// Counts messages.
    version: AtomicU64,
    /// The coroutine that runs, for whoever wants to stop it.
    pub(crate) active: AtomicPtr<lua_State>,
    /// The service that is to be stopped; 0: none.
    pub(crate) trap: AtomicU32,
    /// The shard's thread, as the system knows it.
    pub(crate) thread: libc::pthread_t,
    log: NodeLog,
}

static NOTES: Mutex<Vec<Arc<Note>>> = Mutex::new(Vec::new());
static THREAD: Once = Once::new();

thread_local! {
    static OWN: OnceCell<Arc<Note>> = const { OnceCell::new() };
}

/// The note of this shard. `log` is where its node's loops are told.
pub(crate) fn note(thread: libc::pthread_t, log: impl FnOnce() -> NodeLog) -> Arc<Note> {
    OWN.with(|own| {
        let note = own.get_or_init(|| {
            let note = Arc::new(Note {
                handle: AtomicU32::new(0),
                source: AtomicU32::new(0),
                version: AtomicU64::new(0),
                active: AtomicPtr::default(),
                trap: AtomicU32::new(0),
                thread,
                log: log(),
            });
            let mut notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
            // Shards of nodes that have stopped are nobody's but this list's.
            notes.retain(|note| Arc::strong_count(note) > 1);
            notes.push(Arc::clone(&note));
            note
        });
        THREAD.call_once(|| {
            let watching = std::thread::Builder::new()
                .name("lua-watch".to_owned())
                .spawn(watch);
            if let Err(error) = watching {
                note.log
                    .log(Handle::NONE, format_args!("endless loops are not told: {error}"));
            }
        });
        Arc::clone(note)
    })
}

/// The note of the shard that runs this service now.
pub(crate) fn running(handle: Handle) -> Option<Arc<Note>> {
    let notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
    notes
        .iter()
        .find(|note| note.handle.load(Ordering::Relaxed) == handle.0)
        .cloned()
}

impl Note {
    /// A message is handled from now on.
    #[inline]
    pub(crate) fn enter(&self, handle: Handle, source: u32, main: *mut lua_State) {
        self.active.store(main, Ordering::Relaxed);
        self.source.store(source, Ordering::Relaxed);
        // Only this thread writes it.
        self.version
            .store(self.version.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.handle.store(handle.0, Ordering::Release);
    }

    /// Whether the service that runs is to be stopped; asked once.
    pub(crate) fn is_trapped(&self) -> bool {
        let trap = self.trap.swap(0, Ordering::AcqRel);
        trap != 0 && trap == self.handle.load(Ordering::Relaxed)
    }

    /// It has been handled.
    #[inline]
    pub(crate) fn leave(&self) {
        self.handle.store(0, Ordering::Relaxed);
    }
}

/// The thread.
fn watch() {
    // What the last look found, and how many looks have found it.
    let mut seen: HashMap<*const Note, (u64, u32)> = HashMap::new();
    loop {
        std::thread::sleep(LOOK_EVERY);
        let notes: Vec<Arc<Note>> = NOTES.lock().unwrap_or_else(PoisonError::into_inner).clone();
        seen.retain(|&known, _| notes.iter().any(|note| Arc::as_ptr(note) == known));
        for note in &notes {
            let version = note.version.load(Ordering::Relaxed);
            let handle = note.handle.load(Ordering::Acquire);
            let entry = seen.entry(Arc::as_ptr(note)).or_insert((version, 0));
            if handle == 0 || entry.0 != version {
                *entry = (version, 0);
                continue;
            }
            entry.1 += 1;
            if entry.1 == LOOKS_BEFORE_TOLD {
                let source = Handle(note.source.load(Ordering::Relaxed));
                let handle = Handle(handle);
                mark_endless(handle);
                note.log.log(
                    Handle::NONE,
                    format_args!(
                        "A message from [ {source} ] to [ {handle} ] maybe in an endless loop (version = {version})"
                    ),
                );
            }
        }
    }
}

/// Services that were told, until they ask.
static ENDLESS: Mutex<Vec<Handle>> = Mutex::new(Vec::new());

/// Most services that are remembered as endless.
pub const ENDLESS_MAX: usize = 1_024;

fn mark_endless(handle: Handle) {
    let mut endless = ENDLESS.lock().unwrap_or_else(PoisonError::into_inner);
    if endless.len() < ENDLESS_MAX && !endless.contains(&handle) {
        endless.push(handle);
    }
}

/// Whether a service was told since it last asked.
pub(crate) fn take_endless(handle: Handle) -> bool {
    let mut endless = ENDLESS.lock().unwrap_or_else(PoisonError::into_inner);
    let found = endless.iter().position(|&known| known == handle);
    found.map(|at| endless.swap_remove(at)).is_some()
}
