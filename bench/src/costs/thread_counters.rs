//! Counters that the kernel keeps for the threads of a process.

use std::fs;
use std::io;

use perf_event::events::{Event, Hardware, Tracepoint};
use perf_event::{Builder, Counter};

/// Threads of a process that are counted; further ones are not.
const THREADS_MAX: usize = 256;

/// Where the kernel says which number a tracepoint has.
const TRACEPOINT_FILES: [&str; 2] = [
    "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id",
    "/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id",
];

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    SystemCalls,
    Cycles,
    Instructions,
    CacheMisses,
    BranchMisses,
}

impl Counted {
    pub(super) const ALL: [Counted; 5] = [
        Counted::SystemCalls,
        Counted::Cycles,
        Counted::Instructions,
        Counted::CacheMisses,
        Counted::BranchMisses,
    ];
}

/// One count of all threads of a process.
pub(super) struct ThreadCounters(Vec<Counter>);

impl ThreadCounters {
    /// Counts from now on. Threads that start later are not counted, nor is the thread that reads the counts.
    ///
    /// # Errors
    /// The reason, for a user.
    pub(super) fn open(process: u32, counted: Counted) -> Result<ThreadCounters, String> {
        let threads = fs::read_dir(format!("/proc/{process}/task")).map_err(|error| error.to_string())?;
        let ids = threads
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut counters = Vec::new();
        let reader = rustix::thread::gettid().as_raw_nonzero().get();
        for id in ids.filter(|id| *id != reader).take(THREADS_MAX) {
            let opened = match counted {
                Counted::SystemCalls => open_one(id, Tracepoint::with_id(tracepoint()?)),
                Counted::Cycles => open_one(id, Hardware::CPU_CYCLES),
                Counted::Instructions => open_one(id, Hardware::INSTRUCTIONS),
                Counted::CacheMisses => open_one(id, Hardware::CACHE_MISSES),
                Counted::BranchMisses => open_one(id, Hardware::BRANCH_MISSES),
            };
            match opened {
                Ok(counter) => counters.push(counter),
                // The thread has ended meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                Err(error) => return Err(reason(&error)),
            }
        }
        Ok(ThreadCounters(counters))
    }

    /// The sum of all threads.
    pub(super) fn read(&mut self) -> Option<u64> {
        self.0.iter_mut().map(|counter| counter.read().ok()).sum()
    }
}

fn open_one(thread: i32, event: impl Event) -> io::Result<Counter> {
    // Without the kernel's part, where it is not allowed, a count would be another one than its name says; a system call
    // is counted at its entry, which is in the kernel.
    Builder::new(event)
        .observe_pid(thread)
        .any_cpu()
        .exclude_kernel(false)
        .exclude_hv(false)
        .enabled(true)
        .build()
}

fn tracepoint() -> Result<u64, String> {
    TRACEPOINT_FILES
        .iter()
        .find_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
        .ok_or_else(|| "the kernel's tracepoints can only be read by root, with tracefs mounted".to_owned())
}

fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV) => {
            "this machine has no such counter, as many virtual machines".to_owned()
        }
        Some(libc::EACCES | libc::EPERM) => {
            "the kernel forbids it: root may, or everybody with kernel.perf_event_paranoid at 1 or lower"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_calls_of_a_thread_are_counted_where_the_kernel_allows_it() {
        let (begin, begun) = std::sync::mpsc::channel::<()>();
        let (end, ended) = std::sync::mpsc::channel();
        let worker = std::thread::spawn(move || {
            begun.recv().expect("the test counts");
            for _ in 0..100 {
                let _ = fs::metadata("/");
            }
            end.send(()).expect("the test waits");
            // It is read before the thread ends.
            let _ = begun.recv();
        });
        match ThreadCounters::open(std::process::id(), Counted::SystemCalls) {
            Ok(mut counters) => {
                let before = counters.read().expect("it is readable");
                begin.send(()).expect("it waits");
                ended.recv().expect("it is done");
                let after = counters.read().expect("it is readable");
                assert!(after - before >= 100, "{before} {after}");
            }
            Err(reason) => assert!(reason.contains("root"), "{reason}"),
        }
        let _ = begin.send(());
        drop(begin);
        worker.join().expect("no panic");
    }

    #[test]
    fn what_a_machine_does_not_count_has_a_reason() {
        for counted in Counted::ALL {
            if let Err(reason) = ThreadCounters::open(std::process::id(), counted) {
                assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
            }
        }
        assert!(ThreadCounters::open(u32::MAX, Counted::Cycles).is_err());
    }
}
