//! The process of the node, as the kernel has it.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

use crate::status::ProcessStatus;

/// The figures of this process. What cannot be read is 0.
pub(super) fn status(open_files_max: u64) -> ProcessStatus {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number = |key: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let word = line.and_then(|rest| rest.split_whitespace().next());
        word.and_then(|word| word.parse().ok()).unwrap_or(0)
    };
    let time = clock_gettime(ClockId::ProcessCPUTime);
    ProcessStatus {
        id: std::process::id(),
        memory_bytes: number("VmRSS:") << 10,
        processor_ms: time.tv_sec.unsigned_abs() * 1_000 + time.tv_nsec.unsigned_abs() / 1_000_000,
        open_files: fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
        open_files_max,
        threads: number("Threads:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_threads_and_files() {
        let status = status(7);
        assert_eq!((status.id, status.open_files_max), (std::process::id(), 7));
        assert!(status.memory_bytes > 100_000 && status.threads > 0 && status.open_files > 2);
    }
}
