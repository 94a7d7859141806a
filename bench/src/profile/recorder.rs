//! The thread that records a profile.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::error::ProfileError;
use super::lua_samples::LuaSamples;
use super::modules::Modules;
use super::pending::Pending;
use super::result::Profile;
use super::sampler::{Profiled, Sampler};
use super::stack::Stack;
use super::symbols::Symbols;

/// Most different stacks of a profile; samples with further ones are dropped.
const STACKS_MAX: usize = 100_000;

/// Most frames of a stack; those further out are dropped.
const FRAMES_MAX: usize = 256;

/// Time between two reads of the kernel's samples.
const READ_INTERVAL: Duration = Duration::from_millis(10);

/// Time between two checks for new threads.
const THREADS_INTERVAL: Duration = Duration::from_millis(100);

/// A running profile.
pub struct Recorder {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Profile, ProfileError>>,
}

impl Recorder {
    /// Fails as [`start`](Self::start) would for a process of this user, and records nothing.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn check(frequency: u32) -> Result<(), ProfileError> {
        let this = Profiled {
            process: std::process::id(),
            name: String::new(),
        };
        Sampler::open(&[this], Vec::new(), frequency).map(drop)
    }

    /// Starts to sample the processes, each thread `frequency` times a second of its processor time.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn start(processes: Vec<Profiled>, frequency: u32) -> Result<Recorder, ProfileError> {
        let lua: Vec<_> = processes
            .iter()
            .map(|profiled| LuaSamples::open(profiled.process))
            .collect();
        let with_lua = processes.iter().zip(&lua);
        let with_lua = with_lua.filter(|(_, lua)| lua.is_some());
        let with_lua = with_lua.map(|(profiled, _)| profiled.process).collect();
        let sampler = Sampler::open(&processes, with_lua, frequency)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&is_over);
        let thread = thread::Builder::new()
            .name("profile".to_owned())
            .spawn(move || record(sampler, lua, &processes, frequency, &ended))?;
        Ok(Recorder { is_over, thread })
    }

    /// Whether all processes have ended.
    pub fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it and looks names up, which may take seconds.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn stop(self) -> Result<Profile, ProfileError> {
        self.is_over.store(true, Ordering::Relaxed);
        // The panic has been printed.
        self.thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the profile's thread panicked").into()))
    }
}

fn record(
    mut sampler: Sampler,
    mut lua: Vec<Option<LuaSamples>>,
    processes: &[Profiled],
    frequency: u32,
    is_over: &AtomicBool,
) -> Result<Profile, ProfileError> {
    let mut modules: Vec<_> = processes
        .iter()
        .map(|profiled| Modules::of(profiled.process))
        .collect();
    let mut stacks: HashMap<Stack, u64> = HashMap::new();
    let mut count = |stack: Stack| {
        let is_known = stacks.contains_key(&stack);
        if is_known || stacks.len() < STACKS_MAX {
            *stacks.entry(stack).or_insert(0) += 1;
        }
    };
    let mut pending = Pending::default();
    let (mut lost, mut checked) = (0, Instant::now());
    loop {
        // Read before the samples, so that the last read has all samples until then.
        let is_last = is_over.load(Ordering::Relaxed) || sampler.have_all_ended();
        lost += sampler.read(|sample| {
            let Some(modules) = modules.get_mut(sample.process) else {
                return;
            };
            let stack = Stack {
                process: sample.process,
                thread: sample.thread,
                user: modules.unwind(&sample.registers, sample.stack, FRAMES_MAX),
                kernel: sample.kernel,
                lua: None,
            };
            if lua.get(sample.process).is_some_and(Option::is_some) {
                pending.insert(sample.id, sample.time_ns, stack);
            } else {
                count(stack);
            }
        });
        for samples in lua.iter_mut().flatten() {
            samples.read(|lua_sample| pending.assign(&lua_sample));
        }
        pending.take_old(is_last, &mut count);
        if is_last {
            break;
        }
        if checked.elapsed() >= THREADS_INTERVAL {
            checked = Instant::now();
            sampler.open_new_threads()?;
        }
        thread::sleep(READ_INTERVAL);
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
        calls: None,
    })
}
