//! `skyring demo` shows all that the README promises, and leaves no process and no file behind, however it ends.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longest wait for an event of a demo.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A demo whose files are in a folder of its own, so that the name of the folder in the command lines identifies its
/// processes.
struct Demo {
    child: Child,
    folder: tempfile::TempDir,
}

impl Demo {
    fn start(arguments: &[&str]) -> Demo {
        let folder = tempfile::tempdir().expect("a folder");
        let child = Command::new(env!("CARGO_BIN_EXE_skyring"))
            .arg("demo")
            .args(arguments)
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the demo starts");
        Demo { child, folder }
    }

    /// Reads its output up to a line that contains `text`.
    fn read_until(&mut self, text: &str) {
        let output = self.child.stdout.as_mut().expect("its output is piped");
        let mut read = String::new();
        // Line by line without a buffer that would swallow more.
        let mut byte = [0; 1];
        while output.read(&mut byte).expect("its output can be read") > 0 {
            read.push(char::from(byte[0]));
            if byte[0] == b'\n' && read.lines().last().is_some_and(|line| line.contains(text)) {
                return;
            }
        }
        panic!("the demo ended before \"{text}\":\n{read}");
    }

    fn signal(&self, name: &str) {
        signal(name, self.child.id());
    }

    /// Waits for its end, and reads its output meanwhile, so that the pipe does not block it.
    fn wait_for_end(&mut self) -> (ExitStatus, String) {
        let output = self.child.stdout.take().expect("its output is piped");
        let reader = thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).count());
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                let _ = reader.join();
                let mut error = String::new();
                let stderr = self.child.stderr.as_mut().expect("its errors are piped");
                stderr.read_to_string(&mut error).expect("text");
                return (status, error);
            }
            assert!(started.elapsed() < WAIT_MAX, "the demo does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its running processes: those with its folder in the command line.
    fn processes(&self) -> Vec<u32> {
        processes_of(self.folder.path())
    }

    fn assert_no_file_is_left(&self) {
        let left = fs::read_dir(self.folder.path()).expect("the folder is ours");
        assert_eq!(left.count(), 0, "files are left behind");
    }

    fn assert_no_process_is_left(&self) {
        let started = Instant::now();
        while !self.processes().is_empty() {
            assert!(
                started.elapsed() < WAIT_MAX,
                "left behind: {:?}",
                self.processes()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // For a failed test; both fail only when the demo has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal by its name, such as `TERM`.
fn signal(name: &str, process: u32) {
    let command = format!("kill -{name} {process}");
    let sent = Command::new("sh").args(["-c", &command]).status();
    assert!(sent.expect("a shell").success());
}

fn processes_of(folder: &Path) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc is there");
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Ok(process) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        // Empty for a process that has ended and is not reaped; missing for one that is.
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let named = folder.as_os_str().as_bytes();
        if command.windows(named.len()).any(|part| part == named) {
            found.push(process);
        }
    }
    found
}

#[test]
fn the_demo_shows_all_promises_and_ends_with_0() {
    let mut demo = Demo::start(&["--seconds", "1"]);
    let output = demo.child.stdout.take().expect("its output is piped");
    let output: Vec<String> = BufReader::new(output)
        .lines()
        .collect::<Result<_, _>>()
        .expect("its output is text");
    let text = output.join("\n");
    let status = demo.child.wait().expect("it is our child");
    assert_eq!(status.code(), Some(0), "{text}");

    // Each in one line, in this order.
    let promises: [(&str, &str); 14] = [
        ("ok  start", "gate (pid "),
        ("ok  call", "SET hello world gave nil, GET hello gave world"),
        ("ok  send", "then GET sent gave arrived"),
        ("ok  remote error", "unknown command FLY"),
        ("ok  reload: add", "PONG"),
        (
            "ok  reload: false",
            "disabled: node db_backup is turned off in the cluster map",
        ),
        ("gate | [:", "DB node unreachable! ("),
        ("gate | [:", "Switch to backup node"),
        ("gate | [:", "Backup node answers: SET calls "),
        ("ok  kill -9 db", "its calls go on with db_backup"),
        ("gate | [:", "DB node reached again"),
        ("ok  restart db", "the gate, untouched, reached it again"),
        ("load against db: ", " calls/s"),
        ("ok  load", "256 in flight, 64-byte values"),
    ];
    let mut lines = output.iter();
    for (start, part) in promises {
        let shown = lines.any(|line| line.trim_start().starts_with(start) && line.contains(part));
        assert!(shown, "no line \"{start} … {part}\" where it belongs in:\n{text}");
    }
    for figure in ["calls/s", "p50", "p99", "p99.9", "x Skynet's 10K+ a channel"] {
        let header = output
            .iter()
            .any(|line| line.contains("p99.9") && line.contains(figure));
        assert!(header, "no column {figure} in:\n{text}");
    }
    let row = output
        .iter()
        .find(|line| line.starts_with("Skyring, one channel"));
    let calls = row
        .and_then(|row| row.split_ascii_whitespace().nth(3))
        .and_then(|calls| calls.replace(',', "").parse::<u64>().ok());
    assert!(calls.is_some_and(|calls| calls > 0), "no calls in:\n{text}");

    assert!(!text.contains('\u{1b}'), "colour without a terminal:\n{text}");
    demo.assert_no_process_is_left();
    demo.assert_no_file_is_left();
}

#[test]
fn a_signal_ends_a_demo_with_its_processes() {
    for signal in ["TERM", "INT"] {
        let mut demo = Demo::start(&[]);
        demo.read_until("ok  call");
        assert_eq!(demo.processes().len(), 3, "db, db_backup and gate");
        demo.signal(signal);
        let (status, error) = demo.wait_for_end();
        assert_eq!(status.code(), Some(130), "{error}");
        assert!(error.contains("interrupted"), "{error}");
        // The processes end before the demo does, not after it.
        assert_eq!(demo.processes(), [], "after SIG{signal}");
        demo.assert_no_file_is_left();
    }
}

#[test]
fn a_killed_demo_leaves_no_process() {
    let mut demo = Demo::start(&["--seconds", "60"]);
    demo.read_until("ok  restart db");
    assert_eq!(demo.processes().len(), 3, "db, db_backup and gate");
    demo.signal("KILL");
    let (status, _) = demo.wait_for_end();
    assert_eq!(status.code(), None);
    demo.assert_no_process_is_left();
}

#[test]
fn the_end_of_a_process_ends_the_demo_with_an_error() {
    let mut demo = Demo::start(&["--seconds", "60"]);
    // The load runs, and would for a minute.
    demo.read_until("load against db");
    // The database: its config is `db.lua`.
    let db = demo.processes().into_iter().find(|process| {
        let command = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains("/db.lua")
    });
    signal("KILL", db.expect("the database runs"));
    let (status, error) = demo.wait_for_end();
    assert_eq!(status.code(), Some(1), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains("load: db ended"), "{error}");
    assert_eq!(demo.processes(), []);
}
