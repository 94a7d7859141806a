//! A cluster with a secret: an operator reaches it with the config of a node, nobody reaches it without, and the secret
//! is nowhere to be seen.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::common::{
    Folder, Running, assert_one_line, assert_refused, free_port, outcome, output, run_command, skyring,
};

/// The secret of the nodes, of letters that occur nowhere else.
const SECRET: &str = "zqxjkvzqxjkvzqxjkvzqxjkvzqxjkvzq";

/// Writes a file that only its owner may read.
fn write_secret(folder: &Folder, name: &str, secret: &str) {
    folder.write(name, secret);
    fs::set_permissions(folder.path(name), fs::Permissions::from_mode(0o600)).expect("it is ours");
}

fn closed_nodes() -> (Folder, Running, Running) {
    let folder = Folder::new();
    let settings = "cluster_secret_file = \"secret\"\nallow = { sdb = { \"gate\" } }";
    folder.write_nodes(&[("db", free_port()), ("gate", free_port())], settings);
    write_secret(&folder, "secret", SECRET);
    let [db, gate] = ["config_db", "config_gate"].map(|config| Running::node(&folder.path(config)));
    (folder, db, gate)
}

/// What a command wrote, and its exit code; the secret is in none of it.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let outcome = outcome(&output(arguments));
    assert!(
        !outcome.1.contains("zqxjkv") && !outcome.2.contains("zqxjkv"),
        "{outcome:?}"
    );
    outcome
}

#[test]
fn the_config_of_a_node_opens_the_door_and_a_map_alone_does_not() {
    let (folder, db, gate) = closed_nodes();
    let path = |name: &str| folder.path(name).to_str().expect("a path of text").to_owned();
    let call = |file: &str| {
        let file = path(file);
        run(&["call", "--map", &file, "db", "@sdb", "PING"])
    };
    assert_eq!(call("config_gate"), (Some(0), "PONG\n".to_owned(), String::new()));
    let (code, _, error) = call("clustername.lua");
    assert_eq!(code, Some(1));
    assert!(
        error.starts_with("error: denied: node db: ") && error.contains("no proof of the cluster secret"),
        "{error}"
    );
    // The name of the config is the one that is called under.
    let (code, _, error) = call("config_db");
    assert_eq!(
        (code, error.as_str()),
        (Some(1), "error: denied: node db may not call @sdb\n")
    );
    // Another secret.
    write_secret(&folder, "wrong", "zqxjkvzqxjkvzqxjkvzqxjkvzqxjkvzq-wrong");
    let config = fs::read_to_string(folder.path("config_gate")).expect("it was written");
    folder.write("config_wrong", config.replace("\"secret\"", "\"wrong\""));
    let (code, _, error) = call("config_wrong");
    assert!(
        code == Some(1) && error.contains("a proof with another cluster secret"),
        "{error}"
    );
    let gate_config = path("config_gate");
    let (code, text, error) = run(&[
        "bench",
        "--map",
        &gate_config,
        "--node",
        "db",
        "--address",
        "@sdb",
        "--seconds",
        "1",
        "--warmup",
        "0.1",
        "--",
        "PING",
    ]);
    assert_eq!(code, Some(0), "{text}{error}");
    let (code, text, _) = run(&["check", &gate_config]);
    assert!(code == Some(0) && text.contains("cluster_secret"), "{text}");
    for node in [db, gate] {
        let written = node.written();
        assert!(!written.contains("zqxjkv"), "{written}");
    }
}

#[test]
fn a_secret_from_the_environment_is_seen_by_nobody() {
    let (folder, address) = Folder::with_db("cluster_secret = \"$SKYRING_TEST_SECRET\"");
    let config = folder.path("config_db");
    let missing = outcome(&output(["check".as_ref(), config.as_os_str()]));
    assert!(
        missing
            .2
            .contains("environment variable $SKYRING_TEST_SECRET is not set"),
        "{}",
        missing.2
    );
    for (value, cause) in [
        ("", "the secret is empty"),
        ("zqxjkv", "a secret of 6 bytes is too short"),
        ("zqxjkv\"zqxjkv", "syntax error"),
        ("zqxjkv\nzqxjkv", "unfinished string"),
    ] {
        let refused = skyring(["check".as_ref(), config.as_os_str()])
            .env("SKYRING_TEST_SECRET", value)
            .output()
            .expect("the command starts");
        assert_one_line(&refused, 2, cause);
        assert!(!outcome(&refused).2.contains("zqxjkv"), "{cause}");
    }
    let node = Running::node_of(run_command(&config).env("SKYRING_TEST_SECRET", SECRET));
    let (code, _, error) = run(&["call", "--addr", &address, "@sdb", "PING"]);
    assert!(
        code == Some(1) && error.contains("no proof of the cluster secret"),
        "{error}"
    );
    assert!(!node.written().contains("zqxjkv"));
}

#[test]
fn a_file_that_others_may_read_stops_the_start() {
    let (folder, _) = Folder::with_db("cluster_secret_file = \"secret\"");
    write_secret(&folder, "secret", SECRET);
    fs::set_permissions(folder.path("secret"), fs::Permissions::from_mode(0o644)).expect("it is ours");
    for command in ["check", "run"] {
        assert_refused(
            command,
            &folder.path("config_db"),
            &["others may read or change it (its mode is 0644)"],
        );
    }
}
