//! The resident memory of a process.

use std::fs;

/// The resident memory of a process, in bytes; `None` when there is no such process.
pub fn resident_bytes(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
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
        assert_eq!(resident_bytes(u32::MAX), None);
    }
}
