//! `skyring doctor` says what on the machine and around a node is wrong, and what to do about it.

use std::net::TcpListener;

use crate::common::{
    Folder, Running, assert_refused, free_port, outcome, output, run_command, skyring, wait_for_reply,
};

#[test]
fn a_machine_on_which_nodes_run_has_no_failure() {
    let (code, text, error) = outcome(&output(["doctor"]));
    assert_eq!((code, error.as_str()), (Some(0), ""), "{text}");
    assert!(text.contains("ok       io_uring"), "{text}");
    assert!(text.ends_with(", 0 failures\n"), "{text}");
}

#[test]
fn a_node_is_judged_with_its_machine() {
    let folder = Folder::new();
    let (own, other) = (free_port(), free_port());
    folder.write_nodes(&[("db", own), ("gate", other)], "logger = './db.log'");
    let doctor = || {
        let mut command = skyring(["doctor", "config_db"]);
        command.current_dir(folder.path(""));
        outcome(&command.output().expect("the command starts"))
    };
    let (code, text, _) = doctor();
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "config_db is valid",
        "db.log can be written",
        &format!("127.0.0.1:{own} is free"),
        &format!("127.0.0.1:{other} does not answer"),
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let mut gate = Running::start(&mut run_command(&folder.path("config_gate")));
    wait_for_reply(&format!("127.0.0.1:{other}"), &mut gate);
    let _taken = TcpListener::bind(("127.0.0.1", own)).expect("a free port");
    let (code, text, _) = doctor();
    assert_eq!(code, Some(0), "{text}");
    for part in [
        &format!("127.0.0.1:{own} is in use: this node runs already, or another program has the port"),
        &format!("127.0.0.1:{other} accepts connections"),
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn what_keeps_a_node_from_starting_is_a_failure_and_an_exit_code() {
    let folder = Folder::new();
    folder.write("config", "logger = './missing/node.log'");
    let mut command = skyring(["doctor", "config"]);
    let (code, text, _) = outcome(&command.current_dir(folder.path("")).output().expect("it starts"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("failure  logger"), "{text}");
    assert!(text.ends_with(", 1 failure\n"), "{text}");
}

#[test]
fn an_invalid_config_is_refused_as_check_refuses_it() {
    let folder = Folder::new();
    let config = folder.write("config", "thread = 'many'");
    assert_refused("doctor", &config, &["thread"]);
}
