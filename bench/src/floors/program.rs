//! Programs of others, run as clients: what they say, line by line, and what they cost.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::measurement::PeerError;
use crate::cpu::cpu_seconds;
use crate::interrupt::Interrupt;
use crate::process::Happening;
use crate::watch::{Watch, WatchError};

/// Most lines of a client that are looked at; more would not be figures.
const LINES_MAX: usize = 1 << 20;

/// Where a program is that can be started by its name.
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

/// The same for a file of a program that is not installed but lies somewhere.
pub(super) fn present(file: &Path) -> Result<&Path, PeerError> {
    if file.is_file() {
        return Ok(file);
    }
    Err(PeerError::Unavailable(format!("not there: {}", file.display())))
}

/// Runs a client to its end, for `time_max` at most, and shows `line` every line of it with the id of its
/// process. Gives the processor time that it used in all.
///
/// # Errors
/// When it cannot be started, takes longer, or says too much.
pub(super) fn run_client(
    name: &'static str,
    mut command: Command,
    time_max: Duration,
    interrupt: &Interrupt,
    mut line: impl FnMut(u32, &str),
) -> Result<Option<f64>, PeerError> {
    let mut watch = Watch::new(interrupt.clone(), |_| {});
    command.stdin(Stdio::null());
    let process = watch.start(name, command)?;
    let mut lines = 0;
    let ended = watch.wait(time_max, |event| match &event.happening {
        Happening::Line(_) if lines == LINES_MAX => Some(None),
        Happening::Line(said) => {
            lines += 1;
            line(event.id, said);
            None
        }
        // It has not been waited for, so its figures are still there.
        Happening::Closed => Some(Some(cpu_seconds(event.id))),
    });
    drop(process);
    match ended {
        Ok(Some(cpu_seconds)) => Ok(cpu_seconds),
        Ok(None) => Err(PeerError::Client(format!(
            "{name} said more than {LINES_MAX} lines"
        ))),
        Err(WatchError::Interrupted) => Err(PeerError::Interrupted),
        Err(WatchError::TimedOut(_)) => Err(PeerError::Client(format!(
            "{name} did not end within {time_max:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_installed_is_unavailable_and_no_fault() {
        let missing = installed("skyring-has-no-such-program");
        assert!(matches!(missing, Err(PeerError::Unavailable(text)) if text.contains("not installed")));
        assert!(installed("sh").is_ok());
    }

    #[test]
    fn a_client_is_heard_to_its_end_and_killed_when_it_has_none() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let (mut said, quiet) = (Vec::new(), Interrupt::default());
        let patience = Duration::from_secs(20);
        run_client(
            "sh",
            shell("echo one; echo two >&2"),
            patience,
            &quiet,
            |_, line| said.push(line.to_owned()),
        )
        .unwrap();
        assert_eq!(said, ["one", "two"]);
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
