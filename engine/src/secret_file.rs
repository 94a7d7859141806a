//! Files that only the node may read: secrets, tokens, keys.
//!
//! Invariant: what was read is overwritten in memory when it is dropped, and no copy is left behind.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use zeroize::Zeroizing;

/// The bits of a mode that let everybody read or change a file.
const MODE_OTHERS: u32 = 0o007;

/// The same for its group, which may have them where the file belongs to somebody else, such as root.
const MODE_GROUP: u32 = 0o070;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Anybody.
    All,
    /// Only its owner, and its group if it belongs to somebody else than the user of the node.
    Owner,
}

/// Reads a regular file of at most so many bytes.
///
/// # Errors
/// What is wrong with the file, without its path.
pub(crate) fn read(file: &Path, bytes_max: u64, readers: Readers) -> Result<Zeroizing<Vec<u8>>, String> {
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    // Opening a pipe without a writer would wait for ever.
    if !fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err("not a regular file".to_owned());
    }
    let opened = File::open(file).map_err(unreadable)?;
    // Of what was opened, not of what the name leads to meanwhile.
    let metadata = opened.metadata().map_err(unreadable)?;
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    let forbidden = if is_own {
        MODE_OTHERS | MODE_GROUP
    } else {
        MODE_OTHERS
    };
    if readers == Readers::Owner && metadata.mode() & forbidden != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(format!(
            "others may read or change it (its mode is {mode:04o}); protect it with: chmod 600 {}",
            file.display()
        ));
    }
    // Room for all of it: a buffer that grows would leave copies behind.
    let room = usize::try_from(metadata.len().min(bytes_max)).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    opened
        .take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    match (bytes.len() as u64 > bytes_max, readers) {
        (false, _) => Ok(bytes),
        (true, Readers::All) => Err(format!("larger than {bytes_max} bytes")),
        (true, Readers::Owner) => Err(format!(
            "larger than {bytes_max} bytes, so it is no file with secrets"
        )),
    }
}
