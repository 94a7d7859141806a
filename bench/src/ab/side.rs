//! One side of a comparison: a process that measures windows, or a process for each measurement.

use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::error::AbError;
use super::plan::AbSide;
use crate::measurement::Measurement;
use crate::process::Process;
use crate::process_tree::descendants;
use crate::supervisor::Supervisor;

/// Time for a start and the first window, beside that of the window.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// Time for an answer, beside that of the window: calls in flight at its end have some seconds.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// The warm-up before each window, and that before the first one of a start: code and data of the side must be in the
/// processor's caches again.
const WARM_UP: Duration = Duration::from_millis(20);
const FIRST_WARM_UP: Duration = Duration::from_millis(100);

/// The warm-up of a process that is started for one measurement, and how many windows long that is: less would be
/// lost in the start.
const PROCESS_WARM_UP: Duration = Duration::from_millis(300);
const PROCESS_WINDOWS: u32 = 5;

/// How long a side may take to end.
const END_TIME_MAX: Duration = Duration::from_secs(3);

/// What the command line of a program without `--windows` says.
const UNKNOWN: &str = "unexpected argument '--windows'";

/// The exit code for arguments that are refused.
const EXIT_USAGE: i32 = 2;

/// A process that measures windows.
pub(super) struct RunningSide {
    name: &'static str,
    process: Process,
}

/// The process of a side, and what it has started.
pub(super) struct SideProcesses {
    /// The calling process.
    pub(super) client: u32,
    /// Those that it has started: the called one, if it does not run anyway.
    pub(super) servers: Vec<u32>,
}

impl RunningSide {
    /// Starts it and lets it warm up. `None` when the program has no windows.
    pub(super) fn start(supervisor: &mut Supervisor, side: &AbSide) -> Result<Option<RunningSide>, AbError> {
        let mut command = Command::new(&side.program);
        command.args(["bench", "--windows"]).args(&side.arguments);
        command.stdin(Stdio::piped());
        let process = supervisor.start(side.name, command)?;
        let mut running = RunningSide {
            name: side.name,
            process,
        };
        // A process that has ended has said why, which is read below.
        let _ = running.request(FIRST_WARM_UP, WARM_UP);
        match answer(supervisor, side.name, &mut running.process, START_TIME_MAX) {
            Ok(_) => Ok(Some(running)),
            Err(AbError::Arguments { cause, .. }) if cause.contains(UNKNOWN) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Its processes.
    pub(super) fn processes(&self) -> SideProcesses {
        SideProcesses {
            client: self.process.id(),
            servers: descendants(self.process.id()),
        }
    }

    /// Measures one window.
    pub(super) fn window(
        &mut self,
        supervisor: &mut Supervisor,
        duration: Duration,
    ) -> Result<Measurement, AbError> {
        self.window_after(supervisor, WARM_UP, duration)
    }

    /// Measures one window of which every call counts: the warm-up is left out.
    pub(super) fn window_without_warm_up(
        &mut self,
        supervisor: &mut Supervisor,
        duration: Duration,
    ) -> Result<Measurement, AbError> {
        self.window_after(supervisor, Duration::ZERO, duration)
    }

    fn window_after(
        &mut self,
        supervisor: &mut Supervisor,
        warm_up: Duration,
        duration: Duration,
    ) -> Result<Measurement, AbError> {
        // What it wrote at its end may have come while the other side was waited for.
        self.request(warm_up, duration).map_err(|error| AbError::Side {
            side: self.name,
            cause: format!("it ended between two windows: {error}"),
        })?;
        let time_max = warm_up + duration + ANSWER_TIME_MAX;
        let measured = answer(supervisor, self.name, &mut self.process, time_max)?;
        checked(self.name, measured)
    }

    fn request(&mut self, warm_up: Duration, duration: Duration) -> io::Result<()> {
        self.process
            .write_line(&format!("{} {}", warm_up.as_millis(), duration.as_millis()))
    }
}

impl Drop for RunningSide {
    fn drop(&mut self) {
        // In order, so that it removes its files; when that fails, the process is killed as it is dropped.
        let _ = self.process.end(END_TIME_MAX);
    }
}

/// Starts the program for one measurement.
pub(super) fn measure_by_start(
    supervisor: &mut Supervisor,
    side: &AbSide,
    window: Duration,
) -> Result<Measurement, AbError> {
    let duration = window * PROCESS_WINDOWS;
    let mut command = Command::new(&side.program);
    command
        .args(["bench", "--json", "-"])
        .arg(format!("--seconds={}", duration.as_secs_f64()))
        .arg(format!("--warmup={}", PROCESS_WARM_UP.as_secs_f64()))
        .args(&side.arguments)
        .stdin(Stdio::null());
    let mut process = supervisor.start(side.name, command)?;
    let measured = answer(
        supervisor,
        side.name,
        &mut process,
        PROCESS_WARM_UP + duration + START_TIME_MAX,
    )?;
    process.end(END_TIME_MAX)?;
    checked(side.name, measured)
}

/// Waits for the line of JSON that is the next result.
fn answer(
    supervisor: &mut Supervisor,
    name: &'static str,
    process: &mut Process,
    time_max: Duration,
) -> Result<Measurement, AbError> {
    let line = supervisor
        .wait_for_result(process.id(), time_max)
        .map_err(|error| AbError::waited(name, error))?;
    let line = match line {
        Ok(line) => line,
        Err(cause) => {
            let status = process.end(END_TIME_MAX)?;
            return Err(match status.code() {
                Some(EXIT_USAGE) => AbError::Arguments { side: name, cause },
                _ => AbError::Side { side: name, cause },
            });
        }
    };
    Measurement::from_json(&line).map_err(|cause| AbError::Side { side: name, cause })
}

/// Refuses figures of calls that failed.
fn checked(name: &'static str, measured: Measurement) -> Result<Measurement, AbError> {
    if measured.errors > 0 {
        return Err(AbError::Calls {
            side: name,
            calls: measured.calls,
            errors: measured.errors,
            codes: measured.errors_by_code,
        });
    }
    Ok(measured)
}
