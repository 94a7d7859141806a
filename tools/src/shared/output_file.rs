//! Files that a command writes its results to, opened before it measures anything.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// An empty file, open for writing.
pub(crate) struct OutputFile {
    path: PathBuf,
    file: File,
}

impl OutputFile {
    /// Creates or truncates the file of an option; `None` when there is no such option, or when it names the
    /// standard output.
    pub(crate) fn create(path: Option<&Path>) -> Result<Option<OutputFile>, String> {
        let Some(path) = path.filter(|path| !is_stdout(path)) else {
            return Ok(None);
        };
        let file =
            File::create(path).map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
        Ok(Some(OutputFile {
            path: path.to_owned(),
            file,
        }))
    }

    /// Appends to the file. An error names the file.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.file
            .write_all(bytes)
            .map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

/// Whether an option for a file names the standard output.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}
