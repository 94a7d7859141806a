//! One measurement of a program: its `skyring bench`, started anew.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::error::HistoryError;
use super::suite::{Case, MEASURED, SIZE, WARM_UP};
use crate::measurement::Measurement;
use crate::supervisor::Supervisor;

/// Time for a measurement beside its own: two starts, floors, and what a busy machine makes of it.
const START_TIME_MAX: Duration = Duration::from_secs(60);

/// How long the program may take to end.
const END_TIME_MAX: Duration = Duration::from_secs(3);

/// Runs the program for one case between nodes.
pub(super) fn measure(
    supervisor: &mut Supervisor,
    program: &Path,
    case: &Case,
) -> Result<Measurement, HistoryError> {
    let mut command = Command::new(program);
    command
        .args(["bench", "--json", "-"])
        .arg(format!("--in-flight={}", case.in_flight))
        .arg(format!("--spin-us={}", case.spin_us))
        .arg(format!("--size={SIZE}"))
        .arg(format!("--seconds={}", MEASURED.as_secs_f64()))
        .arg(format!("--warmup={}", WARM_UP.as_secs_f64()))
        .stdin(Stdio::null());
    let failed = |cause: String| HistoryError::Program {
        program: program.to_owned(),
        cause,
    };
    let mut process = supervisor
        .start("the program", command)
        .map_err(|error| failed(error.to_string()))?;
    let line = supervisor
        .wait_for_result(process.id(), START_TIME_MAX)
        .map_err(|error| HistoryError::waited(PathBuf::from(program), error))?;
    process.end(END_TIME_MAX)?;
    let line = line.map_err(failed)?;
    let measured = Measurement::from_json(&line).map_err(failed)?;
    if measured.errors > 0 || measured.calls == 0 {
        return Err(HistoryError::Calls {
            program: program.to_owned(),
            calls: measured.calls,
            errors: measured.errors,
            codes: measured.errors_by_code,
        });
    }
    Ok(measured)
}
