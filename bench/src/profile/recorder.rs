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
use super::result::{Profile, Profiling};
use super::sampler::{Profiled, Sampler, Told};
use super::stack::Stack;
use super::symbols::Symbols;
use super::waits::Waits;

/// Most different stacks of a profile; samples with further ones are dropped.
const STACKS_MAX: usize = 100_000;

/// Most frames of a stack; those further out are dropped.
const FRAMES_MAX: usize = 256;

/// What a profile of waiting counts.
const NS_PER_SECOND: u32 = 1_000_000_000;

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
    pub fn check(profiling: Profiling, frequency: u32) -> Result<(), ProfileError> {
        let this = Profiled {
            process: std::process::id(),
            name: String::new(),
        };
        Sampler::open(&[this], Vec::new(), profiling, frequency).map(drop)
    }

    /// Starts to sample the processes, each thread `frequency` times a second of its processor time, or at most so many of
    /// its waits a second.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn start(
        processes: Vec<Profiled>,
        profiling: Profiling,
        frequency: u32,
    ) -> Result<Recorder, ProfileError> {
        let open = |profiled: &Profiled| match profiling {
            Profiling::Processor => LuaSamples::open(profiled.process),
            // The signal, upon which a thread writes down its Lua stack, would end its wait.
            Profiling::Waiting => None,
        };
        let lua: Vec<_> = processes.iter().map(open).collect();
        let with_lua = processes.iter().zip(&lua);
        let with_lua = with_lua.filter(|(_, lua)| lua.is_some());
        let with_lua = with_lua.map(|(profiled, _)| profiled.process).collect();
        let sampler = Sampler::open(&processes, with_lua, profiling, frequency)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&is_over);
        let thread = thread::Builder::new()
            .name("profile".to_owned())
            .spawn(move || record(sampler, lua, &processes, (profiling, frequency), &ended))?;
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
    (profiling, frequency): (Profiling, u32),
    is_over: &AtomicBool,
) -> Result<Profile, ProfileError> {
    let mut modules: Vec<_> = processes
        .iter()
        .map(|profiled| Modules::of(profiled.process))
        .collect();
    let mut stacks: HashMap<Stack, u64> = HashMap::new();
    let mut count = |stack: Stack, weight: u64| {
        let is_known = stacks.contains_key(&stack);
        if is_known || stacks.len() < STACKS_MAX {
            *stacks.entry(stack).or_insert(0) += weight;
        }
    };
    let (mut pending, mut waits) = (Pending::default(), Waits::default());
    let (mut lost, mut checked) = (0, Instant::now());
    loop {
        // Read before the samples, so that the last read has all samples until then.
        let is_last = is_over.load(Ordering::Relaxed) || sampler.have_all_ended();
        lost += sampler.read(|told| {
            let sample = match told {
                Told::Sample(sample) => *sample,
                Told::Preempted(thread) => return waits.preempt(thread),
                Told::Lost(thread) => return waits.forget(thread),
                Told::Runs(thread, time_ns) => {
                    if let Some((stack, ns)) = waits.end(thread, time_ns) {
                        count(stack, ns);
                    }
                    return;
                }
            };
            let Some(modules) = modules.get_mut(sample.process) else {
                return;
            };
            let stack = Stack {
                process: sample.process,
                thread: sample.thread,
                user: modules.unwind(&sample.registers, sample.stack, FRAMES_MAX),
                kernel: sample.kernel,
                lua: None,
                is_preempted: false,
            };
            if profiling == Profiling::Waiting {
                waits.begin(sample.id, sample.time_ns, sample.period, stack);
            } else if lua.get(sample.process).is_some_and(Option::is_some) {
                pending.insert(sample.id, sample.time_ns, stack);
            } else {
                count(stack, 1);
            }
        });
        for samples in lua.iter_mut().flatten() {
            samples.read(|lua_sample| pending.assign(&lua_sample));
        }
        pending.take_old(is_last, |stack| count(stack, 1));
        if is_last {
            break;
        }
        if checked.elapsed() >= THREADS_INTERVAL {
            checked = Instant::now();
            sampler.open_new_threads()?;
        }
        thread::sleep(READ_INTERVAL);
    }
    let ended_ns = monotonic_ns();
    for (stack, ns) in waits.end_all(ended_ns) {
        count(stack, ns);
    }
    if stacks.is_empty() {
        return Err(match profiling {
            Profiling::Processor => ProfileError::NoSamples,
            Profiling::Waiting => ProfileError::NoWaits,
        });
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
        profiling,
        stacks,
        frequency: match profiling {
            Profiling::Processor => frequency,
            Profiling::Waiting => NS_PER_SECOND,
        },
        lost,
        has_kernel: sampler.has_kernel(),
        calls: None,
    })
}

/// The clock of the kernel's samples.
fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * u64::from(NS_PER_SECOND) + now.tv_nsec.cast_unsigned()
}
