//! A node in the background, as `daemon = "FILE"` in a config asks for: the file holds its process id while it runs.
//!
//! The command starts itself once more instead of forking, so the node begins as a process without threads. It has a
//! session of its own, reads nothing and writes nothing. The command that the user started waits until the node runs
//! or has failed, and ends with its exit code.
//!
//! Invariants: whoever holds the lock of the file runs; a file that a killed node left behind has no lock, and is
//! taken over. The node that holds the lock removes the file at its end.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use super::Arguments;
use crate::shared::output::{EXIT_FAILURE, fail};

/// The flag of the process that is the node.
pub(super) const CHILD_FLAG: &str = "--daemon-child";

/// What the node writes to its standard error when it runs, before it closes that.
const STARTED: &[u8] = b"skyring: started\n";

/// How often the file is opened again because it was removed before it could be locked.
const ATTEMPTS_MAX: usize = 8;

/// The most text of a process id in a file, in bytes.
const ID_BYTES_MAX: u64 = 32;

/// Starts the node in the background, waits until it runs or has failed, and returns its exit code.
pub(super) fn start(pid_file: &Path, is_logged: bool, arguments: &Arguments) -> ExitCode {
    // Checked here too, so that the refusal comes from the command itself.
    if let Err(error) = PidFile::lock(pid_file).map(PidFile::release) {
        return fail(EXIT_FAILURE, error);
    }
    if !is_logged {
        let warning = "warning: daemon without logger: log lines are lost; set logger = \"FILE\"\n";
        let _ = io::stderr().write_all(warning.as_bytes());
    }
    // The program as it was started, also when its file was replaced since.
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    command.args(["run", CHILD_FLAG]);
    if let Some(runtime) = arguments.runtime.given() {
        command.args(["--runtime", runtime.name()]);
    }
    command
        .arg("--")
        .arg(&arguments.config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let started = command.spawn().and_then(|mut node| {
        let mut written = Vec::new();
        if let Some(mut stderr) = node.stderr.take() {
            stderr.read_to_end(&mut written)?;
        }
        let (text, has_started) = match written.strip_suffix(STARTED) {
            Some(text) => (text, true),
            None => (&written[..], false),
        };
        let _ = io::stderr().write_all(text);
        if has_started {
            return Ok(ExitCode::SUCCESS);
        }
        let code = node.wait()?.code().and_then(|code| u8::try_from(code).ok());
        // One that was killed, or ended by itself as it started, has not said why.
        Ok(ExitCode::from(
            code.filter(|code| *code != 0).unwrap_or(EXIT_FAILURE),
        ))
    });
    started.unwrap_or_else(|error| fail(EXIT_FAILURE, format!("cannot start in the background: {error}")))
}

/// Makes this process a daemon: takes the file, in a session of its own.
///
/// # Errors
/// When the file cannot be written, or another process holds it.
pub(super) fn enter(pid_file: &Path) -> Result<PidFile, DaemonError> {
    // Fails only for the leader of a group, which then has no terminal to leave.
    let _ = rustix::process::setsid();
    let mut file = PidFile::lock(pid_file)?;
    let written = file.write();
    written.map_err(|error| DaemonError::new(pid_file, error))?;
    Ok(file)
}

/// Tells the command that the node runs, and closes the standard error.
pub(super) fn report_started() {
    let _ = io::stderr().write_all(STARTED);
    // Without it later errors go to a pipe that nobody reads, which has no other effect.
    if let Ok(nowhere) = OpenOptions::new().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stderr(nowhere);
    }
}

/// Why a node does not run in the background.
#[derive(Debug, thiserror::Error)]
pub(super) enum DaemonError {
    /// The file cannot be opened, locked or written.
    #[error("daemon: {file}: {error}", file = .file.display())]
    File {
        /// The file of the process id.
        file: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The file is another one than that of a process id.
    #[error("daemon: {file} {why}: it would be overwritten; name a file of its own", file = .file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// What it is.
        why: &'static str,
    },
    /// Another process holds the file.
    #[error("already running{process}, which holds {file}", file = .file.display())]
    Running {
        /// The file of the process id.
        file: PathBuf,
        /// The other process, if the file says which.
        process: String,
    },
}

