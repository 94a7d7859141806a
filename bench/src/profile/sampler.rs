//! The kernel's side of a profile: one event and one ring of samples for each thread.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use perf_event::data::{Record, SampleRegsAbi};
use perf_event::events::Software;
use perf_event::{Builder, Clock, SampleFlag, Sampler as Ring};

use super::error::ProfileError;
use super::registers::{self, Registers};
use super::result::Profiling;
use super::signals::send_at_samples;

/// Bytes of the stack that each sample carries; frames further out are lost.
const STACK_BYTES: u32 = 16 << 10;

/// Size of a thread's ring: thirty samples, or more than fifty milliseconds of them.
const RING_BYTES: usize = 512 << 10;

/// Threads of all processes that are sampled; further ones are not.
const THREADS_MAX: usize = 1_024;

/// The setting of the kernel with which it hides its own frames; beyond it profiles are forbidden.
const PARANOID_HIDES_KERNEL: i32 = 2;

/// Addresses from here on are marks between the parts of a stack.
const MARKS: u64 = (-4_095i64) as u64;

/// A switch away from a thread or to it, as the kernel marks it.
const RECORD_SWITCH: u32 = 14;
const MISC_SWITCH_OUT: u16 = 1 << 13;
const MISC_SWITCH_OUT_PREEMPT: u16 = 1 << 14;

/// What the kernel tells of a thread.
pub(super) enum Told<'a> {
    /// A sample.
    Sample(Box<Sample<'a>>),
    /// The thread of that id gave its processor up because another one needed it.
    Preempted(u32),
    /// The thread of that id runs again, since that time in ns on the monotonic clock.
    Runs(u32, u64),
    /// Something that was told of the thread of that id is lost.
    Lost(u32),
}

/// One sample.
pub(super) struct Sample<'a> {
    /// The index of its process.
    pub(super) process: usize,
    pub(super) thread: Arc<str>,
    /// The kernel's number of the thread.
    pub(super) id: u32,
    /// When it was taken, on the monotonic clock.
    pub(super) time_ns: u64,
    /// The kernel's frames, the innermost first.
    pub(super) kernel: Vec<u64>,
    pub(super) registers: Registers,
    /// The stack from its pointer on.
    pub(super) stack: &'a [u8],
    /// How many events it stands for.
    pub(super) period: u64,
}

struct Thread {
    process: usize,
    id: u32,
    name: Arc<str>,
    ring: Ring,
}

/// The rings of all threads.
pub(super) struct Sampler {
    processes: Vec<u32>,
    /// Those whose threads write down their Lua stacks.
    lua_processes: Vec<u32>,
    profiling: Profiling,
    frequency: u32,
    threads: Vec<Thread>,
    has_kernel: bool,
}

/// A process that is profiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profiled {
    /// Its id.
    pub process: u32,
    /// What it is called in the graph.
    pub name: String,
}

impl Sampler {
    /// Opens the events of all threads.
    pub(super) fn open(
        processes: &[Profiled],
        lua_processes: Vec<u32>,
        profiling: Profiling,
        frequency: u32,
    ) -> Result<Sampler, ProfileError> {
        let mut sampler = Sampler {
            lua_processes,
            profiling,
            processes: processes.iter().map(|profiled| profiled.process).collect(),
            frequency,
            threads: Vec::new(),
            has_kernel: true,
        };
        for process in sampler.processes.clone() {
            let is_there = fs::metadata(format!("/proc/{process}")).is_ok();
            if !is_there || !sampler.open_threads_of(process)? {
                return Err(ProfileError::NoProcess(process));
            }
        }
        Ok(sampler)
    }

