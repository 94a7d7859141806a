//! `skyring bench nodes` runs many nodes as processes, kills one and parts the network.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs it with five nodes, and what would make it long made short; checks that it leaves nothing behind.
fn nodes(more: &[&str]) -> (Output, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_skyring"))
        .args(["bench", "nodes", "--nodes", "5", "--idle-seconds", "0.5"])
        .args(["--parted-seconds", "1", "--lease-s", "2", "--json", "-"])
        .args(more)
        .env("TMPDIR", folder.path())
        .output()
        .expect("the command runs");
    let left: Vec<_> = fs::read_dir(folder.path()).expect("the folder").collect();
    assert!(left.is_empty(), "{left:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let json = serde_json::from_str(&text).unwrap_or(Value::Null);
    (output, json)
}

fn number(figures: &Value, path: &str) -> f64 {
    let figure = figures.pointer(path).and_then(Value::as_f64);
    figure.unwrap_or_else(|| panic!("{path} in {figures}"))
}

/// What holds wherever the nodes find each other.
fn assert_measured(output: &Output, figures: &Value) {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // Each of five has connected to each other once.
    assert!(number(figures, "/start/connects/accepted") >= 20.0);
    assert!(number(figures, "/start/met_seconds") > 0.0);
    assert!(number(figures, "/resident_bytes/median") > 1e6);
    assert!(number(figures, "/proportional_bytes/max") <= number(figures, "/resident_bytes/max"));
    assert!(number(figures, "/idle_processor_percent/median") > 0.0);
    assert!(number(figures, "/killed/known_seconds/max") > 0.0);
    assert!(number(figures, "/killed/calls") > 0.0);
    assert_eq!(number(figures, "/killed/failed_to_others"), 0.0);
    match figures.pointer("/parted/known_seconds/max") {
        Some(_) => {
            assert!(number(figures, "/parted/failed_across") > 0.0);
            assert_eq!(number(figures, "/parted/failed_within"), 0.0);
        }
        None => {
            let because = figures["not_parted_because"].as_str();
            eprintln!(
                "skipped: the network is not parted: {}",
                because.expect("a reason")
            );
        }
    }
}

#[test]
fn five_nodes_find_each_other_and_know_of_a_killed_one_and_of_a_parted_network() {
    let (output, figures) = nodes(&[]);
    assert_measured(&output, &figures);
    if figures["found_by"] != "etcd" {
        eprintln!("skipped: there is no etcd here");
    }
}

#[test]
fn without_etcd_the_nodes_find_each_other_by_a_map_file() {
    let (output, figures) = nodes(&["--no-etcd"]);
    assert_measured(&output, &figures);
    assert_eq!(figures["found_by"], "a watched map file");
}

#[test]
fn numbers_out_of_bounds_are_refused() {
    for arguments in [["--nodes", "2"], ["--nodes", "401"], ["--lease-s", "1"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_skyring"))
            .args(["bench", "nodes"])
            .args(arguments)
            .output()
            .expect("the command runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    }
}
