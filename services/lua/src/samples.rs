//! Lua stacks for profilers of other processes: while a profiler samples this process, it sends the shards' threads a
//! signal at each sample, and the stack of the running coroutine is written to a file in memory that the profiler reads.
//!
//! The file is a ring of slots. A slot has the number of the sample, the thread, the time of the signal on the monotonic
//! clock in ns, and the functions from the outermost on, separated by `;`, as one line of text. The line begins and ends
//! with the number, so that a reader recognises a slot that is being written.
//!
//! Nothing is written, and no signal sent, while nobody samples.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, memfd_create};

/// The name of the file, by which profilers find it among a process's files.
const FILE: &str = "skyring-lua-samples";

/// Bytes of a slot, and how many there are.
const SLOT_BYTES: usize = 2_048;
const SLOTS: u64 = 256;

static SAMPLES: OnceLock<Option<File>> = OnceLock::new();
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Creates the file. Without one there are no samples.
pub(crate) fn prepare() {
    SAMPLES.get_or_init(|| memfd_create(FILE, MemfdFlags::CLOEXEC).ok().map(File::from));
}

/// Writes a sample.
pub(crate) fn write(thread: u32, time_ns: u64, functions: &str) {
    let Some(Some(file)) = SAMPLES.get() else {
        return;
    };
    let number = TAKEN.fetch_add(1, Ordering::Relaxed) + 1;
    let mut line = format!("{number} {thread} {time_ns} ");
    let end = format!(" {number}\n");
    let room = SLOT_BYTES - line.len() - end.len();
    let mut length = functions.len().min(room);
    while !functions.is_char_boundary(length) {
        length -= 1;
    }
    line.push_str(functions.get(..length).unwrap_or_default());
    line.push_str(&end);
    let mut slot = line.into_bytes();
    slot.resize(SLOT_BYTES, 0);
    // A sample that is lost is one of many.
    let _ = file.write_all_at(&slot, (number % SLOTS) * SLOT_BYTES as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_one_line_that_begins_and_ends_with_its_number_however_long_it_is() {
        prepare();
        let long = "é (a.lua:1);".repeat(1_000);
        for functions in ["handle (service/db.lua:12)", &long] {
            write(7, 99, functions);
            let number = TAKEN.load(Ordering::Relaxed);
            let file = SAMPLES.get().unwrap().as_ref().unwrap();
            let mut slot = vec![0; SLOT_BYTES];
            file.read_exact_at(&mut slot, (number % SLOTS) * SLOT_BYTES as u64)
                .unwrap();
            let text = String::from_utf8(slot).unwrap();
            let line = text.trim_end_matches('\0').strip_suffix('\n').unwrap();
            assert!(line.starts_with(&format!("{number} 7 99 ")), "{line}");
            assert!(line.ends_with(&format!(" {number}")), "{line}");
        }
    }
}
