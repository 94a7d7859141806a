//! A node whose log cannot be written loses lines of the log, and goes on.

use std::process::{Command, Stdio};

use crate::common::{Folder, Running, free_port, outcome, output, run_command, wait_for_reply};

/// Asserts that a node answers calls, and stops on a signal.
#[track_caller]
fn assert_serves(address: &str, node: &mut Running) {
    wait_for_reply(address, node);
    for number in 0..20 {
        let value = format!("value {number}");
        let answer = output(["call", "--addr", address, "@echo", &value]);
        assert_eq!(outcome(&answer).1, format!("{value}\n"));
    }
    node.signal("TERM");
    assert_eq!(node.wait_for_end().code(), Some(0));
}

#[test]
fn a_node_whose_disk_is_full_goes_on() {
    // Each write to this file fails: the disk is full.
    let (folder, address) = Folder::with_db("logger = '/dev/full'");
    let mut command = run_command(&folder.path("config_db"));
    let mut node = Running::start(command.stderr(Stdio::null()));
    assert_serves(&address, &mut node);
}

#[test]
fn a_node_whose_log_may_not_grow_goes_on() {
    let (folder, port) = (Folder::new(), free_port());
    let (address, log) = (format!("127.0.0.1:{port}"), folder.path("node.log"));
    folder.write_nodes(&[("db", port)], &format!("logger = '{}'", log.display()));
    let config = folder.path("config_db");
    // No file may grow, and a write beyond that raises a signal that ends most programs.
    let run = format!(
        "ulimit -f 0; exec {} run {}",
        env!("CARGO_BIN_EXE_skyring"),
        config.display()
    );
    let mut node = Running::start(Command::new("sh").args(["-c", &run]).stderr(Stdio::null()));
    assert_serves(&address, &mut node);
    let written = std::fs::metadata(&log).expect("the log exists").len();
    assert_eq!(written, 0);
}
