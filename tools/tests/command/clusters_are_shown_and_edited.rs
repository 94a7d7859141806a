//! `skyring cluster` shows every node with its state, and edits the map that running nodes watch.

use crate::common::{Folder, Running, assert_one_line, free_port, outcome, output, wait_until};

fn cluster(folder: &Folder, arguments: &[&str]) -> (Option<i32>, String, String) {
    let map = folder.path("clustername.lua");
    let mut all = vec![
        "cluster",
        "--map",
        map.to_str().expect("a path of text"),
        "--timeout",
        "1",
    ];
    all.extend(arguments);
    outcome(&output(&all))
}

#[test]
fn each_node_is_shown_with_its_state() {
    let folder = Folder::new();
    let (db, gate) = (free_port(), free_port());
    folder.write_nodes(&[("db", db), ("gate_beijing", gate)], "");
    let _db = Running::node(&folder.path("config_db"));
    let (code, text, error) = cluster(&folder, &[]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let line = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .map(str::to_owned)
    };
    let words = |name: &str| -> Vec<String> {
        let line = line(name).expect("its line");
        line.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(words("db")[1..3], ["up".to_owned(), format!("127.0.0.1:{db}")]);
    assert_eq!(words("gate_beijing")[1], "down");
    assert_eq!(words("gate_beijing").last().map(String::as_str), Some("beijing"));
}

#[test]
fn an_edit_reaches_a_node_that_watches_its_map() {
    let folder = Folder::new();
    let (db, gate) = (free_port(), free_port());
    folder.write_nodes(&[("db", db), ("gate", gate)], "discovery = { watch = true }");
    let mut node = Running::node(&folder.path("config_gate"));
    let (code, text, _) = cluster(&folder, &["set", "db", "false"]);
    assert_eq!(
        (code, text.ends_with("clustername.lua: db is false\n")),
        (Some(0), true),
        "{text}"
    );
    node.wait_for("has changed and is in force");
    let (_, text, _) = cluster(&folder, &[]);
    assert!(
        text.lines()
            .any(|line| line.starts_with("db") && line.contains("off")),
        "{text}"
    );
    assert_eq!(cluster(&folder, &["set", "new", "127.0.0.1:1"]).0, Some(0));
    assert_eq!(cluster(&folder, &["unset", "new"]).0, Some(0));
    wait_until("it is gone", || !cluster(&folder, &[]).1.contains("new"));
}

#[test]
fn a_mistake_is_one_line_and_changes_nothing() {
    let folder = Folder::new();
    folder.write("map.lua", "db = '127.0.0.1:1'\n");
    let map = folder.path("map.lua");
    let map = map.to_str().expect("a path of text");
    let wrong: [(&[&str], i32, &str); 5] = [
        (&["--map", map, "unset", "other"], 1, "has no node other"),
        (&["--map", map, "set", "db", "here"], 2, "expected"),
        (&["--map", "nowhere.lua"], 2, "no such file"),
        (&["--discovery", "{ watch = true }"], 2, "neither etcd nor dns"),
        (
            &["--discovery", "{ etcd = { '127.0.0.1:1' }, prefix = '/g/' }"],
            1,
            "etcd at 127.0.0.1:1: cannot connect",
        ),
    ];
    for (arguments, code, part) in wrong {
        let mut all = vec!["cluster"];
        all.extend(arguments);
        let output = output(&all);
        if part == "expected" {
            assert_eq!(output.status.code(), Some(code));
        } else {
            assert_one_line(&output, code, part);
        }
    }
    assert_eq!(
        std::fs::read_to_string(map).expect("it is there"),
        "db = '127.0.0.1:1'\n"
    );
}
