//! Two nodes in two processes answer `skyring call`, by their names in the map and by their addresses.

use crate::common::{Folder, Running, assert_one_line, free_port, outcome, output, skyring};

/// Makes a call by the map, which must succeed, and returns the output.
#[track_caller]
fn call(folder: &Folder, call: &[&str]) -> String {
    let map = folder.path("clustername.lua");
    let mut arguments = vec!["call", "--map", map.to_str().expect("a path of text")];
    arguments.extend(call);
    let (code, text, error) = outcome(&output(&arguments));
    assert_eq!((code, error.as_str()), (Some(0), ""), "{call:?}");
    text
}

fn two_nodes() -> (Folder, Running, Running, u16) {
    let folder = Folder::new();
    let (db, gate) = (free_port(), free_port());
    folder.write_nodes(&[("db", db), ("gate", gate)], "");
    let [db_node, gate_node] = ["config_db", "config_gate"].map(|config| Running::node(&folder.path(config)));
    (folder, db_node, gate_node, db)
}

#[test]
fn each_node_answers_for_itself() {
    let (folder, _db, _gate, port) = two_nodes();
    assert_eq!(call(&folder, &["db", "@sdb", "SET", "name", "skyring"]), "nil\n");
    assert_eq!(
        call(&folder, &["db", "@sdb", "SET", "name", "second"]),
        "skyring\n"
    );
    assert_eq!(call(&folder, &["db", "@sdb", "GET", "name"]), "second\n");
    assert_eq!(call(&folder, &["gate", "@sdb", "GET", "name"]), "nil\n");
    assert_eq!(
        call(&folder, &["gate", "@echo", "网关", "two words"]),
        "网关\ntwo words\n"
    );
    let address = format!("127.0.0.1:{port}");
    let by_address = outcome(&output(["call", "--addr", &address, "@sdb", "GET", "name"]));
    assert_eq!(by_address, (Some(0), "second\n".to_owned(), String::new()));
}

#[test]
fn a_send_has_arrived_when_the_command_ends() {
    let (folder, _db, _gate, _) = two_nodes();
    for round in 0..20 {
        let value = format!("value {round}");
        assert_eq!(
            call(&folder, &["--send", "db", "@sdb", "SET", "sent", &value]),
            ""
        );
        assert_eq!(
            call(&folder, &["db", "@sdb", "GET", "sent"]),
            format!("{value}\n")
        );
    }
}

#[test]
fn a_megabyte_is_echoed_unchanged() {
    let (folder, _db, _gate, _) = two_nodes();
    // One argument is at most 128 KiB; several add up to the megabyte.
    let pieces: Vec<String> = (0..16).map(|piece| format!("{piece:x}").repeat(65_536)).collect();
    let mut arguments = vec!["gate", "@echo"];
    arguments.extend(pieces.iter().map(String::as_str));
    arguments.insert(0, "--string");
    assert_eq!(call(&folder, &arguments), pieces.join("\n") + "\n");
}

#[test]
fn a_config_that_names_a_map_can_replace_the_map() {
    let (folder, _db, _gate, _) = two_nodes();
    let config = folder.path("config_gate");
    let config = config.to_str().expect("a path of text");
    let (code, text, _) = outcome(&output(["call", "--map", config, "db", "@sdb", "PING"]));
    assert_eq!((code, text.as_str()), (Some(0), "PONG\n"));
}

#[test]
fn a_config_alone_runs_the_node_and_a_second_one_finds_the_port_busy() {
    let (folder, _) = Folder::with_db("");
    let config = folder.path("config_db");
    let _node = Running::node(&config);
    // `skyring CONFIG`, from the config's folder and so without a `/`.
    let second = skyring(["config_db"])
        .current_dir(config.parent().expect("it is in a folder"))
        .output()
        .expect("the command starts");
    assert_one_line(&second, 2, "config_db: open: ");
    assert_one_line(&second, 2, "the port is in use");
    assert_eq!(call(&folder, &["db", "@sdb", "PING"]), "PONG\n");
}

#[test]
fn more_shards_than_processors_answer_too() {
    let (folder, _) = Folder::with_db("thread = 9");
    let _node = Running::node(&folder.path("config_db"));
    assert_eq!(call(&folder, &["db", "@sdb", "SET", "a", "1"]), "nil\n");
    assert_eq!(call(&folder, &["db", "@sdb", "GET", "a"]), "1\n");
}

#[test]
fn a_group_answers_with_the_member_that_is_up() {
    let (folder, _db, _gate, port) = two_nodes();
    let text = format!(
        "dead = \"127.0.0.1:1\"\ndb = \"127.0.0.1:{port}\"\n__groups = {{ any = {{ \"dead\", \"db\" }} }}\n"
    );
    folder.write("clustername.lua", &text);
    assert_eq!(call(&folder, &["any", "@sdb", "PING"]), "PONG\n");
}
