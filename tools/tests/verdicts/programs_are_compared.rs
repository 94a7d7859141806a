//! `skyring bench ab` compares two programs, or two settings of one.

use std::fs;

use serde_json::Value;

use crate::common::{bench, program_with_windows, program_without_windows, result, script};

fn object(json: &str) -> Value {
    assert_eq!(json.lines().count(), 1, "{json}");
    serde_json::from_str(json).expect("JSON")
}

#[test]
fn the_verdict_is_that_of_the_known_figures() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = |name: &str, rate: f64, p99: f64| {
        program_with_windows(folder.path(), name, &[result(rate, p99)])
            .display()
            .to_string()
    };
    let base = program("base", 1_000.0, 100.0);
    for (name, rate, p99, expected, verdict, ratio) in [
        ("same", 1_000.0, 100.0, 0, "no_difference", 1.0),
        ("slow", 970.0, 100.0, 3, "slower", 0.97),
        ("fast", 1_100.0, 100.0, 0, "faster", 1.1),
        // The figure that decides does not differ, and another one does.
        ("late", 1_000.0, 130.0, 3, "slower", 1.0),
        ("soon", 1_000.0, 70.0, 0, "faster", 1.0),
        // What decides is better, although another figure is worse.
        ("both", 1_100.0, 130.0, 0, "faster", 1.1),
    ] {
        let other = program(name, rate, p99);
        let (code, json, error) = bench(folder.path(), &["ab", &base, &other, "--seed=7", "--json=-"]);
        assert_eq!(code, Some(expected), "{name}: {json}{error}");
        let found = object(&json);
        assert_eq!(found["verdict"], verdict, "{json}");
        let calls = &found["figures"][0];
        for end in ["ratio", "low", "high"] {
            let value = calls[end].as_f64().expect("a number");
            assert!((value - ratio).abs() < 1e-6, "{end} of {name}: {json}");
        }
        assert_eq!(
            (&found["seed"], &found["has_windows"]),
            (&7.into(), &true.into()),
            "{json}"
        );
    }
}

#[test]
fn figures_without_order_are_no_verdict() {
    let folder = tempfile::tempdir().expect("a folder");
    let steady = program_with_windows(folder.path(), "steady", &[result(1_000.0, 100.0)]);
    // As often above as below, over all starts, of which each has five pairs after its warm-up.
    let (low, high) = (result(700.0, 100.0), result(1_300.0, 100.0));
    let count = folder.path().join("count").display().to_string();
    let text = format!(
        "while read x; do\nn=$(cat {count} 2>/dev/null || echo 0); echo $((n + 1)) > {count}\n\
         case $((n % 12)) in 1|3|5|8|10) echo '{low}';; *) echo '{high}';; esac\ndone\n"
    );
    let noisy = script(folder.path(), "noisy", &text);
    let (steady, noisy) = (steady.display().to_string(), noisy.display().to_string());
    let (code, text, error) = bench(
        folder.path(),
        &["ab", &steady, &noisy, "--minutes=0.02", "--seed=1"],
    );
    assert_eq!(code, Some(4), "{text}{error}");
    assert!(text.contains("cannot tell: the machine's unrest is "), "{text}");
    assert!(text.contains("seed 1: "), "{text}");
    assert!(
        text.contains("unrest: a loop that reads the clock was away "),
        "{text}"
    );
}

#[test]
fn a_program_without_windows_is_started_for_each_measurement() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = program_without_windows(folder.path(), "old", &result(1_000.0, 100.0))
        .display()
        .to_string();
    let new = program_with_windows(folder.path(), "new", &[result(900.0, 100.0)]);
    // A program with windows answers without them as well.
    let text = fs::read_to_string(&new).expect("read");
    let both = format!(
        "case \"$*\" in *--json*) echo '{}'; exit 0;; esac\n{text}",
        result(900.0, 100.0)
    );
    let new = script(folder.path(), "both", &both).display().to_string();
    for (first, second, expected) in [(&old, &new, 3), (&new, &old, 0)] {
        let (code, json, error) = bench(folder.path(), &["ab", first, second, "--json=-"]);
        assert_eq!(code, Some(expected), "{json}{error}");
        assert_eq!(object(&json)["has_windows"], false, "{json}");
    }
}

#[test]
fn two_settings_of_this_program_are_measured_and_nothing_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = [
        "ab",
        "--a=--slow-down 0",
        "--b",
        "--slow-down 300",
        "--minutes=1",
        "--json=-",
        "--",
        "--in-flight=1",
    ];
    let (code, json, error) = bench(folder.path(), &arguments);
    assert_eq!(code, Some(3), "{json}{error}");
    let found = object(&json);
    assert_eq!(found["verdict"], "slower", "{json}");
    assert_eq!(
        found["sides"][1], "this program --slow-down 300 --in-flight=1",
        "{json}"
    );
    assert_eq!(found["figures"].as_array().map(Vec::len), Some(5), "{json}");
    let left = fs::read_dir(folder.path()).expect("the folder is ours").count();
    assert_eq!(left, 0, "files are left behind");
}

