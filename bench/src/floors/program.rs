//! Programs of others, run as clients: the lines that they write, and their processor time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::measurement::PeerError;
use crate::cpu::cpu_seconds;
use crate::interrupt::Interrupt;
use crate::process::EventKind;
use crate::supervisor::{Supervisor, WaitError};

/// Most lines of a client that are read; more would not be figures.
const LINES_MAX: usize = 1 << 20;

/// The path of a program that can be started by its name.
///
/// # Errors
/// [`PeerError::Unavailable`] when it is not installed.
pub(super) fn installed(name: &str) -> Result<PathBuf, PeerError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| PeerError::Unavailable(format!("not installed: {name}")))
}

/// The same for the file of a program that is not in the search path.
pub(super) fn present(file: &Path) -> Result<&Path, PeerError> {
    if file.is_file() {
        return Ok(file);
    }
    Err(PeerError::Unavailable(format!("not there: {}", file.display())))
}

/// Runs a client to its end, for `time_max` at most, and passes every line of it to `line`, with the id of its
/// process. Returns the processor time that it used in all.
///
/// # Errors
/// When it cannot be started, takes longer, or writes too many lines.
pub(super) fn run_client(
    name: &'static str,
    mut command: Command,
    time_max: Duration,
    interrupt: &Interrupt,
    mut line: impl FnMut(u32, &str),
) -> Result<Option<f64>, PeerError> {
    let mut supervisor = Supervisor::new(interrupt.clone(), |_| {});
    command.stdin(Stdio::null());
    let process = supervisor.start(name, command)?;
    let mut lines = 0;
    let ended = supervisor.wait(time_max, |event| match &event.kind {
        EventKind::Line(_) if lines == LINES_MAX => Some(None),
        EventKind::Line(text) => {
            lines += 1;
            line(event.id, text);
            None
        }
        // Its parent has not waited for it, so its figures are still there.
        EventKind::Closed => Some(Some(cpu_seconds(event.id))),
    });
    drop(process);
    match ended {
        Ok(Some(cpu_seconds)) => Ok(cpu_seconds),
        Ok(None) => Err(PeerError::Client(format!(
            "{name} wrote more than {LINES_MAX} lines"
        ))),
        Err(WaitError::Interrupted) => Err(PeerError::Interrupted),
        Err(WaitError::TimedOut(_)) => Err(PeerError::Client(format!(
            "{name} did not end within {time_max:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_installed_is_unavailable() {
        let missing = installed("skyring-has-no-such-program");
        assert!(matches!(missing, Err(PeerError::Unavailable(text)) if text.contains("not installed")));
        assert!(installed("sh").is_ok());
    }

    #[test]
    fn a_client_is_read_to_its_end_and_killed_when_it_has_none() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let (mut lines, quiet) = (Vec::new(), Interrupt::default());
        let time_max = Duration::from_secs(20);
        run_client(
            "sh",
            shell("echo one; echo two >&2"),
            time_max,
            &quiet,
            |_, line| lines.push(line.to_owned()),
        )
        .unwrap();
        assert_eq!(lines, ["one", "two"]);
        let mut id = 0;
        let hanging = run_client(
            "sh",
            shell("echo; exec sleep 600"),
            Duration::from_secs(1),
            &quiet,
            |process, _| {
                id = process;
            },
        );
        assert!(matches!(hanging, Err(PeerError::Client(_))), "{hanging:?}");
        assert!(id == 0 || cpu_seconds(id).is_none());
    }
}
