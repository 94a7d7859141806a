//! What git knows about a revision and about the folder.

use std::path::Path;
use std::process::Command;

use super::error::HistoryError;

/// A revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionFacts {
    /// The commit.
    pub commit: String,
    /// When it was committed, in seconds since 1970.
    pub unix: u64,
    /// The same as `2026-11-29 20:10`, in the time of the world.
    pub date: String,
    /// The first line of its message.
    pub title: String,
}

/// The facts of a revision of the repository in the current folder.
///
/// # Errors
/// [`HistoryError::Revision`].
pub fn revision_facts(revision: &str) -> Result<RevisionFacts, HistoryError> {
    let failed = |cause: String| HistoryError::Revision {
        revision: revision.to_owned(),
        cause,
    };
    if revision.starts_with('-') {
        return Err(failed("it begins with -".to_owned()));
    }
    let commit = format!("{revision}^{{commit}}");
    let text = git(&[
        "show",
        "--no-patch",
        "--no-show-signature",
        "--date=format-local:%Y-%m-%d %H:%M",
        "--format=%H%n%ct%n%cd%n%s",
        &commit,
    ])
    .map_err(failed)?;
    let mut lines = text.lines().map(str::to_owned);
    let (Some(commit), Some(unix), Some(date)) = (lines.next(), lines.next(), lines.next()) else {
        return Err(failed("git said nothing of it".to_owned()));
    };
    Ok(RevisionFacts {
        commit,
        unix: unix.parse().map_err(|_| failed(format!("its time is {unix}")))?,
        date,
        title: lines.next().unwrap_or_default(),
    })
}

/// Whether a file of the repository in the current folder differs from its last commit. The history's own file may.
///
/// # Errors
/// [`HistoryError::Revision`].
pub fn has_changes(history: &Path) -> Result<bool, HistoryError> {
    let failed = |cause: String| HistoryError::Revision {
        revision: "HEAD".to_owned(),
        cause,
    };
    let top = git(&["rev-parse", "--show-toplevel"]).map_err(failed)?;
    let changed = git(&["status", "--porcelain", "-z", "--untracked-files=no"]).map_err(failed)?;
    let history = history.canonicalize().ok();
    // Each entry is two letters, a space and the path from the top.
    let mut paths = changed.split('\0').filter_map(|entry| entry.get(3..));
    Ok(paths
        .any(|path| Path::new(top.trim_end()).join(path).canonicalize().ok() != history || history.is_none()))
}

/// What git writes, or the first line of its error.
fn git(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .args(arguments)
        .env("TZ", "UTC0")
        .output()
        .map_err(|error| format!("git: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    Err(error.lines().next().unwrap_or("git failed").to_owned())
}
