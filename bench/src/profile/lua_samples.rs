//! The Lua stacks that a Skyring process writes down when its threads are sampled.
//!
//! The process has a file in memory for them, a ring of slots whose form `services/lua/src/samples.rs` describes. A process
//! without such a file has no Lua, or is no Skyring node.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// The name of the file among a process's files.
const FILE: &str = "/memfd:skyring-lua-samples";

/// Bytes of a slot, and how many there are.
const SLOT_BYTES: usize = 2_048;
const SLOTS: u64 = 256;

/// A Lua stack.
pub(super) struct LuaSample {
    pub(super) thread: u32,
    /// When the thread got the signal, on the monotonic clock.
    pub(super) time_ns: u64,
    /// Functions from the outermost on, separated by `;`.
    pub(super) functions: Arc<str>,
}

/// The file of one process.
pub(super) struct LuaSamples {
    file: File,
    /// The number of the next sample.
    next: u64,
}

impl LuaSamples {
    /// The file of a process; `None` when it has none, or nobody else may read it.
    pub(super) fn open(process: u32) -> Option<LuaSamples> {
        let files = fs::read_dir(format!("/proc/{process}/fd")).ok()?;
        let path = files.flatten().map(|entry| entry.path()).find(|path| {
            fs::read_link(path).is_ok_and(|target| target.to_string_lossy().starts_with(FILE))
        })?;
        let file = File::open(path).ok()?;
        let mut samples = LuaSamples { file, next: 1 };
        // What was written before is of another profile.
        samples.next = (0..SLOTS)
            .filter_map(|slot| samples.read_slot(slot))
            .map(|(number, _)| number + 1)
            .max()
            .unwrap_or(1);
        Some(samples)
    }

    /// Passes the samples since the last read to `take`.
    pub(super) fn read(&mut self, mut take: impl FnMut(LuaSample)) {
        for _ in 0..SLOTS {
            let Some((number, sample)) = self.read_slot(self.next % SLOTS) else {
                return;
            };
            if number < self.next {
                return;
            }
            // A later number: those between were overwritten.
            self.next = number + 1;
            take(sample);
        }
    }

    fn read_slot(&self, slot: u64) -> Option<(u64, LuaSample)> {
        let mut bytes = vec![0; SLOT_BYTES];
        self.file
            .read_exact_at(&mut bytes, slot * SLOT_BYTES as u64)
            .ok()?;
        parse(&bytes)
    }
}

/// A slot, unless it is empty or being written.
fn parse(bytes: &[u8]) -> Option<(u64, LuaSample)> {
    let text = String::from_utf8_lossy(bytes);
    let line = text.split('\n').next()?;
    let (number, rest) = line.split_once(' ')?;
    let (thread, rest) = rest.split_once(' ')?;
    let (time_ns, rest) = rest.split_once(' ')?;
    let functions = rest.strip_suffix(number)?.strip_suffix(' ')?;
    Some((
        number.parse().ok()?,
        LuaSample {
            thread: thread.parse().ok()?,
            time_ns: time_ns.parse().ok()?,
            functions: functions.into(),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_read_when_it_is_whole() {
        let (number, sample) = parse(b"12 34 56 a (b.lua:1);c d [C] 12\n\0\0").unwrap();
        assert_eq!((number, sample.thread, sample.time_ns), (12, 34, 56));
        assert_eq!(&*sample.functions, "a (b.lua:1);c d [C]");
        for bytes in [
            &b"\0\0"[..],
            b"12 34 56 a 11\n",
            b"12 34 56 a 12",
            b"12 x 56 a 12\n",
            b"12 34 56 ",
        ] {
            let is_whole = bytes == b"12 34 56 a 12";
            assert_eq!(
                parse(bytes).is_some(),
                is_whole,
                "{}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    #[test]
    fn a_process_without_lua_has_no_such_file() {
        assert!(LuaSamples::open(1).is_none());
        assert!(LuaSamples::open(u32::MAX).is_none());
    }
}
