//! Processes, folders, ports and assertions of the tests of the command.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use skyring::{ClusterMap, Node, Service};
use tempfile::TempDir;

/// Longest wait for an expected event; a loaded machine is slow.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);

/// The command under test, with backtraces and without colours.
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

/// The exit code of an ended command, and what it wrote to the standard output and the standard error.
pub(crate) fn outcome(output: &Output) -> (Option<i32>, String, String) {
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// Asserts that a command ended with this code and exactly one line on the standard error, with `part` in it.
#[track_caller]
pub(crate) fn assert_one_line(output: &Output, code: i32, part: &str) {
    let (ended, _, error) = outcome(output);
    assert_eq!(ended, Some(code), "{error}");
    assert_eq!(error.lines().count(), 1, "not one line: {error}");
    assert!(error.starts_with("error: ") && error.ends_with('\n'), "{error}");
    assert!(error.contains(part), "{part:?} is not in: {error}");
    assert!(!error.contains("panicked"), "{error}");
}

/// Asserts that a command refuses a config: exit code 2, and one line with each of `parts`. Returns the standard output.
#[track_caller]
pub(crate) fn assert_refused(command: &str, config: &Path, parts: &[&str]) -> String {
    let refused = output([command.as_ref(), config.as_os_str()]);
    for part in parts {
        assert_one_line(&refused, 2, part);
    }
    outcome(&refused).1
}

/// Waits until a node with simpledb as `@sdb` answers a call.
#[track_caller]
pub(crate) fn wait_for_reply(address: &str, node: &mut Running) {
    wait_until("the node answers", || {
        assert!(node.is_running(), "the node has ended");
        outcome(&output(["call", "--addr", address, "@sdb", "PING"])).0 == Some(0)
    });
}

/// Starts a node of this process that listens with one service of this name, and returns it with its address.
pub(crate) fn node_with_service<S: Service>(
    name: &'static str,
    service: impl FnOnce() -> S + Send + 'static,
) -> (Node, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let map = ClusterMap::new().with(name, &address).expect("an address");
    let node = Node::builder().map(map).start().expect("a node");
    let opened = node.block_on(move |caller| async move {
        let handle = caller.launch(|_| service()).await?;
        caller.cluster().register(name, Some(handle))?;
        caller.cluster().open(name, None).await
    });
    opened.expect("a running node").expect("it listens");
    (node, address)
}

/// A free port. It is below the ports that the kernel assigns to outgoing connections, so that none of them takes it
/// before it is used.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run at the same time begin with different ports.
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

/// The status with which a server answers a GET of a path, 0 if it does not answer.
pub(crate) fn http_status(port: u16, path: &str) -> u16 {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return 0;
    };
    let mut answer = String::new();
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    let answered = stream
        .write_all(request.as_bytes())
        .and_then(|()| stream.read_to_string(&mut answer));
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    answered.ok().and(status).unwrap_or(0)
}

/// A temporary folder, removed on drop.
pub(crate) struct Folder(TempDir);

impl Folder {
    /// An empty folder.
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder for the test"))
    }

    /// Writes a file, and returns its path.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file is written");
        path
    }

    /// The path of a file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a map of these nodes, and for each the config of a node with simpledb as `@sdb` and echo as
    /// `@echo`; `settings` are added to each config.
    pub(crate) fn write_nodes(&self, nodes: &[(&str, u16)], settings: &str) {
        let mut map = String::new();
        for (name, port) in nodes {
            writeln!(map, "{name} = \"127.0.0.1:{port}\"").expect("a String takes it");
            self.write(
                &format!("config_{name}"),
                format!(
                    "thread = 2\ncluster = \"./clustername.lua\"\nopen = \"{name}\"\n\
                     services = {{ sdb = \"simpledb\", echo = \"echo\" }}\n{settings}\n"
                ),
            );
        }
        self.write("clustername.lua", map);
    }

    /// A folder with the files of one node, `db`, and the address of that node.
    pub(crate) fn with_db(settings: &str) -> (Folder, String) {
        let folder = Folder::new();
        let port = free_port();
        folder.write_nodes(&[("db", port)], settings);
        (folder, format!("127.0.0.1:{port}"))
    }

    /// The config of a node whose start hangs: a service of it never returns.
    pub(crate) fn write_hanging_config(&self) -> PathBuf {
        self.write("hang.lua", "while true do end");
        let services = self.path("?.lua");
        self.write(
            "config",
            format!(
                "luaservice = '{}'\nservices = {{ hang = 'snlua hang' }}\nstart = 'echo'",
                services.display()
            ),
        )
    }
}

