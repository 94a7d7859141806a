//! A log that cannot be written costs lines, and neither calls nor the node.

use std::process::{Command, Stdio};

use crate::common::{Folder, Running, free_port, output, told, wait_until};

/// Checks that a node answers calls, and stops in order when told.
#[track_caller]
fn check_serves(port: u16, node: &mut Running) {
    let address = format!("127.0.0.1:{port}");
    wait_until("the node answers", || {
        assert!(node.is_running(), "the node has ended");
        told(&output(["call", "--addr", &address, "@sdb", "PING"])).0 == Some(0)
    });
    for number in 0..20 {
        let value = format!("value {number}");
        let answer = output(["call", "--addr", &address, "@echo", &value]);
        assert_eq!(told(&answer).1, format!("{value}\n"));
    }
    node.signal("TERM");
    assert_eq!(node.ended().code(), Some(0));
}

#[test]
fn a_node_whose_disk_is_full_serves_on() {
    let folder = Folder::new();
    let port = free_port();
    // Every write to it fails for want of space.
    folder.write_nodes(&[("db", port)], "logger = '/dev/full'");
    let config = folder.path("config_db");
    let mut command = Command::new(env!("CARGO_BIN_EXE_skyring"));
    let mut node = Running::start(command.arg("run").arg(config).stderr(Stdio::null()));
    check_serves(port, &mut node);
}

#[test]
fn a_node_whose_log_may_not_grow_any_further_serves_on() {
    let folder = Folder::new();
    let port = free_port();
    let log = folder.path("node.log");
    folder.write_nodes(&[("db", port)], &format!("logger = '{}'", log.display()));
    let config = folder.path("config_db");
    // No file may grow at all, and whoever writes beyond that gets a signal that ends most programs.
    let run = format!(
        "ulimit -f 0; exec {} run {}",
        env!("CARGO_BIN_EXE_skyring"),
        config.display()
    );
    let mut node = Running::start(Command::new("sh").args(["-c", &run]).stderr(Stdio::null()));
    check_serves(port, &mut node);
    let written = std::fs::metadata(&log).expect("the log is there").len();
    assert_eq!(written, 0);
}
