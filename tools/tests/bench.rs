//! `skyring bench` measures both sides of a channel and the floor, and says it to people and to programs.

use std::fs;
use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> (Output, String, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_skyring"))
        .arg("bench")
        .args(arguments)
        .env("TMPDIR", folder.path())
        .current_dir(folder.path())
        .output()
        .expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, text, folder)
}

/// The number behind `"key":`, from the first place after `section` on.
fn number(json: &str, section: &str, key: &str) -> f64 {
    let (_, rest) = json
        .split_once(&format!("\"{section}\":"))
        .expect("the section is there");
    let (_, rest) = rest.split_once(&format!("\"{key}\":")).expect("the key is there");
    let end = rest.find([',', '}']).expect("something follows");
    rest[..end].parse().expect("a number")
}

#[test]
fn the_table_has_a_row_for_skyring_and_one_for_the_floor() {
    let (output, text, folder) = bench(&["--seconds", "1", "--warmup", "0", "--in-flight", "1"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for part in [
        "calls/s",
        "p99.9",
        "skyring, 1 in flight",
        "blocking TCP echo, 1 in flight",
        "x its p50",
    ] {
        assert!(text.contains(part), "no \"{part}\" in:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    let left = fs::read_dir(folder.path()).expect("the folder is ours").count();
    assert_eq!(left, 0, "files are left behind");
}

#[test]
fn the_figures_come_as_json_too() {
    let arguments = [
        "--seconds",
        "1",
        "--warmup",
        "0",
        "--threads",
        "2",
        "--size",
        "100",
    ];
    let (output, json, _) = bench(&[&arguments[..], &["--json", "-"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(json.lines().count(), 1, "{json}");
    for section in ["load", "floor"] {
        assert!(number(&json, section, "calls_per_second") > 0.0, "{json}");
        assert!(number(&json, section, "p50") > 0.0, "{json}");
        assert_eq!(number(&json, section, "size"), 100.0, "{json}");
    }
    assert_eq!(number(&json, "load", "in_flight"), 256.0, "{json}");
    assert!(json.contains("\"errors\":{}"), "{json}");
    assert!(number(&json, "cpu_seconds", "server") > 0.0, "{json}");

    let (output, table, folder) = bench(&["--seconds", "1", "--warmup", "0", "--json", "figures.json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(table.contains("skyring, 256 in flight"), "{table}");
    let json = fs::read_to_string(folder.path().join("figures.json")).expect("the file is written");
    assert!(number(&json, "load", "calls_per_second") > 0.0, "{json}");
}

#[test]
fn an_option_out_of_range_is_refused_before_anything_starts() {
    for arguments in [
        ["--in-flight", "0"],
        ["--seconds", "0"],
        ["--threads", "0"],
        ["--size", "999999999"],
    ] {
        let (output, text, _) = bench(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text.is_empty(), "{text}");
    }
}