#[test]
fn the_function_that_was_made_slower_is_the_first_that_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = [
        "ab",
        "--a=--slow-down 0",
        "--b=--slow-down 300",
        "--flamegraph=graph.svg",
        "--profile-seconds=3",
        "--html=page.html",
        "--json=result.json",
        "--",
        "--in-flight=16",
    ];
    let (code, text, error) = bench(folder.path(), &arguments);
    if ["forbid", "cannot sample", "no memory for samples"]
        .iter()
        .any(|cause| error.contains(cause))
    {
        println!("skipped: {error}");
        return;
    }
    assert_eq!(code, Some(3), "{text}{error}");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("the file is written");
    let found = object(&read("result.json"));
    let first = &found["profile"]["processor"]["functions"][0];
    let name = first["name"].as_str().expect("a name");
    assert!(name.ends_with("burn_processor_time"), "{text}");
    assert!(first["before"].as_f64() < first["after"].as_f64(), "{text}");
    let (page, graph) = (read("page.html"), read("graph.svg"));
    assert!(
        graph.contains(name) && graph.contains("red: more processor time a call"),
        "{graph}"
    );
    // Where threads wait is beside it, or the reason why it is not.
    let waiting = &found["profile"]["waiting"];
    let is_known = waiting["after"].as_f64().is_some_and(|time| time > 0.0);
    assert_eq!(
        is_known,
        folder.path().join("graph-waiting.svg").exists(),
        "{text}"
    );
    assert_eq!(is_known, found["profile"]["waiting_missing"].is_null(), "{text}");
    // The text, the page and the JSON have the same numbers.
    let shown = format!("{:.1}", first["after"].as_f64().expect("a number"));
    for output in [&text, &page] {
        assert!(
            output.contains(name) && output.contains(&shown),
            "no {shown} in {output}"
        );
    }
    let away = format!(
        "away {:.2} % of the time",
        found["unrest"]["away_percent"].as_f64().expect("a number")
    );
    for output in [&text, &page] {
        assert!(output.contains(&away), "no {away:?} in {output}");
    }
}

#[test]
fn a_program_without_windows_has_a_verdict_and_no_graph() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = program_without_windows(folder.path(), "old", &result(1_000.0, 100.0))
        .display()
        .to_string();
    let (code, text, error) = bench(folder.path(), &["ab", &old, "--flamegraph=graph.svg"]);
    if error.contains("forbid") || error.contains("cannot sample") {
        println!("skipped: {error}");
        return;
    }
    assert_eq!(code, Some(1), "{text}{error}");
    assert!(text.contains("no difference larger than"), "{text}");
    assert!(
        error.contains("there is no flame graph, because a program has no `bench --windows`"),
        "{error}"
    );
}

#[test]
fn what_gives_no_figures_is_a_failure_with_the_cause() {
    let folder = tempfile::tempdir().expect("a folder");
    let failed =
        result(1_000.0, 100.0).replace("\"errors\":0", "\"errors\":3,\"errors_by_code\":{\"timeout\":3}");
    let good = result(1_000.0, 100.0);
    let none = result(1_000.0, 100.0).replace("\"calls\":1000000", "\"calls\":0");
    for (name, text, cause) in [
        (
            "broken",
            "echo 'error: out of luck' >&2; exit 1",
            "A gives no result: out of luck",
        ),
        (
            "silent",
            "exit 0",
            "A gives no result: it ended and wrote nothing",
        ),
        (
            "short",
            &format!("read x; echo '{good}'"),
            // Between two windows, or in one.
            " gives no result: it ended ",
        ),
        (
            "words",
            "read x; echo '{hello'",
            "A gives no result: it is not JSON",
        ),
        (
            "failed",
            &format!("while read x; do echo '{failed}'; done"),
            ": 1000000 calls were answered and 3 failed: {\"timeout\": 3}",
        ),
        (
            "none",
            &format!("while read x; do echo '{none}'; done"),
            "neither side answered a call in its window",
        ),
    ] {
        let program = script(folder.path(), name, &format!("{text}\n"))
            .display()
            .to_string();
        let (code, output, error) = bench(folder.path(), &["ab", &program]);
        assert_eq!((code, output.as_str()), (Some(1), ""), "{name}: {error}");
        assert!(error.contains(cause), "{name}: {error}");
    }
    fs::write(folder.path().join("text"), "no program").expect("written");
    let (code, _, error) = bench(folder.path(), &["ab", "text"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("Permission denied"), "{error}");
}

#[test]
fn arguments_that_are_no_comparison_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, cause) in [
        (
            &["no-such-thing"][..],
            "no-such-thing is neither a file nor a git revision",
        ),
        (&["--a", "--seconds 3"], "--seconds is not an argument of a side"),
        (&["--b", "--json=x"], "--json is not an argument of a side"),
        (&["--", "--find-max"], "--find-max is not an argument of a side"),
        (&["--minutes", "0"], "expected minutes"),
        (&["--minutes", "nan"], "expected minutes"),
        (&["--margin", "0"], "expected a percentage"),
        (
            &["--figure", "speed"],
            "expected one of calls/s, p50, p99, p99.9, CPU/call",
        ),
        (&["--window", "1"], "--window"),
        (&["--profile-seconds", "5"], "--flamegraph"),
        (&["--flamegraph", "no/such/folder/graph.svg"], "cannot be written"),
        (&["--html", "no/such/folder/page.html"], "cannot be written"),
        (
            &["--a", "--no-such-option"],
            "A refuses its arguments: unexpected argument '--no-such-option'",
        ),
        (
            &["--b", "--in-flight 0"],
            "B refuses its arguments: invalid value '0'",
        ),
        (&["a", "b", "c"], "unexpected argument 'c'"),
    ] {
        let (code, output, error) = bench(folder.path(), &[&["ab"], arguments].concat());
        assert_eq!((code, output.as_str()), (Some(2), ""), "{arguments:?}: {error}");
        assert!(error.contains(cause), "{arguments:?}: {error}");
    }
}
