//! A service manager hears when the node is ready, that it lives as long as every shard takes work, and that it stops.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{Folder, Running, WAIT_MAX, run_command};

/// What a manager is told, on a socket of its own.
struct Manager(UnixDatagram);

impl Manager {
    fn new(folder: &Folder) -> Manager {
        let socket = UnixDatagram::bind(folder.path("notify")).expect("a socket");
        socket.set_read_timeout(Some(WAIT_MAX)).expect("a time-out");
        Manager(socket)
    }

    /// The next message.
    #[track_caller]
    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let count = self.0.recv(&mut buffer).expect("the node says something");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }

    /// Whether nothing comes within that time.
    fn is_silent(&self, time: Duration) -> bool {
        self.0.set_read_timeout(Some(time)).expect("a time-out");
        let silent = self.0.recv(&mut [0; 4096]).is_err();
        self.0.set_read_timeout(Some(WAIT_MAX)).expect("a time-out");
        silent
    }
}

fn supervised(folder: &Folder, config: &str, watchdog: Duration) -> Command {
    let mut command = run_command(&folder.path(config));
    command
        .env("NOTIFY_SOCKET", folder.path("notify"))
        .env("WATCHDOG_USEC", watchdog.as_micros().to_string())
        .env_remove("WATCHDOG_PID");
    command
}

#[test]
fn a_node_says_that_it_is_ready_lives_and_stops() {
    let (folder, _) = Folder::with_db("");
    let manager = Manager::new(&folder);
    let mut node = Running::node_of(&mut supervised(&folder, "config_db", Duration::from_millis(100)));
    assert_eq!(manager.next(), "READY=1\n");
    for _ in 0..3 {
        assert_eq!(manager.next(), "WATCHDOG=1\n");
    }
    node.signal("HUP");
    node.signal("TERM");
    while manager.next() != "STOPPING=1\n" {}
    assert_eq!(node.wait_for_end().code(), Some(0), "{}", node.written());
}

#[test]
fn a_node_with_a_shard_that_hangs_does_not_say_that_it_lives() {
    let folder = Folder::new();
    folder.write(
        "hang.lua",
        "local skynet = require 'skynet'\n\
         skynet.start(function() skynet.timeout(100, function() skynet.error('hangs now') while true do end end) end)",
    );
    let luaservice = folder.path("?.lua").display().to_string();
    folder.write(
        "config",
        format!("thread = 2\nluaservice = '{luaservice}'\nstart = 'hang'\n"),
    );
    let manager = Manager::new(&folder);
    let watchdog = Duration::from_millis(200);
    let mut command = supervised(&folder, "config", watchdog);
    let mut node = Running::ready(&mut command, "LAUNCH snlua hang");
    assert_eq!(manager.next(), "READY=1\n");
    assert_eq!(manager.next(), "WATCHDOG=1\n");
    node.wait_for("the service manager is not told that the node lives");
    assert!(
        node.written().contains("shards that take no work: "),
        "{}",
        node.written()
    );
    while !manager.is_silent(watchdog * 5) {}
    assert!(node.is_running());
}

#[test]
fn without_a_manager_nothing_is_said_and_a_manager_that_is_gone_is_a_line_in_the_log() {
    let (folder, _) = Folder::with_db("");
    let mut command = supervised(&folder, "config_db", Duration::from_millis(100));
    let node = Running::ready(&mut command, "the service manager cannot be told");
    drop(node);
    let mut command = run_command(&folder.path("config_db"));
    command.env_remove("NOTIFY_SOCKET");
    let mut node = Running::node_of(&mut command);
    node.signal("TERM");
    assert_eq!(node.wait_for_end().code(), Some(0));
    assert!(!node.written().contains("service manager"), "{}", node.written());
}

#[test]
fn the_unit_of_the_examples_is_valid() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/systemd/skyring@.service");
    let text = std::fs::read_to_string(&unit).expect("the example");
    for setting in [
        "Type=notify",
        "WatchdogSec=",
        "LimitNOFILE=",
        "ExecReload=/bin/kill -HUP $MAINPID",
    ] {
        assert!(text.contains(setting), "{setting} is not in the unit");
    }
    // The program that the unit names is not installed on this machine.
    let folder = Folder::new();
    let program = env!("CARGO_BIN_EXE_skyring");
    let tried = folder.write(
        "skyring@.service",
        text.replace("/usr/local/bin/skyring", program),
    );
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&tried)
        .stdin(Stdio::null())
        .output();
    match verified {
        Err(error) => eprintln!("skipped: systemd-analyze does not start: {error}"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let about_unit: Vec<&str> = said.lines().filter(|line| line.contains("skyring@")).collect();
            assert!(about_unit.is_empty(), "{about_unit:?}");
        }
    }
}