/// A child process, and its output. Drop kills and reaps it.
pub(crate) struct Running {
    child: Child,
    written: Arc<Mutex<String>>,
    /// Reads the output until its end.
    reader: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a process that was reaped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command that runs a node.
pub(crate) fn run_command(config: &Path) -> Command {
    skyring(["run".as_ref(), config.as_os_str()])
}

impl Running {
    /// Starts a node, `db`, in its own folder; returns it with the folder and its address.
    pub(crate) fn db() -> (Folder, Running, String) {
        let (folder, address) = Folder::with_db("");
        let node = Running::node(&folder.path("config_db"));
        (folder, node, address)
    }

    /// Starts a command without reading its output; its streams are those of the command.
    pub(crate) fn start(command: &mut Command) -> Running {
        Running {
            child: command.spawn().expect("the command starts"),
            written: Arc::default(),
            reader: None,
        }
    }

    /// Starts `skyring run CONFIG` and waits until the node listens.
    pub(crate) fn node(config: &Path) -> Running {
        Running::node_of(&mut run_command(config))
    }

    /// Starts a command that runs a node, and waits until the node listens.
    pub(crate) fn node_of(command: &mut Command) -> Running {
        Running::ready(command, "Listen on ")
    }

    /// Starts a command, and waits until it has written `ready`.
    pub(crate) fn ready(command: &mut Command, ready: &str) -> Running {
        let mut running = Running::start(command.stdout(Stdio::piped()));
        let stdout = running.child.stdout.take().expect("its output is piped");
        let written = Arc::clone(&running.written);
        // Ends when the process does, which closes the pipe.
        let reader = thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
                written
                    .lock()
                    .expect("no thread panicked with the lock")
                    .push_str(&line);
                line.clear();
            }
        });
        running.reader = Some(reader);
        running.wait_for(ready);
        running
    }

    /// The standard output so far.
    pub(crate) fn written(&self) -> String {
        self.written
            .lock()
            .expect("no thread panicked with the lock")
            .clone()
    }

    /// Waits until the process has written a text.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        wait_until(&format!("{text:?} is written"), || {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                // What it wrote before its end may not have been read yet.
                if let Some(reader) = self.reader.take() {
                    reader.join().expect("the reader does not panic");
                }
                let written = self.written();
                assert!(
                    written.contains(text),
                    "ended with {status} before it wrote {text:?}: {written}"
                );
            }
            self.written().contains(text)
        });
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.expect("sh starts").success(), "{kill}");
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process has a handler for SIGTERM; without it the signal ends any process.
    pub(crate) fn handles_signals(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        caught.is_some_and(|mask| mask & (1 << 14) != 0)
    }

    /// Whether the process runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child is ours").is_none()
    }

    /// Waits until the process has ended.
    #[track_caller]
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the process ends", || {
            status = self.child.try_wait().expect("the child is ours");
            status.is_some()
        });
        status.expect("it has ended")
    }

    /// Reads its standard error to the end, if that is piped.
    pub(crate) fn read_stderr(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut text).expect("it is text");
        }
        text
    }
}

/// Waits for a condition, and fails the test when it is not met in time.
#[track_caller]
pub(crate) fn wait_until(condition_text: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(
            started.elapsed() < WAIT_MAX,
            "not within {WAIT_MAX:?}: {condition_text}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}
