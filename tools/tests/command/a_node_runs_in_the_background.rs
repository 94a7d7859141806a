//! `daemon = "FILE"`: the command ends when the node runs, the file has the process id, and a second node is refused.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::{Folder, assert_one_line, outcome, skyring, wait_until};

/// Runs `skyring config` in the folder.
fn start(folder: &Folder) -> Output {
    let mut command = skyring([Path::new("./config")]);
    command
        .current_dir(folder.path(""))
        .output()
        .expect("the command starts")
}

/// Sends a signal to a process by its id.
fn signal(name: &str, id: &str) -> bool {
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{name} {id}")])
        .output();
    sent.expect("sh starts").status.success()
}

/// Ends the node of a test, also when the test fails.
struct Background<'a>(&'a Folder);

impl Background<'_> {
    fn id(&self) -> String {
        let text = fs::read_to_string(self.0.path("node.pid")).unwrap_or_default();
        text.trim().to_owned()
    }
}

impl Drop for Background<'_> {
    fn drop(&mut self) {
        let id = self.id();
        if !id.is_empty() {
            signal("KILL", &id);
        }
    }
}

#[test]
fn one_node_runs_until_a_signal_stops_it_and_its_file_is_removed() {
    let folder = Folder::new();
    folder.write(
        "config",
        "thread = 2 daemon = './node.pid' logger = './node.log' services = { e = 'echo' }",
    );
    // A file that a killed node has left behind, with the id of a process that runs.
    folder.write("node.pid", "1\n");
    let started = start(&folder);
    let node = Background(&folder);
    assert_eq!(outcome(&started), (Some(0), String::new(), String::new()));
    let id = node.id();
    assert_ne!(id, "1");
    assert!(
        folder.path("node.log").exists(),
        "a node that runs has opened its log"
    );

    assert_one_line(
        &start(&folder),
        1,
        &format!("already running as process {id}, which holds ./node.pid"),
    );
    assert_eq!(node.id(), id, "the refused node has left the file alone");

    // The log was moved away: it is opened again.
    fs::rename(folder.path("node.log"), folder.path("node.log.1")).expect("a log that exists");
    assert!(signal("HUP", &id));
    wait_until("the log is opened again", || folder.path("node.log").exists());

    assert!(signal("TERM", &id));
    wait_until("the file is removed", || !folder.path("node.pid").exists());
    assert_eq!(start(&folder).status.code(), Some(0));
    let id = node.id();
    assert!(signal("TERM", &id));
    wait_until("the file is removed", || !folder.path("node.pid").exists());
}

#[test]
fn a_node_that_does_not_start_says_why_and_leaves_no_file() {
    let folder = Folder::new();
    folder.write("map.lua", "db = '192.0.2.1:7102'");
    folder.write(
        "config",
        "thread = 1 daemon = './node.pid' logger = './node.log' cluster = './map.lua' open = 'db'",
    );
    assert_one_line(&start(&folder), 2, "open: ");
    assert!(!folder.path("node.pid").exists());

    folder.write(
        "config",
        "thread = 1 daemon = './nowhere/node.pid' logger = './node.log'",
    );
    assert_one_line(&start(&folder), 1, "daemon: ./nowhere/node.pid: ");
}

#[test]
fn a_log_that_would_be_lost_is_told() {
    let folder = Folder::new();
    folder.write("config", "thread = 1 daemon = './node.pid'");
    let started = start(&folder);
    let node = Background(&folder);
    let (code, _, error) = outcome(&started);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(
        error,
        "warning: daemon without logger: log lines are lost; set logger = \"FILE\"\n"
    );
    assert!(signal("TERM", &node.id()));
    wait_until("the file is removed", || !folder.path("node.pid").exists());
}