impl DaemonError {
    fn foreign(file: &Path, why: &'static str) -> DaemonError {
        DaemonError::Foreign {
            file: file.to_owned(),
            why,
        }
    }

    fn new(file: &Path, error: io::Error) -> DaemonError {
        DaemonError::File {
            file: file.to_owned(),
            error,
        }
    }
}

/// The file with the process id, locked. It is removed on drop.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
    file: File,
    is_ours: bool,
}

impl PidFile {
    /// Opens the file, or creates it, and locks it.
    fn lock(path: &Path) -> Result<PidFile, DaemonError> {
        let fault = |error| DaemonError::new(path, error);
        for _ in 0..ATTEMPTS_MAX {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false);
            if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
                return Err(DaemonError::foreign(path, "is no regular file"));
            }
            let file = file.open(path).map_err(fault)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let process = process_id(&file).map(|id| format!(" as process {id}"));
                    return Err(DaemonError::Running {
                        file: path.to_owned(),
                        process: process.unwrap_or_default(),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(fault(error)),
            }
            // The one that held it before may have removed it between the two steps.
            let locked = file.metadata().map_err(fault)?;
            if is_named(path, &file) {
                // One that a killed node has left behind has its process id, or nothing if it was killed early.
                if locked.len() > 0 && process_id(&file).is_none() {
                    return Err(DaemonError::foreign(path, "has something else than a process id"));
                }
                return Ok(PidFile {
                    path: path.to_owned(),
                    file,
                    is_ours: true,
                });
            }
        }
        Err(fault(io::Error::other("it is removed again and again")))
    }

    /// Gives the file up without removing it.
    fn release(mut self) {
        self.is_ours = false;
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file
            .write_all(format!("{}\n", std::process::id()).as_bytes())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Somebody may have removed it, and another node may have made its own since.
        if self.is_ours && is_named(&self.path, &self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the path still names this file.
fn is_named(path: &Path, file: &File) -> bool {
    match (fs::metadata(path), file.metadata()) {
        (Ok(named), Ok(open)) => named.ino() == open.ino() && named.dev() == open.dev(),
        _ => false,
    }
}

/// The process id in a file.
fn process_id(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(ID_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_held_by_one_process_at_a_time_and_removed_at_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.pid");
        // One that a killed node has left behind.
        fs::write(&path, "1\n").unwrap();
        let mut held = PidFile::lock(&path).unwrap();
        held.write().unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{}\n", std::process::id())
        );
        let refused = PidFile::lock(&path).unwrap_err().to_string();
        let expected = format!(
            "already running as process {}, which holds {}",
            std::process::id(),
            path.display()
        );
        assert_eq!(refused, expected);
        assert!(path.exists());
        drop(held);
        assert!(!path.exists());
        PidFile::lock(&path).unwrap().release();
        assert!(path.exists());
    }

    #[test]
    fn a_file_of_somebody_else_is_neither_overwritten_nor_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.pid");
        for text in ["thread = 4\n", "12 monkeys", "\u{0}"] {
            fs::write(&path, text).unwrap();
            let refused = PidFile::lock(&path).unwrap_err().to_string();
            assert!(refused.contains("something else than a process id"), "{refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        for other in [Path::new("/dev/null"), folder.path()] {
            let refused = PidFile::lock(other).unwrap_err().to_string();
            assert!(refused.contains("is no regular file"), "{refused}");
        }
        // Another node has made a file of this name meanwhile.
        fs::write(&path, "").unwrap();
        let held = PidFile::lock(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "1\n").unwrap();
        drop(held);
        assert!(path.exists());
    }

    #[test]
    fn a_file_that_cannot_be_made_is_named() {
        let error = PidFile::lock(Path::new("/nowhere/node.pid"))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("daemon: /nowhere/node.pid: "), "{error}");
    }
}
