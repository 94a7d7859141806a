//! What tells one version of a file from the next without reading it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The identity, size, times and mode of a file; `None` where there is no file.
pub(crate) type Mark = Option<[i128; 6]>;

/// The mark of a file now.
pub(crate) fn mark(file: &Path) -> Mark {
    let found = fs::metadata(file).ok()?;
    let times = [
        (found.mtime(), found.mtime_nsec()),
        (found.ctime(), found.ctime_nsec()),
    ];
    let [modified, changed] =
        times.map(|(seconds, nanoseconds)| i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds));
    let [device, inode, bytes] = [found.dev(), found.ino(), found.len()].map(i128::from);
    Some([device, inode, bytes, modified, changed, i128::from(found.mode())])
}

/// The versions of files, by their marks: that at the last look, and that which was read last.
///
/// A change is read once it has lasted from one look to the next, so that files are seldom read while they are written.
#[derive(Debug)]
pub(crate) struct Changes<M> {
    seen: M,
    read: M,
}

impl<M: PartialEq + Clone> Changes<M> {
    /// The version that was read.
    pub(crate) fn new(read: M) -> Changes<M> {
        Changes {
            seen: read.clone(),
            read,
        }
    }

    /// Takes the marks of now; returns whether they are those of the last look.
    pub(crate) fn see(&mut self, now: M) -> bool {
        let is_settled = now == self.seen;
        self.seen = now;
        is_settled
    }

    /// Whether the files are others than those that were read.
    pub(crate) fn are_new(&self) -> bool {
        self.seen != self.read
    }

    /// The files are read as they were seen.
    pub(crate) fn accept(&mut self) {
        self.read.clone_from(&self.seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_due_once_it_has_lasted_from_one_look_to_the_next() {
        let mut changes = Changes::new(0);
        let mut due = |now| {
            let is_due = changes.see(now) && changes.are_new();
            if is_due {
                changes.accept();
            }
            is_due
        };
        let looks = [0, 1, 2, 2, 2, 3, 2, 2, 4, 4];
        let expected = [false, false, false, true, false, false, false, false, false, true];
        assert_eq!(looks.map(&mut due), expected);
    }
}
