//! The text of `/metrics`, against the rules of Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use skyring::{Answer, ClusterMap, Context, Message, Metrics, Report, Service};

use crate::http::{builder, free_address, get, quiet};
use crate::node::run;

/// Answers, and tells of itself under names that are awkward.
struct Odd;

impl Service for Odd {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        Answer::payload(message.payload)
    }

    fn report(&self, report: &mut Report) {
        report.memory(1);
        report.gauge("gate_clients", "Clients \\ of \"it\"\nnow.", 3);
        report.counter("connections_accepted", "A name that the engine has too.", 1);
    }
}

/// The metrics of a node that has called another one.
fn metrics() -> String {
    let db_address = free_address().to_string();
    let map = ClusterMap::new().with("db", &db_address).expect("an address");
    let db = quiet(1).map(map.clone()).name("db").start().expect("a node");
    run(&db, |caller| async move {
        let odd = caller.launch(|_| Odd).await?;
        caller.cluster().register("odd", Some(odd))?;
        caller.cluster().open("db", None).await
    })
    .expect("it listens");
    let (builder, admin) = builder(2, None);
    let gate = builder.map(map).start().expect("a node");
    run(&gate, |caller| async move {
        let odd = caller.launch(|_| Odd).await?;
        caller.cluster().register("odd\"\\\n", Some(odd))?;
        caller.call(odd, &1).await?;
        let missing = caller.node("db").call("@nobody", &1).await;
        assert_eq!(missing.expect_err("nobody").code(), "no-such-service");
        caller.node("db").call("@odd", &1).await
    })
    .expect("an answer");
    let answer = get(admin, "/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("text/plain; version=0.0.4"));
    answer.body
}

/// The labels of a sample, as they stand there, and the rest of its line.
fn split_labels(line: &str) -> (&str, &str, &str) {
    let end = line.find(['{', ' ']).expect("a name");
    let (name, rest) = line.split_at(end);
    if !rest.starts_with('{') {
        return (name, "", rest.trim());
    }
    let mut is_inside = false;
    let mut is_escaped = false;
    for (at, letter) in rest.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_inside = !is_inside,
            '}' if !is_inside => return (name, &rest[1..at], rest[at + 1..].trim()),
            _ => {}
        }
    }
    panic!("labels without an end: {line}");
}

#[test]
fn the_metrics_follow_the_rules_of_prometheus() {
    let text = metrics();
    let mut families: BTreeMap<&str, &str> = BTreeMap::new();
    let mut samples = BTreeSet::new();
    let (mut helped, mut current) = ("", "");
    let mut buckets: Vec<(String, f64)> = Vec::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').expect("a text");
            assert!(!text.is_empty() && text.ends_with('.'), "{line}");
            helped = name;
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert_eq!(name, helped, "help and type belong together");
            assert!(families.insert(name, kind).is_none(), "{name} is there twice");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            current = name;
        } else {
            let (name, labels, value) = split_labels(line);
            let kind = families[current];
            let suffix = name
                .strip_prefix(current)
                .unwrap_or_else(|| panic!("{line} is not of {current}"));
            let allowed: &[&str] = if kind == "histogram" {
                &["_bucket", "_sum", "_count"]
            } else {
                &[""]
            };
            assert!(allowed.contains(&suffix), "{line}");
            assert!(
                name.chars()
                    .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_'),
                "{name}"
            );
            assert!(samples.insert((name, labels)), "{line} is there twice");
            let value: f64 = value.parse().expect("a number");
            if suffix == "_bucket" {
                let (others, bound) = labels.rsplit_once(",le=").expect("a bound");
                if bound != "\"0.000001\"" {
                    let (before, least) = buckets.last().expect("it begins with the smallest");
                    assert_eq!(before, others);
                    assert!(*least <= value, "{line}");
                }
                buckets.push((others.to_owned(), value));
            } else if suffix == "_count" {
                assert_eq!(buckets.last().map(|last| last.1), Some(value), "{line}");
            }
        }
    }
    for (counter, _, _) in Metrics::default().described() {
        let name = format!("skyring_{counter}_total");
        assert!(families.contains_key(&*name), "{name} is missing");
    }
    for name in [
        "skyring_shard_inbox_age_seconds",
        "skyring_gate_clients",
        "skyring_peer_up",
    ] {
        assert_eq!(families.get(name), Some(&"gauge"), "{name}");
    }
    assert!(
        text.contains("skyring_channel_errors_total{peer=\"db\",channel=\"1\",code=\"no-such-service\"} 1\n")
    );
    assert!(
        text.contains("skyring_service_messages_total{service=\"odd\\\"\\\\\\n\"} 1\n"),
        "{text}"
    );
    assert!(text.contains("skyring_round_trip_seconds_count{peer=\"db\"} "));
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let promtool = std::env::var("PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    let started = Command::new(&promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match started {
        Ok(promtool) => promtool,
        Err(error) => return eprintln!("skipped: {promtool} does not run here: {error}"),
    };
    let text = metrics();
    let mut input = promtool.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    let output = promtool.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
