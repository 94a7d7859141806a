//! A folder for generated files, gone when it is dropped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Folders of this process so far, so that each has a name of its own.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A new folder among the system's temporary files; dropping it removes it with all that is in it.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes the folder; `purpose` is a part of its name.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(purpose: &str) -> io::Result<Scratch> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("skyring-{purpose}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Not `create_dir_all`: a folder that somebody else prepared under this name is not ours.
        fs::create_dir(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok(Scratch(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
