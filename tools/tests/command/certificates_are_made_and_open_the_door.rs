//! A cluster with TLS: certificates are made by the command, an operator reaches the nodes with the config of one, and no key
//! is anywhere to be seen.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::common::{Folder, Running, assert_one_line, free_port, outcome, output};

fn cert(folder: &Folder, arguments: &[&str]) -> std::process::Output {
    let at = folder.path("");
    let at = at.to_str().expect("a path of text");
    output([&["cert"], arguments, &["--folder", at]].concat())
}

/// Makes a CA and certificates of these nodes.
fn certified(folder: &Folder, names: &[&str]) {
    assert_eq!(outcome(&cert(folder, &["ca"])).0, Some(0));
    for name in names {
        let made = outcome(&cert(folder, &["node", name]));
        assert_eq!(made.0, Some(0), "{}", made.2);
    }
}

/// Asserts that no line of a key is in a text.
fn assert_no_key(folder: &Folder, text: &str) {
    for name in ["ca.key", "db.key", "gate.key"] {
        let key = fs::read_to_string(folder.path(name)).expect("it was made");
        for line in key.lines().filter(|line| !line.starts_with("-----")) {
            assert!(line.len() > 8 && !text.contains(line), "{text}");
        }
    }
}

#[test]
fn certificates_are_for_their_owner_only_and_are_not_overwritten_by_mistake() {
    let folder = Folder::new();
    let refused = cert(&folder, &["node", "db"]);
    assert_one_line(
        &refused,
        2,
        "there is no CA in this folder; make one with: skyring cert ca",
    );
    certified(&folder, &["db"]);
    for key in ["ca.key", "db.key"] {
        let mode = fs::metadata(folder.path(key))
            .expect("it was made")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let key = fs::read(folder.path("db.key")).expect("it was made");
    assert_one_line(&cert(&folder, &["node", "db"]), 2, "overwrite it with --force");
    assert_one_line(&cert(&folder, &["ca"]), 2, "overwrite it with --force");
    assert_eq!(fs::read(folder.path("db.key")).expect("it is there"), key);
    // One of the two is enough to be careful.
    fs::remove_file(folder.path("db.pem")).expect("it is there");
    assert_one_line(&cert(&folder, &["node", "db"]), 2, "db.key: is there already");
    assert_eq!(outcome(&cert(&folder, &["node", "db", "--force"])).0, Some(0));
    assert_ne!(fs::read(folder.path("db.key")).expect("it is there"), key);
    for name in ["a/b", "..", "", "数据库", "10.0.0.1", "ca"] {
        assert_eq!(outcome(&cert(&folder, &["node", name])).0, Some(2), "{name}");
    }
    fs::write(folder.path("ca.key"), "zqxjkv").expect("it is ours");
    let broken = cert(&folder, &["node", "gate"]);
    assert_one_line(&broken, 2, "no key of a CA");
    assert!(!outcome(&broken).2.contains("zqxjkv"));
}

/// Whether a text has this before a number of whole days that have all but passed, or just begun.
fn has(text: &str, before: &str, days: u32) -> bool {
    [days, days - 1]
        .iter()
        .any(|days| text.contains(&format!("{before}{days} days")))
}

#[test]
fn the_config_of_a_node_opens_the_door_and_a_map_alone_does_not() {
    let folder = Folder::new();
    certified(&folder, &["db", "gate", "scene"]);
    let settings = "tls = { certificate = \"NODE.pem\", key = \"NODE.key\", ca = \"ca.pem\" }\nallow = { sdb = { \"gate\" } }";
    folder.write_nodes(&[("db", free_port()), ("gate", free_port())], settings);
    for name in ["db", "gate"] {
        let file = format!("config_{name}");
        let config = fs::read_to_string(folder.path(&file)).expect("it was written");
        folder.write(&file, config.replace("NODE", name));
    }
    let [db, gate] = ["config_db", "config_gate"].map(|config| Running::node(&folder.path(config)));
    let path = |name: &str| folder.path(name).to_str().expect("a path of text").to_owned();
    let run = |arguments: &[&str]| {
        let ran = outcome(&output(arguments));
        assert_no_key(&folder, &format!("{ran:?}"));
        ran
    };
    let call = |file: &str| run(&["call", "--map", &path(file), "db", "@sdb", "PING"]);
    assert_eq!(call("config_gate"), (Some(0), "PONG\n".to_owned(), String::new()));
    let (code, _, error) = call("clustername.lua");
    assert!(
        code == Some(1) && error.contains("a connection without TLS, which this node requires"),
        "{error}"
    );
    // The name is that of the certificate.
    let (code, _, error) = call("config_db");
    assert_eq!(
        (code, error.as_str()),
        (Some(1), "error: denied: node db may not call @sdb\n")
    );
    let config = path("config_gate");
    let (code, text, error) = run(&[
        "bench",
        "--map",
        &config,
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
    let (code, text, error) = run(&["cluster", "--map", &config]);
    assert!(
        code == Some(0)
            && text
                .lines()
                .any(|line| line.contains("db") && line.contains("up")),
        "{text}{error}"
    );
    let (code, text, _) = run(&["check", &config]);
    assert!(
        code == Some(0) && has(&text, "the certificate is for gate, for ", 365),
        "{text}"
    );
    let (_, text, _) = run(&["doctor", &config]);
    assert!(has(&text, "the certificate is for gate, for ", 365), "{text}");
    // One that expires soon.
    let soon = cert(&folder, &["node", "gate", "--days", "7", "--force"]);
    assert_eq!(outcome(&soon).0, Some(0));
    let (_, text, _) = run(&["doctor", &config]);
    assert!(has(&text, "expires in ", 7), "{text}");
    let (code, text, _) = run(&["check", &config]);
    assert!(
        code == Some(0) && text.contains("warning: tls.certificate: "),
        "{text}"
    );
    for node in [db, gate] {
        assert_no_key(&folder, &node.written());
    }
}
