//! A revision of the project, built in a git worktree of its own.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::error::AbError;
use crate::interrupt::Interrupt;
use crate::temp_dir::TempDir;

/// Time between two looks at a build.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Bytes of a failed command's output that are kept.
const OUTPUT_BYTES_MAX: u64 = 64 << 10;

/// Where builds of revisions are kept, below the repository's folder: the second one then only builds what differs.
const TARGET_FOLDER: &str = "target/ab";

/// A program that was built of a revision. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct Revision {
    /// The commit.
    pub commit: String,
    /// The program.
    pub program: PathBuf,
    _folder: TempDir,
}

/// The commit that a text names in the repository of the current folder, if any.
pub fn is_revision(text: &str) -> Option<String> {
    if text.starts_with('-') {
        return None;
    }
    let wanted = format!("{text}^{{commit}}");
    let output = git(None)
        .args(["rev-parse", "--verify", "--quiet", &wanted])
        .output()
        .ok()?;
    let commit = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !commit.is_empty()).then_some(commit)
}

/// Builds the command of a commit. The worktree is removed afterwards, whatever happens.
///
/// # Errors
/// [`AbError::Build`].
pub fn build_revision(name: &str, commit: &str, interrupt: &Interrupt) -> Result<Revision, AbError> {
    let failed = |cause: String| AbError::Build {
        revision: name.to_owned(),
        cause,
    };
    let top = output(git(None).args(["rev-parse", "--show-toplevel"]), interrupt)?.map_err(failed)?;
    let repository = PathBuf::from(top.trim());
    let folder = TempDir::new("ab")?;
    let worktree = Worktree {
        repository: repository.clone(),
        path: folder.path().join("worktree"),
    };
    output(
        git(Some(&repository))
            .args(["worktree", "add", "--detach", "--quiet"])
            .arg(&worktree.path)
            .arg(commit),
        interrupt,
    )?
    .map_err(failed)?;
    let target = repository.join(TARGET_FOLDER);
    let mut build = Command::new("cargo");
    build
        .args(["build", "--release", "--quiet", "-p", "skyring-tools"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(&worktree.path);
    output(&mut build, interrupt)?.map_err(failed)?;
    let program = folder.path().join("skyring");
    fs::copy(target.join("release/skyring"), &program)?;
    drop(worktree);
    Ok(Revision {
        commit: commit.to_owned(),
        program,
        _folder: folder,
    })
}

/// A worktree, removed when it is dropped.
struct Worktree {
    repository: PathBuf,
    path: PathBuf,
}

impl Drop for Worktree {
    fn drop(&mut self) {
        // What cannot be removed is left to `git worktree prune`, since its folder vanishes with the temporary one.
        let _ = git(Some(&self.repository))
            .args(["worktree", "remove", "--force"])
            .arg(&self.path)
            .output();
    }
}

fn git(folder: Option<&Path>) -> Command {
    let mut command = Command::new("git");
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    command
}

/// Runs a command to its end, and returns what it wrote to its standard output, or to its standard error when it failed.
fn output(command: &mut Command, interrupt: &Interrupt) -> Result<Result<String, String>, AbError> {
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(Err(format!("{name}: {error}"))),
    };
    let (out, error) = (child.stdout.take(), child.stderr.take());
    let out = thread::spawn(move || read_all(out));
    let error = thread::spawn(move || read_all(error));
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if interrupt.requested() {
            // It has ended when this fails.
            let _ = child.kill();
            child.wait()?;
            return Err(AbError::Interrupted);
        }
        thread::sleep(POLL_INTERVAL);
    };
    let (out, error) = (out.join().unwrap_or_default(), error.join().unwrap_or_default());
    if status.success() {
        return Ok(Ok(out));
    }
    let cause = error
        .lines()
        .find(|line| line.starts_with("error") || line.starts_with("fatal"));
    Ok(Err(format!(
        "{name}: {}",
        cause.or(error.lines().last()).unwrap_or("it failed")
    )))
}

/// The beginning of a stream; the rest is read and dropped, so that the writer is not blocked.
fn read_all(stream: Option<impl std::io::Read>) -> String {
    let Some(mut stream) = stream else {
        return String::new();
    };
    let mut kept = Vec::new();
    // What could not be read is missing from an error's text.
    let _ = (&mut stream).take(OUTPUT_BYTES_MAX).read_to_end(&mut kept);
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
    String::from_utf8_lossy(&kept).into_owned()
}
