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
