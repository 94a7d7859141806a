//! A declared length reserves no memory. The test has a binary of its own, because it measures the whole process.

use skyring_codec::seri::{UnpackError, Value, from_bytes, unpack_all};

/// The length that every table of the hostile payload declares, and about the length of that payload.
const DECLARED: u32 = 1 << 20;

/// How much the address space may grow. Memory for one declared length would take a large part of this, for all 33
/// of them several times as much.
const GROWTH_KIB_MAX: u64 = 128 << 10;

/// The most address space that this process has ever had, in KiB.
fn address_space_kib_max() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has this file");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmPeak:"))
        .expect("and this line");
    line.trim()
        .trim_end_matches("kB")
        .trim()
        .parse()
        .expect("a number of KiB")
}

#[test]
fn nested_declared_lengths_reserve_almost_nothing() {
    let mut payload = Vec::new();
    for _ in 0..33 {
        payload.extend_from_slice(b"\xfe\x22");
        payload.extend_from_slice(&DECLARED.to_le_bytes());
    }
    payload.resize(payload.len() + DECLARED as usize + 1, 0);

    let before = address_space_kib_max();
    assert!(matches!(unpack_all(&payload), Err(UnpackError::TooDeep { .. })));
    assert!(from_bytes::<Value>(&payload).is_err());
    assert!(from_bytes::<Vec<Vec<Vec<Vec<String>>>>>(&payload).is_err());
    let growth = address_space_kib_max() - before;
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB");
}
