//! Programs with known figures, and the command.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A result with that many calls a second and that p99.
pub(crate) fn result(calls_per_second: f64, p99: f64) -> String {
    format!(
        r#"{{"calls_per_second":{calls_per_second},"latency_us":{{"p50":50.0,"p90":60.0,"p99":{p99},"p999":200.0,"max":900.0}},"errors":0,"in_flight":256,"channels":1,"size":64,"cpu_seconds":{{"client":1.0,"server":1.0}},"machine":{{}},"calls":1000000}}"#
    )
}

/// A program that answers each request for a window with the lines in turn, over and over.
pub(crate) fn program_with_windows(folder: &Path, name: &str, results: &[String]) -> PathBuf {
    let prints: Vec<String> = results
        .iter()
        .map(|result| format!("read x || exit 0; echo '{result}'\n"))
        .collect();
    script(
        folder,
        name,
        &format!("while true; do\n{}done\n", prints.concat()),
    )
}

/// A program that knows no windows, as before there were any.
pub(crate) fn program_without_windows(folder: &Path, name: &str, result: &str) -> PathBuf {
    let text = format!(
        "case \"$*\" in *--windows*) echo \"error: unexpected argument '--windows' found\" >&2; exit 2;; esac\n\
         echo warming up >&2\necho '{result}'\n"
    );
    script(folder, name, &text)
}

/// An executable script.
pub(crate) fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}")).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    path
}

/// Runs `skyring bench` in a folder; returns the exit code, the standard output and the standard error.
pub(crate) fn bench(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_skyring"))
        .arg("bench")
        .args(arguments)
        .current_dir(folder)
        .env("TMPDIR", folder)
        .output()
        .expect("the command runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
