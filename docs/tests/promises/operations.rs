//! The files for Prometheus and Grafana: their form, and that each metric in them is one that a node has.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use skyring::config::Admin;
use skyring::log::Destination;
use skyring::{ClusterMap, Node};

use crate::support::{read, root};

const ALERTS: &str = "docs/operations/alerts.yml";
const DASHBOARD: &str = "docs/operations/grafana.json";

/// The alerts, each as its lines of a name and a value.
fn alerts() -> Vec<Vec<(String, String)>> {
    let text = read(ALERTS);
    let (_, rules) = text.split_once("    rules:\n").expect("rules");
    rules
        .split("      - ")
        .skip(1)
        .map(|rule| {
            let lines = rule.lines().map(|line| {
                let (name, value) = line.trim().split_once(':').expect("a name and a value");
                (name.to_owned(), value.trim().to_owned())
            });
            lines.collect()
        })
        .collect()
}

fn value<'a>(alert: &'a [(String, String)], name: &str) -> &'a str {
    let found = alert.iter().find(|(found, _)| found == name);
    &found.unwrap_or_else(|| panic!("{alert:?} has no {name}")).1
}

/// The names of metrics in an expression.
fn metrics_in(expression: &str) -> Vec<&str> {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = expression.split(|letter: char| !is_of_name(letter));
    words
        .filter(|word| word.starts_with("skyring_") || word.starts_with("process_"))
        .collect()
}

/// Makes a certificate in a folder; returns the settings of a gate with it.
fn certificate(folder: &Path) -> String {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["gate".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let [certificate_file, key_file] = ["gate.pem", "gate.key"].map(|name| folder.join(name));
    fs::write(&certificate_file, certificate.pem()).expect("it is writable");
    fs::write(&key_file, key.serialize_pem()).expect("it is writable");
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    format!(
        "certificate={} key={}",
        certificate_file.display(),
        key_file.display()
    )
}

/// The families of a node with a gate, with what they consist of.
fn families() -> BTreeSet<String> {
    let free = || TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let (admin, gate): (SocketAddr, SocketAddr) = (free().expect("a port"), free().expect("a port"));
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::builder()
        .map(ClusterMap::new())
        .log_to(Destination::File("/dev/null".into()))
        .kinds(skyring_services::kinds())
        .first_service(&format!(
            "gate tls://{gate} .nobody {}",
            certificate(folder.path())
        ))
        .admin(Admin::new(admin, None).expect("an address of this machine"))
        .start()
        .expect("a node");
    let mut stream = TcpStream::connect(admin).expect("it listens");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        .expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    drop(node);
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) else {
            continue;
        };
        match kind {
            "histogram" => names.extend(["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}"))),
            _ => {
                names.insert(name.to_owned());
            }
        }
    }
    assert!(names.len() > 50, "{names:?}");
    names
}

/// The expressions of a dashboard.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        Value::Object(entries) => {
            for (key, value) in entries {
                match value {
                    Value::String(text) if key == "expr" => found.push(text.clone()),
                    value => expressions(value, found),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn every_alert_has_what_it_needs_and_a_section_that_says_what_to_do() {
    let page = read("docs/chapters/on-call.md");
    let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts = alerts();
    let names: Vec<&str> = alerts.iter().map(|alert| value(alert, "alert")).collect();
    assert_eq!(names, sections, "the page has the alerts in their order");
    for alert in &alerts {
        let name = value(alert, "alert");
        for key in ["expr", "for", "summary"] {
            assert!(!value(alert, key).is_empty(), "{name} has no {key}");
        }
        assert!(["page", "ticket"].contains(&value(alert, "severity")), "{name}");
        let runbook = format!("on-call.md#{}", name.to_lowercase());
        assert_eq!(value(alert, "runbook"), runbook);
    }
}

#[test]
fn every_metric_of_the_alerts_and_the_dashboard_is_one_that_a_node_has() {
    let families = families();
    let mut expressions_found: Vec<String> = alerts()
        .iter()
        .map(|alert| value(alert, "expr").to_owned())
        .collect();
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("JSON");
    expressions(&dashboard, &mut expressions_found);
    let mut checked = 0;
    for expression in &expressions_found {
        for metric in metrics_in(expression) {
            assert!(families.contains(metric), "{metric} of {expression} is unknown");
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} metrics were found");
    // What the page about them names.
    let page = read("docs/chapters/admin.md");
    for word in page.split('`').skip(1).step_by(2) {
        for metric in metrics_in(word).into_iter().filter(|metric| *metric == word) {
            let parts = families.iter().filter(|family| family.starts_with(metric));
            assert!(
                metric == "skyring_players_waiting" || parts.count() > 0,
                "{metric}"
            );
        }
    }
}

#[test]
fn the_dashboard_has_the_form_that_grafana_imports() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("JSON");
    for key in ["title", "uid", "schemaVersion", "templating", "time"] {
        assert!(!dashboard[key].is_null(), "no {key}");
    }
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.len() > 20);
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        assert!(
            ids.insert(panel["id"].as_u64().expect("a number")),
            "{title}: its id is taken"
        );
        let place = |key: &str| {
            panel["gridPos"][key]
                .as_u64()
                .unwrap_or_else(|| panic!("{title}: {key}"))
        };
        let (x, y, width, height) = (place("x"), place("y"), place("w"), place("h"));
        assert!(x + width <= 24, "{title} is too wide");
        for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{title} lies on another panel");
        }
        let is_row = panel["type"] == "row";
        let targets = panel["targets"].as_array().map_or(0, Vec::len);
        assert!(is_row || targets > 0, "{title} shows nothing");
    }
}

#[test]
fn promtool_accepts_the_alerts() {
    let promtool = std::env::var("PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    let checked = Command::new(&promtool)
        .args(["check", "rules"])
        .arg(root().join(ALERTS))
        .output();
    match checked {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
        }
        Err(error) => eprintln!("skipped: {promtool} does not run here: {error}"),
    }
}
