//! The memory of a process.

use std::fs;

/// The resident memory of a process, in bytes; `None` when there is no such process.
pub fn resident_bytes(process: u32) -> Option<u64> {
    bytes_of("VmRSS:", &format!("/proc/{process}/status"))
}

/// The same with memory that several processes share, as the program's code, divided among them.
pub(crate) fn proportional_bytes(process: u32) -> Option<u64> {
    bytes_of("Pss:", &format!("/proc/{process}/smaps_rollup"))
}

/// The bytes behind a name in a file of the kernel.
fn bytes_of(name: &str, file: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_fills_memory_has_more_of_it() {
        let before = resident_bytes(std::process::id()).unwrap();
        let filled = vec![1u8; 64 << 20];
        let after = resident_bytes(std::process::id()).unwrap();
        assert!(after >= before + (32 << 20), "{before} {after} {}", filled.len());
        assert!(proportional_bytes(std::process::id()).unwrap() >= 32 << 20);
        assert_eq!(
            (resident_bytes(u32::MAX), proportional_bytes(u32::MAX)),
            (None, None)
        );
    }
}
