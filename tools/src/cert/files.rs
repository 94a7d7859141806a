//! The files of certificates and keys: nothing is overwritten by mistake, and keys are for their owner only.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The largest file that is read as a key, in bytes.
const KEY_BYTES_MAX: u64 = 64 << 10;

/// Checks that none of the files is there, unless they are to be overwritten.
pub(super) fn check_free(files: &[&Path], is_forced: bool) -> Result<(), String> {
    let taken = files.iter().find(|file| file.symlink_metadata().is_ok());
    match taken {
        Some(file) if !is_forced => Err(format!(
            "{}: is there already; name another --folder, or overwrite it with --force",
            file.display()
        )),
        _ => Ok(()),
    }
}

/// Writes a key: into a new file, so that whoever has the old one open does not see it, and that its mode is right from
/// the first byte on.
pub(super) fn write_key(file: &Path, pem: &str, is_forced: bool) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("{}: cannot be written: {error}", file.display());
    if is_forced && file.symlink_metadata().is_ok() {
        fs::remove_file(file).map_err(cannot)?;
    }
    let mut opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .map_err(cannot)?;
    opened.write_all(pem.as_bytes()).map_err(cannot)
}

/// Writes a certificate.
pub(super) fn write_certificate(file: &Path, pem: &str) -> Result<(), String> {
    fs::write(file, pem).map_err(|error| format!("{}: cannot be written: {error}", file.display()))
}

/// Reads the key of a CA.
pub(super) fn read_key(file: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => format!(
            "{}: there is no CA in this folder; make one with: skyring cert ca",
            file.display()
        ),
        _ => format!("{}: cannot be read: {error}", file.display()),
    };
    let metadata = fs::metadata(file).map_err(cannot)?;
    if !metadata.is_file() || metadata.len() > KEY_BYTES_MAX {
        return Err(format!("{}: no file of a key", file.display()));
    }
    fs::read_to_string(file).map_err(cannot)
}
