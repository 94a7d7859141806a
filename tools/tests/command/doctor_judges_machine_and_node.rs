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
    let [own, other, admin] = [(); 3].map(|()| free_port());
    let settings = format!("logger = './db.log'\nadmin = '127.0.0.1:{admin}'");
    folder.write_nodes(&[("db", own), ("gate", other)], &settings);
    let doctor = || {
        let mut command = skyring(["doctor", "config_db"]);
        command.current_dir(folder.path(""));
        outcome(&command.output().expect("the command starts"))
    };
    let assert_has = |text: &str, parts: &[&str]| {
        for part in parts {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    };
    let (code, text, _) = doctor();
    assert_eq!(code, Some(0), "{text}");
    assert_has(
        &text,
        &[
            "config_db is valid",
            "db.log can be written",
            &format!("127.0.0.1:{own} is free"),
            &format!("127.0.0.1:{admin} is free"),
            &format!("127.0.0.1:{other} does not answer"),
        ],
    );
    let mut gate = Running::start(&mut run_command(&folder.path("config_gate")));
    wait_for_reply(&format!("127.0.0.1:{other}"), &mut gate);
    let (code, text, _) = doctor();
    assert_eq!(code, Some(0), "{text}");
    assert_has(
        &text,
        &[
            &format!(
                "127.0.0.1:{admin} is in use by process {} (skyring): this node runs already",
                gate.id()
            ),
            &format!("127.0.0.1:{other} accepts connections"),
        ],
    );
    let _taken = TcpListener::bind(("127.0.0.1", own)).expect("a free port");
    let (code, text, _) = doctor();
    assert_eq!(code, Some(1), "another program has the port: {text}");
    let id = std::process::id();
    assert_has(&text, &[&format!("127.0.0.1:{own} is in use by process {id} (")]);
}

#[test]
fn ports_that_discovery_and_gates_name_are_looked_at_and_an_open_admin_server_is_noted() {
    let folder = Folder::new();
    let [own, admin, clients] = [(); 3].map(|()| free_port());
    let config = folder.write(
        "config",
        format!(
            "open = 'scene'\ndiscovery = {{ dns = '_skyring._tcp.scene', listen = '127.0.0.1:{own}' }}\n\
             admin = '0.0.0.0:{admin}'\nadmin_token = '0123456789abcdef'\n\
             services = {{ echo = 'echo', web = 'gate ws://127.0.0.1:{clients}/game @echo 20' }}\n"
        ),
    );
    let _taken = TcpListener::bind(("127.0.0.1", clients)).expect("a free port");
    let (code, text, error) = outcome(&output(["doctor".as_ref(), config.as_os_str()]));
    assert_eq!((code, error.as_str()), (Some(1), ""), "{text}");
    for part in [
        &format!("127.0.0.1:{own} is free"),
        &format!("0.0.0.0:{admin} is free"),
        &format!("0.0.0.0:{admin} is for other machines, too"),
        &format!("127.0.0.1:{clients} is in use by process "),
    ] {
        assert!(text.contains(part.as_str()), "{part} is not in {text}");
    }
    assert!(
        text.lines().any(|line| line.starts_with("failure  gate web")),
        "{text}"
    );
    assert!(!text.contains("0123456789abcdef"));
    // Without a token nobody but this machine may see it.
    let open = folder.write("open", format!("thread = 1\nadmin = '0.0.0.0:{admin}'"));
    assert_refused("doctor", &open, &["admin_token must be set"]);
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
