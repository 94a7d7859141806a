//! A scenario's file is one experiment: the same seed makes the same operations, and what is wrong with a file is said with
//! its line.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use skyring_bench::Scenario;

const SCENARIO: &str = r#"
name = "small"
seed = 7

[client]
threads = 2
channels = 2

[[nodes]]
name = "one"

[[nodes]]
name = "two"

[[operations]]
name = "get"
kind = "call"
weight = 3
size = { uniform = { min = 10, max = 100 } }
keys = { zipf = { count = 1000, exponent = 0.99 } }

[[operations]]
name = "put"
kind = "send"
size = { fixed = 64 }
nodes = ["two"]

[[phases]]
name = "steady"
seconds = 0.5
rate = 400

[[phases]]
name = "faulty"
seconds = 1.5
rate = 400

[[phases]]
name = "callers"
seconds = 0.5
callers = 4
think_ms = { uniform = { min = 1, max = 5 } }

[[faults]]
phase = "faulty"
node = "one"
at_seconds = 0.2
seconds = 0.3
stall = true

[[faults]]
phase = "faulty"
node = "two"
at_seconds = 0.6
seconds = 0.5
cuts_per_second = 20
reset = true

[[objectives]]
phase = "steady"
errors_max = 0
latency = "max=60s"

[[objectives]]
phase = "callers"
operation = "get"
rate_min = 1
"#;

fn run(folder: &Path, text: &str, arguments: &[&str]) -> Output {
    let file = folder.join("scenario.toml");
    fs::write(&file, text).expect("the folder is ours");
    Command::new(env!("CARGO_BIN_EXE_skyring"))
        .args(["bench", "run"])
        .arg(&file)
        .args(arguments)
        .current_dir(folder)
        .env("TMPDIR", folder)
        .output()
        .expect("the command runs")
}

#[track_caller]
fn result(arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(folder.path(), SCENARIO, &[&["--json", "-"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let result = serde_json::from_slice(&output.stdout).expect("JSON");
    // Nothing is left but the file itself.
    assert_eq!(
        fs::read_dir(folder.path()).expect("the folder is ours").count(),
        1
    );
    result
}

#[test]
fn a_scenario_with_faults_makes_the_same_operations_again() {
    let (first, second) = (result(&[]), result(&[]));
    let other = result(&["--seed", "8"]);
    for (phase, count) in [(0, 200), (1, 600)] {
        let of = |result: &Value| {
            (
                result["phases"][phase]["begun"].clone(),
                result["phases"][phase]["digest"].clone(),
            )
        };
        assert_eq!(of(&first), of(&second), "phase {phase}");
        assert_eq!(of(&first).0, count);
        assert_eq!(of(&other).0, count);
        assert_ne!(of(&first).1, of(&other).1, "phase {phase}");
    }
    // All that is needed to repeat it.
    assert_eq!(first["source"], SCENARIO);
    assert_eq!(
        (first["seed"].as_u64(), other["seed"].as_u64()),
        (Some(7), Some(8))
    );
    assert_eq!(first["runtime"], "uring");
    for key in ["skyring", "kernel", "processor"] {
        assert!(first["machine"][key].is_string(), "{key}");
    }
    for operation in [0, 1] {
        let figures = &first["phases"][0]["operations"][operation];
        assert!(figures["answered"].as_u64() > Some(0), "{figures}");
    }
    // Sends have no answer, and are not among the calls.
    let phase = &first["phases"][0];
    assert_eq!(phase["calls"]["answered"], phase["operations"][0]["answered"]);
    assert!(first["phases"][2]["calls"]["answered"].as_u64() > Some(10));
    assert_eq!(first["objectives"].as_array().map(Vec::len), Some(3));
}

#[test]
fn operations_are_listed_without_running_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = |arguments: &[&str]| {
        let output = run(folder.path(), SCENARIO, &[&["--list", "50"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let text = list(&[]);
    assert_eq!(text, list(&[]));
    assert_ne!(text, list(&["--seed", "9"]));
    for part in [
        "steady",
        "get: call to ",
        "key ",
        "put: send to two, 64 bytes",
        "then a pause of ",
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn an_objective_that_is_missed_is_a_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let strict = SCENARIO.replace("latency = \"max=60s\"", "latency = \"p50=1us\"");
    let output = run(folder.path(), &strict, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("NOT MET"), "{text}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("1 of 3 objectives"),
        "{output:?}"
    );
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_line_and_nothing_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    for (text, cause) in [
        (
            SCENARIO.replace("weight", "wieght"),
            "line 18: wieght = 3: unknown field `wieght`",
        ),
        (SCENARIO.replace("weight", "wieght"), "did you mean `weight`?"),
        (
            SCENARIO.replace("at_seconds = 0.2", "at_seconds = 2"),
            "at_seconds in phase \"faulty\"",
        ),
        ("\u{0}\u{1b}[2J".to_owned(), "line 1"),
        (String::new(), "missing field `name`"),
    ] {
        let output = run(folder.path(), &text, &[]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            error.contains(cause) && error.contains("scenario.toml"),
            "no {cause:?} in {error}"
        );
        assert!(
            !error.contains('\u{1b}') && error.trim().lines().count() == 1,
            "{error:?}"
        );
    }
    let output = Command::new(env!("CARGO_BIN_EXE_skyring"))
        .args(["bench", "run", "no-such-file.toml"])
        .output()
        .expect("the command runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn the_scenarios_of_the_documentation_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/scenarios");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the examples are there").flatten() {
        let text = fs::read_to_string(entry.path()).expect("a file");
        let scenario = Scenario::parse(&text);
        assert!(
            scenario.is_ok(),
            "{}: {:?}",
            entry.path().display(),
            scenario.err()
        );
        count += 1;
    }
    assert!(count >= 2, "{count}");
}
