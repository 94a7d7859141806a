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

/// The file beside another one for where threads wait: `a-waiting.svg` of `a.svg`.
pub(crate) fn waiting_file(path: &Path) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push("-waiting");
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Whether an option for a file names the standard output.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_waiting_is_beside_the_other_one() {
        for (path, expected) in [
            ("a.svg", "a-waiting.svg"),
            ("b/a.b.svg", "b/a.b-waiting.svg"),
            ("/x/a", "/x/a-waiting"),
        ] {
            assert_eq!(waiting_file(Path::new(path)), Path::new(expected));
        }
    }
}
