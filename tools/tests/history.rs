//! `skyring bench record` appends the figures of a revision to a file, and `skyring bench history` draws it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// Runs `skyring bench` in a folder; returns the exit code, the standard output and the standard error.
fn bench(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_skyring"))
        .arg("bench")
        .args(arguments)
        .current_dir(folder)
        .env("TMPDIR", folder)
        .env("GIT_CEILING_DIRECTORIES", folder.parent().unwrap_or(folder))
        .output()
        .expect("the command runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Runs git, and returns what it writes; `None` when there is none.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    git_at("2020-01-01T00:00:00Z", folder, arguments)
}

/// The same at a time, which a commit has.
fn git_at(date: &str, folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(["-c", "user.name=test", "-c", "user.email=test@example.org"])
        .args(arguments)
        .env("GIT_COMMITTER_DATE", date)
        .current_dir(folder)
        .output()
        .ok()?;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A repository with one commit; `None` when there is no git.
fn repository() -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().expect("a folder");
    if git(folder.path(), &["init", "--quiet"]).is_none() {
        eprintln!("SKIPPED: there is no git");
        return None;
    }
    fs::write(folder.path().join("file"), "1").expect("written");
    git(folder.path(), &["add", "file"]);
    git(folder.path(), &["commit", "--quiet", "-m", "Begin it"]);
    Some(folder)
}

/// A record whose throughput at 256 in flight is that number of times the floor's.
fn line(number: u64, ratio: f64) -> String {
    let figure = json!({"median": ratio, "low": ratio * 0.99, "high": ratio * 1.01, "coverage_percent": 75.0,
        "values": [ratio, ratio * 0.99, ratio * 1.01], "measured": ratio * 2e6, "floor": 2e6});
    let record = json!({"skyring_history": 1, "suite": 1, "revision": format!("{number:07x}{number:033x}"),
        "revision_unix": 1_000 + number, "revision_date": "2026-11-29 10:00", "title": format!("Change {number}"),
        "is_dirty": false, "recorded_unix": 5_000, "machine": {"processor": "a processor", "processors": 2},
        "rounds": 3, "unrest": {"away_percent": 0.1, "away_us_max": 90.0, "steal_percent": 0.0, "other_percent": null},
        "figures": {"parking-256/calls_per_second": figure}});
    format!("{record}\n")
}

#[test]
fn a_history_marks_the_revision_at_which_a_figure_changed_in_text_and_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines: String = (1..=16)
        .map(|number| {
            let noise = 0.002 * (number * 7 % 5) as f64;
            line(number, if number < 10 { 0.8 } else { 0.9 } + noise)
        })
        .collect();
    fs::write(folder.path().join("history.jsonl"), lines).expect("written");
    let (code, text, error) = bench(
        folder.path(),
        &["history", "history.jsonl", "--html", "page.html"],
    );
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(text.contains("000000a 2026-11-29 10:00  Change 10\n"), "{text}");
    let change = text
        .lines()
        .find(|line| line.contains("(p = "))
        .expect("a change");
    assert!(change.contains("0.804 to 0.904, 1.12"), "{text}");
    let marked: Vec<&str> = text.lines().filter(|line| line.starts_with('*')).collect();
    assert!(matches!(marked[..], [line] if line.contains("000000a")), "{text}");
    let page = fs::read_to_string(folder.path().join("page.html")).expect("the page");
    assert!(page.contains(change.trim()), "{change}");
}

#[test]
fn a_history_without_a_change_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines: String = (1..=16)
        .map(|number| line(number, 0.8 + 0.01 * (number * 7 % 5) as f64))
        .collect();
    fs::write(folder.path().join("history.jsonl"), lines).expect("written");
    let (code, text, _) = bench(folder.path(), &["history", "history.jsonl"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("no change was found"), "{text}");
}

#[test]
fn records_of_two_machines_are_two_histories() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = line(2, 9.0).replace("a processor", "another processor");
    fs::write(folder.path().join("history.jsonl"), line(1, 0.8) + &other).expect("written");
    let (code, text, _) = bench(folder.path(), &["history", "history.jsonl"]);
    assert_eq!(code, Some(0));
    assert_eq!(text.matches("1 record of 1 revision\n").count(), 2, "{text}");
    assert!(
        text.contains("2 x a processor") && text.contains("2 x another processor"),
        "{text}"
    );
}

#[test]
fn a_file_that_is_no_history_is_one_line_of_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = line(1, 0.8);
    for (text, cause) in [
        (String::new(), "history.jsonl: it has no record"),
        (
            format!("{good}oops\n{good}"),
            "history.jsonl: line 2: it is not JSON",
        ),
        (good.trim_end().to_owned(), "history.jsonl: line 1: it has no end"),
        (
            good.replace("\"skyring_history\":1", "\"skyring_history\":2"),
            "line 1: its format is version 2, and this program reads version 1",
        ),
        (
            good.replace("\"suite\":1", "\"suite\":2"),
            "line 1: it was measured with suite 2",
        ),
        (
            "{\"calls_per_second\":1}\n".to_owned(),
            "line 1: it is not a record",
        ),
    ] {
        fs::write(folder.path().join("history.jsonl"), &text).expect("written");
        let (code, out, error) = bench(folder.path(), &["history", "history.jsonl"]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{error}");
        assert!(error.contains(cause) && error.lines().count() == 1, "{error}");
    }
    let (code, _, error) = bench(folder.path(), &["history", "missing.jsonl"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("missing.jsonl: No such file"), "{error}");
    fs::write(folder.path().join("history.jsonl"), &good).expect("written");
    let (code, _, error) = bench(
        folder.path(),
        &["history", "history.jsonl", "--html", "no/page.html"],
    );
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("no/page.html: cannot be written"), "{error}");
}