    /// Opens the events of threads that were started since.
    pub(super) fn open_new_threads(&mut self) -> Result<(), ProfileError> {
        for process in self.processes.clone() {
            match self.open_threads_of(process) {
                // There was memory for the threads so far; later ones are left out.
                Ok(_) | Err(ProfileError::LockedMemory) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether no process is left.
    pub(super) fn have_all_ended(&self) -> bool {
        let has_ended = |process: &u32| {
            // A process that has ended is listed, without memory, until its parent waits for it.
            fs::read_to_string(format!("/proc/{process}/statm")).map_or(true, |text| text.starts_with("0 "))
        };
        self.processes.iter().all(has_ended)
    }

    /// Whether samples have the kernel's frames.
    pub(super) fn has_kernel(&self) -> bool {
        self.has_kernel
    }

    /// `false` when there is no thread.
    fn open_threads_of(&mut self, process: u32) -> Result<bool, ProfileError> {
        let place = self.processes.iter().position(|known| *known == process);
        let Ok(entries) = fs::read_dir(format!("/proc/{process}/task")) else {
            return Ok(false);
        };
        let ids = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut is_any = false;
        for id in ids {
            is_any = true;
            let is_known = self.threads.iter().any(|thread| thread.id == id);
            if is_known || self.threads.len() >= THREADS_MAX {
                continue;
            }
            let name = fs::read_to_string(format!("/proc/{process}/task/{id}/comm")).unwrap_or_default();
            if let Some(ring) = self.open_thread(process, id)? {
                if self.lua_processes.contains(&process) {
                    // Without it functions in Lua are missing in the graph, and nothing else.
                    let _ = send_at_samples(&ring, id);
                }
                self.threads.push(Thread {
                    process: place.unwrap_or(0),
                    id,
                    name: name.trim().replace(';', ",").into(),
                    ring,
                });
            }
        }
        Ok(is_any)
    }

    /// `None` when the thread has ended meanwhile.
    fn open_thread(&mut self, process: u32, id: u32) -> Result<Option<Ring>, ProfileError> {
        let counter = loop {
            let mut builder = Builder::new(match self.profiling {
                Profiling::Processor => Software::CPU_CLOCK,
                Profiling::Waiting => Software::CONTEXT_SWITCHES,
            });
            builder
                .observe_pid(id.cast_signed())
                .any_cpu()
                .sample_frequency(u64::from(self.frequency))
                .sample(
                    SampleFlag::TID
                        | SampleFlag::TIME
                        | SampleFlag::PERIOD
                        | SampleFlag::CALLCHAIN
                        | SampleFlag::REGS_USER
                        | SampleFlag::STACK_USER,
                )
                .clockid(Clock::MONOTONIC)
                .exclude_callchain_user(true)
                .sample_regs_user(registers::MASK)
                .sample_stack_user(STACK_BYTES)
                .exclude_kernel(!self.has_kernel)
                .context_switch(self.profiling == Profiling::Waiting)
                .sample_id_all(true)
                .enabled(true);
            match builder.build() {
                Ok(counter) => break counter,
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
                // Threads give their processors up within the kernel.
                Err(error) if self.profiling == Profiling::Waiting && is_refusal(&error) => {
                    return Err(match refused(process, error) {
                        ProfileError::Forbidden(_) if paranoid() == Some(PARANOID_HIDES_KERNEL) => {
                            ProfileError::WaitingHidden(PARANOID_HIDES_KERNEL)
                        }
                        error => error,
                    });
                }
                // The kernel may hide its own frames; those of the process remain.
                Err(error) if self.has_kernel && is_refusal(&error) => self.has_kernel = false,
                Err(error) => return Err(refused(process, error)),
            }
        };
        match counter.sampled(RING_BYTES) {
            Ok(ring) => Ok(Some(ring)),
            Err(error) if is_refusal(&error) => Err(ProfileError::LockedMemory),
            Err(error) => Err(error.into()),
        }
    }

    /// Passes what the kernel has told since the last read to `take`, and returns the number of lost samples.
    pub(super) fn read(&mut self, mut take: impl FnMut(Told<'_>)) -> u64 {
        let mut lost = 0;
        for thread in &mut self.threads {
            while let Some(record) = thread.ring.next_record() {
                if record.ty() == RECORD_SWITCH {
                    let misc = record.misc();
                    if misc & MISC_SWITCH_OUT == 0 {
                        // Of all that such a record has, the process and the thread come first, then the time.
                        let bytes = record.to_contiguous();
                        let time = bytes.get(8..).and_then(|bytes| bytes.first_chunk());
                        take(match time {
                            Some(time) => Told::Runs(thread.id, u64::from_ne_bytes(*time)),
                            None => Told::Lost(thread.id),
                        });
                    } else if misc & MISC_SWITCH_OUT_PREEMPT != 0 {
                        take(Told::Preempted(thread.id));
                    }
                    continue;
                }
                match record.parse_record() {
                    Ok(Record::Lost(record)) => {
                        lost += record.lost;
                        take(Told::Lost(thread.id));
                    }
                    Ok(Record::Sample(sample)) => {
                        let user = sample
                            .regs_user()
                            .filter(|user| user.abi == SampleRegsAbi::ABI_64)
                            .and_then(|user| registers::read(&user.regs));
                        let Some(registers) = user else {
                            continue;
                        };
                        let kernel = sample.callchain().unwrap_or_default().iter();
                        take(Told::Sample(Box::new(Sample {
                            process: thread.process,
                            thread: Arc::clone(&thread.name),
                            id: thread.id,
                            time_ns: sample.time().unwrap_or(0),
                            kernel: kernel.copied().filter(|address| *address < MARKS).collect(),
                            registers,
                            stack: sample.stack_user().unwrap_or_default(),
                            period: sample.period().unwrap_or(1),
                        })));
                    }
                    _ => {}
                }
            }
        }
        lost
    }
}

/// How much the kernel allows users who are not root; `None` when it does not say.
fn paranoid() -> Option<i32> {
    let text = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok()?;
    text.trim().parse().ok()
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM))
}

/// Why the kernel did not open an event.
fn refused(process: u32, error: io::Error) -> ProfileError {
    if matches!(
        error.raw_os_error(),
        Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::ENOENT)
    ) {
        return ProfileError::Unsupported;
    }
    if !is_refusal(&error) {
        return error.into();
    }
    let owner = fs::metadata(format!("/proc/{process}")).map(|metadata| metadata.uid());
    let me = rustix::process::geteuid().as_raw();
    if let Ok(owner) = owner
        && me != 0
        && owner != me
    {
        return ProfileError::NotYours { process, owner };
    }
    match paranoid() {
        Some(paranoid) if paranoid > PARANOID_HIDES_KERNEL => ProfileError::Paranoid(paranoid),
        _ => ProfileError::Forbidden(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_the_kernel_are_distinguished() {
        let refusal = |code| refused(std::process::id(), io::Error::from_raw_os_error(code));
        assert!(matches!(refusal(libc::ENOSYS), ProfileError::Unsupported));
        assert!(matches!(
            refusal(libc::EACCES),
            ProfileError::Forbidden(_) | ProfileError::Paranoid(_)
        ));
        assert!(matches!(refusal(libc::EMFILE), ProfileError::System(_)));
    }
}
