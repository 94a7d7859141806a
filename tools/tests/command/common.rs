//! What the tests of the command share: real processes, and the folders and ports they use.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a test waits for what must come; a loaded machine is slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The command under test. A panic would print a backtrace, and no colour comes in between.
pub(crate) fn skyring<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(arguments: I) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skyring"));
    command
        .args(arguments)
        .env("RUST_BACKTRACE", "1")
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::null());
    command
}

/// Runs the command to its end.
pub(crate) fn output<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(arguments: I) -> Output {
    skyring(arguments).output().expect("the command starts")
}

/// The two streams of an ended command, and its code.
pub(crate) fn told(output: &Output) -> (Option<i32>, String, String) {
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// Asserts that a command ended with this code and exactly one line on the standard error, with `part` in it.
#[track_caller]
pub(crate) fn assert_one_line(output: &Output, code: i32, part: &str) {
    let (ended, _, error) = told(output);
    assert_eq!(ended, Some(code), "{error}");
    assert_eq!(error.lines().count(), 1, "not one line: {error}");
    assert!(error.starts_with("error: ") && error.ends_with('\n'), "{error}");
    assert!(error.contains(part), "{part:?} is not in: {error}");
    assert!(!error.contains("panicked"), "{error}");
}

/// A port of this machine that nobody listens on. Below the ports that the kernel gives to outgoing
/// connections, so that nobody takes it by chance before it is used.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run at the same time begin at different places.
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(37);
        let port = FIRST + start.wrapping_add(step) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {COUNT} is free");
}

/// A folder with files in it, gone with this value.
pub(crate) struct Folder(TempDir);

impl Folder {
    /// An empty folder.
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder for the test"))
    }

    /// Writes a file, and gives its path.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file is written");
        path
    }

    /// The path of a name in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a map of these nodes, and for each the config of a node with simpledb as `@sdb` and echo as
    /// `@echo`; `further` lines are added to each config.
    pub(crate) fn write_nodes(&self, nodes: &[(&str, u16)], further: &str) {
        let mut map = String::new();
        for (name, port) in nodes {
            writeln!(map, "{name} = \"127.0.0.1:{port}\"").expect("a String takes it");
            self.write(
                &format!("config_{name}"),
                format!(
                    "thread = 2\ncluster = \"./clustername.lua\"\nopen = \"{name}\"\n\
                     services = {{ sdb = \"simpledb\", echo = \"echo\" }}\n{further}\n"
                ),
            );
        }
        self.write("clustername.lua", map);
    }
}

/// A running child process, and what it has written. Dropping it kills it, if it still runs, and reaps it.
pub(crate) struct Running {
    child: Child,
    written: Arc<Mutex<String>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and was reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts a command without reading what it writes; its streams are as the command says.
    pub(crate) fn start(command: &mut Command) -> Running {
        Running {
            child: command.spawn().expect("the command starts"),
            written: Arc::default(),
        }
    }

    /// Starts `skyring run CONFIG` and waits until the node listens.
    pub(crate) fn node(config: &Path) -> Running {
        Running::node_of(&mut skyring(["run".as_ref(), config.as_os_str()]))
    }

    /// Starts a command that runs a node, and waits until that listens.
    pub(crate) fn node_of(command: &mut Command) -> Running {
        Running::ready(command, "Listen on ")
    }

    /// Starts a command that runs a node, and waits until that has written `ready`.
    pub(crate) fn ready(command: &mut Command, ready: &str) -> Running {
        let mut running = Running::start(command.stdout(Stdio::piped()));
        let stdout = running.child.stdout.take().expect("its output is piped");
        let written = Arc::clone(&running.written);
        // Ends when the process does, which closes the pipe.
        thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
                written.lock().expect("nobody panicked with it").push_str(&line);
                line.clear();
            }
        });
        running.wait_for(ready);
        running
    }

    /// What it has written so far.
    pub(crate) fn written(&self) -> String {
        self.written.lock().expect("nobody panicked with it").clone()
    }

    /// Waits until it has written this.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        wait_until(&format!("{text:?} is written"), || {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                panic!("ended with {status} before it wrote {text:?}: {}", self.written());
            }
            self.written().contains(text)
        });
    }

    /// Sends it a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.expect("sh starts").success(), "{kill}");
    }

    /// Whether it has a handler for SIGTERM yet: before, the signal ends it as it ends any process.
    pub(crate) fn watches_signals(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        caught.is_some_and(|mask| mask & (1 << 14) != 0)
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child is ours").is_none()
    }

    /// Waits until it has ended.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the process ends", || {
            status = self.child.try_wait().expect("the child is ours");
            status.is_some()
        });
        status.expect("it has ended")
    }

    /// What it has written to its standard error, if that is piped, to the end.
    pub(crate) fn errors(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut text).expect("it is text");
        }
        text
    }
}

/// Waits for a condition, and fails the test when it does not come true.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
