//! Where processes spend their processor time: their stacks, sampled by the kernel, as a flame graph.
//!
//! Each thread has a timer that counts the processor time it uses (the kernel's software clock, which virtual
//! machines have too) and takes a sample every so often: the registers, a piece of the stack, and the kernel's
//! own stack if that is allowed. The stack is unwound here, with the tables that every program carries for
//! panics, so nothing has to be built with frame pointers and nothing is slower for it. Names come from debug
//! information, inlined functions included, else from symbols.
//!
//! Nothing is installed, no signal is sent, and a process does not notice. A user needs no rights for processes
//! of their own; the kernel may forbid even that, and the error says what to do.
//!
//! Invariants: a profile ends when it is told to, or when its processes have; memory follows from how many
//! different stacks there are, [`STACKS_MAX`] at most.

mod flame;
mod modules;
mod sampler;
mod symbols;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use thiserror::Error;

use self::modules::Modules;
use self::sampler::Sampler;
use self::symbols::Symbols;

/// Different stacks that are kept; samples with further ones are counted as lost.
const STACKS_MAX: usize = 100_000;

/// Frames of one stack that are kept.
const FRAMES_MAX: usize = 256;

/// Time between two looks at what the kernel has sampled.
const LOOK_TIME: Duration = Duration::from_millis(10);

/// Time between two looks at whether there are new threads.
const THREADS_TIME: Duration = Duration::from_millis(100);

/// Why there is no profile.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// Nobody has that id.
    #[error("there is no process {0}")]
    NoProcess(u32),
    /// It belongs to another user.
    #[error("process {process} belongs to another user (id {owner}): only root may profile it")]
    NotYours {
        /// The process.
        process: u32,
        /// Whose it is.
        owner: u32,
    },
    /// The kernel lets nobody but root look at processes.
    #[error(
        "the kernel forbids profiles: kernel.perf_event_paranoid is {0}; `sysctl kernel.perf_event_paranoid=2`, as root, \
         allows those of one's own processes"
    )]
    Paranoid(i32),
    /// Something else forbids it.
    #[error(
        "profiles are forbidden here ({0}): in a container, its seccomp profile must allow perf_event_open, and another \
         user's programs, or those that changed their user, need root"
    )]
    Forbidden(io::Error),
    /// The kernel has none.
    #[error("this kernel cannot sample processes: it was built without perf events")]
    Unsupported,
    /// Samples need memory that cannot be swapped.
    #[error(
        "no memory for samples: raise the limit of locked memory (`ulimit -l`) or kernel.perf_event_mlock_kb"
    )]
    LockedMemory,
    /// The processes used no processor time.
    #[error("there is no sample: the process used no processor time meanwhile")]
    NoSamples,
    /// The system failed.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// A process that is profiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profiled {
    /// Its id.
    pub process: u32,
    /// What it is called in the graph.
    pub name: String,
}

/// A profile under way.
pub struct Recorder {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Profile, ProfileError>>,
}

/// Stacks, and how often each was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Names from the outermost on, `;` between them, and how many samples there were.
    pub stacks: Vec<(String, u64)>,
    /// Samples a second of each thread that works.
    pub frequency: u32,
    /// Samples that the kernel could not keep.
    pub lost: u64,
    /// Whether the kernel's own frames are in there; it may keep them to itself.
    pub has_kernel: bool,
}

/// What is known of one stack: whose it is, and its addresses, the innermost first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Stack {
    /// The place of its process.
    process: usize,
    thread: Arc<str>,
    kernel: Vec<u64>,
    user: Vec<u64>,
}

impl Recorder {
    /// Begins to sample the processes, each thread so many times a second of its processor time.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn start(processes: Vec<Profiled>, frequency: u32) -> Result<Recorder, ProfileError> {
        let sampler = Sampler::open(&processes, frequency)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&is_over);
        let thread = thread::Builder::new()
            .name("profile".to_owned())
            .spawn(move || record(sampler, &processes, frequency, &ended))?;
        Ok(Recorder { is_over, thread })
    }

    /// Whether all processes have ended.
    pub fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it, and looks names up, which may take seconds.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn stop(self) -> Result<Profile, ProfileError> {
        self.is_over.store(true, Ordering::Relaxed);
        // Its panic has been printed.
        self.thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the profile's thread panicked").into()))
    }
}

fn record(
    mut sampler: Sampler,
    processes: &[Profiled],
    frequency: u32,
    is_over: &AtomicBool,
) -> Result<Profile, ProfileError> {
    let mut modules: Vec<_> = processes
        .iter()
        .map(|profiled| Modules::of(profiled.process))
        .collect();
    let mut stacks: HashMap<Stack, u64> = HashMap::new();
    let (mut lost, mut looked) = (0, Instant::now());
    loop {
        // Before the look, so that what was sampled until then is in it.
        let is_last = is_over.load(Ordering::Relaxed) || sampler.have_all_ended();
        lost += sampler.look(|sample| {
            let Some(modules) = modules.get_mut(sample.process) else {
                return;
            };
            let stack = Stack {
                process: sample.process,
                thread: sample.thread,
                user: modules.unwind(&sample.registers, sample.stack, FRAMES_MAX),
                kernel: sample.kernel,
            };
            let is_known = stacks.contains_key(&stack);
            if is_known || stacks.len() < STACKS_MAX {
                *stacks.entry(stack).or_insert(0) += 1;
            }
        });
        if is_last {
            break;
        }
        if looked.elapsed() >= THREADS_TIME {
            looked = Instant::now();
            sampler.open_new_threads()?;
        }
        thread::sleep(LOOK_TIME);
    }
    if stacks.is_empty() {
        return Err(ProfileError::NoSamples);
    }
    let mut symbols = Symbols::new();
    let mut named: HashMap<String, u64> = HashMap::new();
    for (stack, count) in &stacks {
        let modules = &modules[stack.process];
        *named
            .entry(symbols.name(&processes[stack.process].name, stack, modules))
            .or_insert(0) += count;
    }
    let mut stacks: Vec<_> = named.into_iter().collect();
    stacks.sort();
    Ok(Profile {
        stacks,
        frequency,
        lost,
        has_kernel: sampler.has_kernel(),
    })
}
