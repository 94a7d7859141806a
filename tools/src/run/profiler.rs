//! Flame graphs of the node for its admin server, taken by a process of their own: it reads the debug information of the whole
//! program, whose memory the node then does not have.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::AsRawFd as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};

/// What a profile may take beside its own time.
const EXTRA_TIME_MAX: Duration = Duration::from_secs(25);

/// Time between two checks for the end of the process.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The longest error that is passed on, in bytes.
const ERROR_BYTES_MAX: u64 = 4_096;

/// Takes a flame graph of this process for a while, as an SVG.
pub(super) fn profile(time: Duration) -> Result<String, String> {
    let failed = |error: io::Error| format!("cannot start the profiler: {error}");
    // Nobody else can put something in its place, and it is gone with this function.
    let graph = memfd_create("flame-graph", MemfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
    let mut graph = File::from(graph);
    let process = std::process::id();
    let child = Command::new("/proc/self/exe")
        .args(["profile", &process.to_string(), "--seconds"])
        .arg(time.as_secs().to_string())
        .arg("--output")
        .arg(format!("/proc/{process}/fd/{}", graph.as_raw_fd()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let error = wait(child, time + EXTRA_TIME_MAX)?;
    if let Some(error) = error {
        return Err(error);
    }
    let mut svg = String::new();
    graph
        .rewind()
        .and_then(|()| graph.read_to_string(&mut svg))
        .map_err(|error| format!("cannot read the flame graph: {error}"))?;
    Ok(svg)
}

/// Waits for the end of the profiler, for a bounded time; returns what it says if it has failed.
fn wait(mut child: Child, time_max: Duration) -> Result<Option<String>, String> {
    let began = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if began.elapsed() < time_max => std::thread::sleep(POLL_INTERVAL),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                let seconds = time_max.as_secs();
                return Err(format!("the profiler has not finished within {seconds} s"));
            }
            Err(error) => return Err(format!("cannot wait for the profiler: {error}")),
        }
    };
    if status.success() {
        return Ok(None);
    }
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(ERROR_BYTES_MAX).read_to_end(&mut said);
    }
    let said = String::from_utf8_lossy(&said);
    let said = said.trim().trim_start_matches("error: ");
    Ok(Some(match said.is_empty() {
        true => format!("the profiler has failed: {status}"),
        false => said.to_owned(),
    }))
}
