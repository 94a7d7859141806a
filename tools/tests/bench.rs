//! `skyring bench` measures both sides of a channel and the floor, and prints tables, JSON and files.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

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

#[test]
fn the_table_has_a_row_for_skyring_and_one_for_the_floor() {
    let (output, text, folder) = bench(&["--seconds", "1", "--warmup", "0", "--in-flight", "1"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for part in [
        "calls/s",
        "p99.9",
        "skyring, 1 in flight",
        "blocking TCP echo, 1 in flight",
        "bare io_uring loop, 1 in flight",
        "x its p50",
    ] {
        assert!(text.contains(part), "no \"{part}\" in:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    let left = fs::read_dir(folder.path()).expect("the folder is ours").count();
    assert_eq!(left, 0, "files are left behind");
}

/// One object on one line, as `--json` writes it.
fn object(json: &str) -> Value {
    assert_eq!(json.lines().count(), 1, "{json}");
    serde_json::from_str(json).expect("JSON")
}

/// Runs a benchmark that must succeed, with its figures on the standard output; returns them, and their text.
#[track_caller]
fn figures(arguments: &[&str]) -> (Value, String) {
    let (output, json, _) = bench(arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    (object(&json), json)
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

#[test]
fn the_figures_are_printed_as_json() {
    let arguments = [
        "--seconds=0.3",
        "--warmup=0",
        "--threads=2",
        "--channels=2",
        "--size=100",
        "--json=-",
    ];
    let (figures, json) = figures(&arguments);
    assert!(number(&figures["calls_per_second"]) > 0.0, "{json}");
    for field in ["p50", "p90", "p99", "p999", "max"] {
        assert!(number(&figures["latency_us"][field]) > 0.0, "{json}");
    }
    for (field, expected) in [
        ("errors", 0),
        ("in_flight", 256),
        ("channels", 2),
        ("size", 100),
        ("threads", 2),
    ] {
        assert_eq!(figures[field], expected, "{field} in {json}");
    }
    for side in ["client", "server"] {
        assert!(number(&figures["cpu_seconds"][side]) > 0.0, "{json}");
    }
    assert!(number(&figures["machine"]["processors"]) > 0.0, "{json}");
    assert_eq!(figures["floors"].as_array().map(Vec::len), Some(2), "{json}");
    let unrest = &figures["unrest"];
    for field in ["steal_percent", "other_percent", "away_percent", "speed_ratio"] {
        assert!(unrest[field].is_number(), "{field} in {json}");
    }
    assert_eq!(unrest["gaps"].as_array().map(Vec::len), Some(5), "{json}");
}

#[test]
fn every_file_is_written_beside_the_table() {
    let arguments = [
        "--seconds=0.3",
        "--warmup=0",
        "--rate=500",
        "--json=a.json",
        "--hgrm=a.hgrm",
        "--html=a.html",
    ];
    let (output, table, folder) = bench(&arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(table.contains("skyring, 500 calls/s wanted"), "{table}");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("the file is written");
    let figures = object(&read("a.json"));
    assert_eq!(figures["rate"], 500.0);
    assert!(read("a.hgrm").contains("Total count    ="), "{}", read("a.hgrm"));
    let page = read("a.html");
    assert!(page.contains("<svg") && page.contains("</html>"), "{page}");
    // The page has the numbers of the table: calls a second, the percentiles and errors.
    let row = table
        .lines()
        .find(|line| line.starts_with("skyring, 500 calls/s wanted"));
    let cells: Vec<_> = row.expect("the row").split("  ").map(str::trim).collect();
    let cells = cells.into_iter().filter(|cell| !cell.is_empty()).skip(1).take(7);
    let cells: Vec<_> = cells.map(|cell| format!("<b>{cell}</b>")).collect();
    assert_eq!(cells.len(), 7, "{table}");
    for cell in cells {
        assert!(page.contains(&cell), "no {cell} in {page}");
    }
    let unrest = table
        .lines()
        .find_map(|line| line.strip_prefix("unrest: "))
        .expect("unrest");
    assert!(page.contains(unrest), "no {unrest:?} in {page}");
    // What the processor counts is told once, or once why it is not.
    assert_eq!(table.matches("cycles").count(), 1, "{table}");
    for outside in ["http:", "https:", "<link", "src="] {
        assert!(!page.contains(outside), "{outside} in {page}");
    }
}

#[test]
fn the_highest_rate_that_meets_an_objective_is_found() {
    let arguments = [
        "--seconds=0.3",
        "--warmup=0",
        "--find-max",
        "--slo=max=60s",
        "--in-flight=64",
        "--json=-",
    ];
    let (figures, json) = figures(&arguments);
    let trials = figures["search"]["trials"].as_array().expect("trials");
    let met = trials.iter().filter(|trial| trial["met"] == true);
    let highest = met.map(|trial| number(&trial["rate"])).fold(0.0, f64::max);
    assert_eq!(number(&figures["rate"]), highest, "{json}");
    assert_eq!(number(&figures["search"]["met"]), highest, "{json}");
    let missed = &figures["search"]["missed"];
    assert!(missed.is_null() || number(missed) > highest, "{json}");
}

#[test]
fn an_option_out_of_range_is_refused_before_anything_starts() {
    for arguments in [
        &["--in-flight", "0"][..],
        &["--seconds", "0"],
        &["--threads", "0"],
        &["--channels", "0"],
        &["--size", "999999999"],
        &["--rate", "0"],
        &["--rate", "fast"],
        &["--find-max"],
        &["--slo", "p99=1ms"],
        &["--find-max", "--slo", "p95=1ms"],
        &["--find-max", "--slo", "p99=1"],
        &["--find-max", "--slo", "p99=1ms", "--rate", "5"],
        &["--dialect", "http"],
        &["--map", "map.lua"],
        &["--map", "map.lua", "--node", "db", "--address", "@sdb"],
        &["--json", "no/such/folder/a.json"],
        &["--", "GET"],
    ] {
        let (output, text, _) = bench(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text.is_empty(), "{text}");
    }
}

#[test]
fn a_running_node_is_measured_with_the_given_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.expect("a free port");
    let map = folder.path().join("map.lua");
    fs::write(&map, format!("db = \"{address}\"\n")).expect("written");
    let config = folder.path().join("config");
    let text =
        "thread = 1\nharbor = 0\ncluster = \"map.lua\"\nopen = \"db\"\nservices = { sdb = \"simpledb\" }\n";
    fs::write(&config, text).expect("written");
    let mut node = Command::new(env!("CARGO_BIN_EXE_skyring"))
        .arg("run")
        .arg(&config)
        .current_dir(folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the node starts");
    let map = map.display().to_string();
    let place = [
        "--seconds=0.3",
        "--warmup=0",
        "--map",
        &map,
        "--node=db",
        "--address=@sdb",
        "--json=-",
    ];
    let (answered, json, _) = bench(&[&place[..], &["--", "PING"]].concat());
    // The value of a load without arguments is no command of that service.
    let (refused, _, _) = bench(&place);
    node.kill().expect("it is killed");
    node.wait().expect("it has ended");
    assert_eq!(answered.status.code(), Some(0), "{answered:?}");
    let figures = object(&json);
    assert!(number(&figures["calls_per_second"]) > 0.0, "{json}");
    assert!(figures["cpu_seconds"]["server"].is_null(), "{json}");
    assert_eq!(figures["called"], "db @sdb", "{json}");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let cause = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(cause.contains("a call to db @sdb: unknown command"), "{cause}");
}

#[test]
fn a_flame_graph_of_both_sides_is_written_or_the_kernel_forbids_it() {
    let (output, _, folder) = bench(&["--seconds=1", "--warmup=0", "--flamegraph=flame.svg"]);
    let cause = String::from_utf8_lossy(&output.stderr).into_owned();
    if cause.contains("forbid") || cause.contains("cannot sample") {
        assert_eq!(output.status.code(), Some(1), "{cause}");
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let graph = fs::read_to_string(folder.path().join("flame.svg")).expect("the file is written");
    let runtime = skyring::Runtime::from_environment().expect("a known runtime");
    let executor = format!("skyring::rt::{runtime}::executor::");
    // The graph of waiting is beside it, or the reason why there is none is told once.
    let waiting = fs::read_to_string(folder.path().join("flame-waiting.svg"));
    assert_eq!(
        cause.matches("no graph of waiting: ").count(),
        usize::from(waiting.is_err()),
        "{cause}"
    );
    if let Ok(waiting) = waiting {
        assert!(
            waiting.contains("where threads wait") && waiting.contains("<title>client ("),
            "{waiting}"
        );
    }
    for name in [
        "<title>server (",
        "<title>client (",
        "<title>shard-0 (",
        executor.as_str(),
    ] {
        assert!(graph.contains(name), "no {name} in {graph}");
    }
}

#[test]
fn a_process_that_cannot_be_profiled_is_reported() {
    let profile = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_skyring"))
            .arg("profile")
            .args(arguments)
            .output()
            .expect("the command runs");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let nobody = i32::MAX.to_string();
    let (code, cause) = profile(&[&nobody]);
    assert_eq!(code, Some(1), "{cause}");
    assert_eq!(cause, format!("error: there is no process {nobody}\n"));
    for arguments in [&["0"][..], &["skyring"], &["1", "--seconds=0"], &[]] {
        let (code, cause) = profile(arguments);
        assert_eq!(code, Some(2), "{cause}");
    }
}

#[test]
fn a_target_has_a_figure_a_floor_a_ratio_and_a_result() {
    let (output, json, _) = bench(&[
        "targets",
        "keyed-channels",
        "--runs=1",
        "--milliseconds=200",
        "--json=-",
    ]);
    let findings = object(&json);
    let findings = findings.as_array().expect("a list");
    assert_eq!(findings.len(), 2, "{json}");
    for finding in findings {
        assert_eq!(finding["target"], "keyed-channels");
        let (ratio, most) = (number(&finding["ratio"]), number(&finding["wanted"]["at_most"]));
        assert_eq!(finding["met"], ratio <= most, "{json}");
    }
    let all_met = findings.iter().all(|finding| finding["met"] == true);
    assert_eq!(output.status.code(), Some(i32::from(!all_met)), "{output:?}");
    let (output, _, _) = bench(&["targets", "speed"]);
    let cause = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        cause.contains("expected one of throughput, round-trip"),
        "{cause}"
    );
}

#[test]
fn the_costs_of_a_call_are_in_every_result_or_the_reason_is() {
    let arguments = [
        "--seconds",
        "0.3",
        "--warmup",
        "0",
        "--in-flight",
        "8",
        "--json",
        "-",
    ];
    let (figures, json) = figures(&arguments);
    let costs = &figures["costs"];
    assert!(number(&costs["calls"]) > 0.0, "{json}");
    // The value and a header, both ways; calls in flight at the two moments of counting make the figure a little less exact.
    for direction in ["bytes_sent", "bytes_received"] {
        assert!((64.0..200.0).contains(&number(&costs[direction])), "{json}");
    }
    assert!(number(&costs["allocations"]["client"]) > 0.0, "{json}");
    let missing = costs["missing"].as_array().expect("a list");
    let is_explained = |what: &str| {
        missing
            .iter()
            .any(|line| line.as_str().is_some_and(|line| line.starts_with(what)))
    };
    assert!(
        costs["system_calls"]["client"].is_number() || is_explained("system calls"),
        "{json}"
    );
    assert!(
        costs["cycles"]["server"].is_number() || is_explained("cycles"),
        "{json}"
    );
}
