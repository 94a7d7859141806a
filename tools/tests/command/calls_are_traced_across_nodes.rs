//! `skyring trace` and the log of slow calls, with Lua services on two nodes.

use crate::common::{Folder, Running, assert_one_line, free_port, outcome, output};

const FRONT: &str = r#"
local skynet = require "skynet"
local cluster = require "skynet.cluster"
skynet.start(function()
    skynet.dispatch("lua", function(_, _, command, key)
        skynet.sleep(1)
        skynet.retpack(cluster.call("db", "@store", command, key))
    end)
    cluster.register("front", skynet.self())
    cluster.open "front"
end)
"#;

const STORE: &str = r#"
local skynet = require "skynet"
local cluster = require "skynet.cluster"
skynet.start(function()
    skynet.dispatch("lua", function(_, _, command, key)
        if command == "slow" then skynet.sleep(20) end
        if command == "fail" then error("no such key") end
        skynet.retpack(key)
    end)
    cluster.register("store", skynet.self())
    cluster.open "db"
end)
"#;

/// Two nodes with a Lua service each, the second of which logs calls of 100 milliseconds or more.
struct Nodes {
    folder: Folder,
    front: Running,
    _store: Running,
}

fn nodes() -> Nodes {
    let folder = Folder::new();
    let (front, db) = (free_port(), free_port());
    let map = format!("front = \"127.0.0.1:{front}\"\ndb = \"127.0.0.1:{db}\"\n");
    folder.write("clustername.lua", map);
    folder.write("front.lua", FRONT);
    folder.write("store.lua", STORE);
    let mut started = ["front", "store"].into_iter().map(|service| {
        let more = if service == "front" { "slow_call_ms = 100\n" } else { "" };
        let config = format!(
            "thread = 2\ncluster = \"{0}/clustername.lua\"\nluaservice = \"{0}/?.lua\"\nstart = \"{service}\"\n{more}",
            folder.path("").display()
        );
        Running::node(&folder.write(&format!("config_{service}"), config))
    });
    let (front, store) = (started.next(), started.next());
    drop(started);
    Nodes {
        front: front.expect("a node"),
        _store: store.expect("a node"),
        folder,
    }
}

impl Nodes {
    fn trace(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let map = self.folder.path("clustername.lua");
        let first = ["trace", "--map", map.to_str().expect("a text")];
        outcome(&output(first.iter().chain(arguments)))
    }
}

/// The lines of a trace without their times.
fn without_times(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let words = line.get(12..).unwrap_or_default().split(", ");
        let kept: Vec<&str> = words
            .filter(|part| !part.starts_with("sent after") && !part.starts_with("started after"))
            .collect();
        // Handles differ.
        let words: Vec<&str> = kept[0]
            .split(' ')
            .map(|word| if word.starts_with(':') { ":HANDLE" } else { word })
            .collect();
        let mut text = words.join(" ");
        for part in &kept[1..] {
            text = format!("{text}, {part}");
        }
        text
    };
    text.lines().skip(1).map(line).collect()
}

#[test]
fn a_call_is_shown_on_every_node_that_it_reaches() {
    let mut nodes = nodes();
    let (code, text, error) = nodes.trace(&["front", "@front", "slow", "name"]);
    assert_eq!((code, error.as_str()), (Some(0), ""), "{text}");
    let expected = [
        "  calls front @front slow",
        "    front handles :HANDLE slow",
        "      front calls db @store slow",
        "        db handles :HANDLE slow",
    ];
    assert_eq!(without_times(&text), expected, "{text}");

    // The node's log has the slow calls, with a trace that can be looked up.
    nodes.front.wait_for("slow call: db @store \"slow\" took ");
    let trace = text.lines().next().and_then(|line| line.strip_prefix("trace "));
    let (code, again, error) = nodes.trace(&["--id", trace.expect("a trace")]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert_eq!(
        without_times(&again),
        expected[1..].iter().map(|line| &line[2..]).collect::<Vec<_>>()
    );

    let (code, slowest, error) = nodes.trace(&["--slowest", "1", "front"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert_eq!(slowest.lines().count(), 2, "{slowest}");
}

#[test]
fn a_call_that_fails_is_shown_with_its_error() {
    let nodes = nodes();
    let (code, text, error) = nodes.trace(&["front", "@front", "fail", "name"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("no such key"), "{error}");
    let lines = without_times(&text);
    assert_eq!(lines.len(), 4, "{text}");
    assert!(
        lines.iter().all(|line| line.ends_with(", failed: remote")),
        "{text}"
    );
}

#[test]
fn nodes_that_do_not_answer_are_named_and_traces_that_are_not_there_too() {
    let mut nodes = nodes();
    let (code, text, error) = nodes.trace(&["--id", "1"]);
    assert_eq!((code, text.as_str()), (Some(1), ""));
    assert!(error.contains("no node has a span of it"), "{error}");
    nodes.front.signal("TERM");
    nodes.front.wait_for_end();
    let (code, _, error) = nodes.trace(&["--id", "1"]);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("node front does not say what it has: unreachable"),
        "{error}"
    );
}

#[test]
fn wrong_arguments_are_named() {
    let folder = Folder::new();
    let map = folder.write("map.lua", "db = \"127.0.0.1:1\"\n");
    let map = map.to_str().expect("a text");
    for (arguments, part) in [
        (vec!["--map", map, "db", "@sdb"], "CMD is missing"),
        (
            vec!["--map", map, "db", "sdb", "GET"],
            "is not the address of a service",
        ),
        (
            vec!["--map", map, "--slowest", "3", "db", "more"],
            "--slowest takes only a node",
        ),
    ] {
        let arguments: Vec<&str> = [vec!["trace"], arguments].concat();
        assert_one_line(&output(arguments), 2, part);
    }
    let (code, _, error) = outcome(&output(["trace", "--map", map, "--id", "xyz"]));
    assert_eq!(code, Some(2));
    assert!(error.contains("expected up to 32 hexadecimal digits"), "{error}");
    let (code, _, error) = outcome(&output(["trace", "--map", map, "no", "@sdb", "GET"]));
    assert_eq!(code, Some(1));
    assert!(error.contains("node no is not in the cluster map"), "{error}");
}