#[test]
fn nothing_is_recorded_of_a_changed_tree_or_into_a_file_that_is_no_history() {
    let Some(folder) = repository() else { return };
    let folder = folder.path();
    fs::write(folder.join("bad.jsonl"), "oops\n").expect("written");
    fs::write(folder.join("program"), "").expect("written");
    let other = ["--program", "./program", "--revision", "HEAD"];
    for (arguments, cause) in [
        (&["record", "bad.jsonl"][..], "bad.jsonl: line 1: it is not JSON"),
        (
            &["record", "no/such.jsonl"],
            "no/such.jsonl: it cannot be written",
        ),
        (
            &[
                "record",
                "new.jsonl",
                "--program",
                "./missing",
                "--revision",
                "HEAD",
            ],
            "./missing: it is not a file",
        ),
        (
            &[
                "record",
                "new.jsonl",
                "--program",
                "./program",
                "--revision",
                "nothing",
            ],
            "nothing is not a revision of the git repository",
        ),
        (&["record", "new.jsonl", "--rounds", "0"], "--rounds"),
        (&["record", "new.jsonl", "--program", "./program"], "--revision"),
    ] {
        let (code, _, error) = bench(folder, arguments);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(cause), "{error}");
    }
    // A program that cannot be run is no reason to write anything.
    let (code, _, error) = bench(folder, &[&["record", "new.jsonl"][..], &other].concat());
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("program gives no result"), "{error}");
    assert_eq!(fs::read(folder.join("new.jsonl")).expect("it is there"), b"");

    fs::write(folder.join("file"), "2").expect("written");
    let (code, _, error) = bench(folder, &["record", "new.jsonl"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("changes that are not committed"), "{error}");
    git_at(
        "2090-01-01T00:00:00Z",
        folder,
        &["commit", "--quiet", "--all", "-m", "Go on"],
    );
    let (code, _, error) = bench(folder, &["record", "new.jsonl"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("this program is older than HEAD"), "{error}");
    assert_eq!(fs::read(folder.join("new.jsonl")).expect("it is there"), b"");
}

#[test]
fn outside_of_a_repository_nothing_is_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, _, error) = bench(folder.path(), &["record", "new.jsonl"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(
        error.contains("HEAD is not a revision of the git repository"),
        "{error}"
    );
}

#[test]
fn an_older_program_is_recorded_beside_floors_with_what_it_does_not_know_left_out() {
    let Some(folder) = repository() else { return };
    let folder = folder.path();
    let result = json!({"calls_per_second": 1e6, "latency_us": {"p50": 50.0, "p90": 60.0, "p99": 90.0, "p999": 200.0, "max": 900.0},
        "errors": 0, "in_flight": 256, "channels": 1, "size": 64, "cpu_seconds": {"client": 1.0, "server": 1.0},
        "machine": {}, "calls": 1_000_000});
    let program = folder.join("program");
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in bench) echo '{result}';; *) echo 'error: unknown command' >&2; exit 2;; esac\n"
    );
    fs::write(&program, script).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    let arguments = [
        "record",
        "new.jsonl",
        "--rounds",
        "1",
        "--program",
        "./program",
        "--revision",
        "HEAD",
    ];
    let (code, out, error) = bench(folder, &arguments);
    assert_eq!((code, out.as_str()), (Some(0), ""), "{error}");

    let line = fs::read_to_string(folder.join("new.jsonl")).expect("it is there");
    let record: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        record["revision"].as_str(),
        git(folder, &["rev-parse", "HEAD"]).as_deref()
    );
    assert_eq!(
        (&record["title"], &record["is_dirty"]),
        (&json!("Begin it"), &json!(false))
    );
    let figures = record["figures"].as_object().expect("figures");
    // Six cases with four figures each; the costs and the calls in Lua are not known.
    assert_eq!(figures.len(), 24, "{line}");
    let missing = record["missing"].to_string();
    assert!(
        missing.contains("costs of a call") && missing.contains("lua-64: "),
        "{missing}"
    );
    let figure = &figures["parking-256/calls_per_second"];
    assert_eq!(figure["measured"], json!(1e6));
    let (ratio, floor) = (figure["median"].as_f64(), figure["floor"].as_f64());
    let product = ratio.expect("a ratio") * floor.expect("a floor");
    assert!((product / 1e6 - 1.0).abs() < 1e-4, "{figure}");

    let (code, text, _) = bench(folder, &["history", "new.jsonl"]);
    assert_eq!(code, Some(0));
    assert!(
        text.contains("256 in flight, spinning: p99, times the floor's"),
        "{text}"
    );
}
