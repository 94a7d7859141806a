//! The book shows what `skyring top`, `skyring doctor` and the log print: the same lines, with other figures.
//!
//! A block of the book that is made here stands behind a comment with its name. With `SKYRING_REWRITE_BOOK=1` the tests write
//! what is printed now into the book, to be looked at before it is committed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{Running, outcome, output, wait_until};
use crate::watched_cluster::Cluster;

/// What the text was printed with, and what the book has instead.
type Replaced = (String, &'static str);

fn chapter(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs/chapters")
        .join(name)
}

/// The line without its figures, which differ in each run: a missing figure is one, too, and units go with them.
fn mask(line: &str) -> String {
    const UNITS: [&str; 9] = ["us", "ms", "s", "B", "KiB", "MiB", "GiB", "%", "KiB/s"];
    let is_figure = |word: &str| {
        let word = word.trim_matches([',', '(', ')']);
        let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
        let is_of_figures = |byte: u8| byte.is_ascii_hexdigit() || b".:-/sTZ".contains(&byte);
        word == "-" || (has_digit && word.bytes().all(is_of_figures))
    };
    let words = line
        .split_whitespace()
        .filter(|word| !UNITS.contains(&word.trim_matches(',')));
    let masked: Vec<&str> = words
        .map(|word| match word {
            _ if word.starts_with('─') => "─",
            _ if is_figure(word) => "#",
            _ => word,
        })
        .collect();
    masked.join(" ")
}

/// The lines in an order that does not depend on the figures.
fn shape(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(mask).collect();
    lines.sort();
    lines
}

/// Compares a block of the book with what was printed.
#[track_caller]
fn assert_shown(file: &str, name: &str, printed: &str, replaced: &[Replaced]) {
    let path = chapter(file);
    let book = fs::read_to_string(&path).expect("a chapter");
    let mark = format!("<!-- printed: {name} -->\n\n```text\n");
    let (before, rest) = book
        .split_once(&mark)
        .unwrap_or_else(|| panic!("{file} has no {name}"));
    let (shown, after) = rest.split_once("```").expect("the block ends");
    let mut printed: String = printed
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    for (from, to) in replaced {
        // Tables keep their columns.
        let padded = format!("{to:width$}  ", width = from.len());
        printed = printed.replace(&format!("{from}  "), &padded).replace(from, to);
    }
    if std::env::var_os("SKYRING_REWRITE_BOOK").is_some() {
        fs::write(&path, format!("{before}{mark}{printed}```{after}")).expect("the book can be written");
        return;
    }
    assert_eq!(
        shape(&printed),
        shape(shown),
        "{file} shows something else; SKYRING_REWRITE_BOOK=1 writes into it what is printed now:\n{printed}"
    );
}

fn addresses(cluster: &Cluster) -> Vec<Replaced> {
    let at = |port: u16| format!("127.0.0.1:{port}");
    vec![
        (at(cluster.gate), "127.0.0.1:7101"),
        (at(cluster.db), "127.0.0.1:7102"),
        (at(cluster.cache), "127.0.0.1:7103"),
        (at(cluster.admin), "127.0.0.1:8100"),
        (at(cluster.clients), "127.0.0.1:8888"),
    ]
}

#[test]
fn a_frame_of_top() {
    let cluster = Cluster::with_load_name("load", "");
    let _db = cluster.start("db");
    let _gate = cluster.start("gate");
    let address = format!("127.0.0.1:{}", cluster.admin);
    let mut frame = String::new();
    wait_until("calls have a rate and percentiles", || {
        let (code, text, error) = outcome(&output(["top", &address, "--once"]));
        assert_eq!(code, Some(0), "{error}");
        frame = text;
        let line = |start: &str| {
            let found = frame.lines().find(|line| line.trim_start().starts_with(start));
            found.unwrap_or_default()
        };
        let has_rates = !line("calls ").contains("p50 -") && line(".load ").contains('%');
        has_rates && frame.contains("1 of 1")
    });
    assert_shown("command-line.md", "skyring top", &frame, &addresses(&cluster));
}

#[test]
fn what_the_doctor_finds_at_a_node_that_runs() {
    let cluster = Cluster::with_load_name("load", "");
    let _db = cluster.start("db");
    let mut gate = cluster.start("gate");
    gate.wait_for("is up");
    let (code, text, error) = outcome(&output([
        "doctor".as_ref(),
        cluster.folder.path("config_gate").as_os_str(),
    ]));
    assert_eq!(code, Some(0), "{text}{error}");
    // The lines before are those of the machine.
    let lines = text
        .lines()
        .skip_while(|line| !line.contains("  open  "))
        .map(|line| format!("{line}\n"));
    assert_shown(
        "operating.md",
        "skyring doctor",
        &lines.collect::<String>(),
        &addresses(&cluster),
    );
}

#[test]
fn what_the_log_says_of_a_node_that_is_killed_started_and_stopped() {
    let cluster = Cluster::with_load_name("load", "log_time = \"utc\"");
    let mut db: Running = cluster.start("db");
    let mut gate = cluster.start("gate");
    gate.wait_for("cluster node db_beijing is up: ");
    db.signal("KILL");
    db.wait_for_end();
    gate.wait_for("cluster node db_beijing is down: ");
    db = cluster.start("db");
    gate.wait_for("cluster node db_beijing was restarted: ");
    db.signal("TERM");
    gate.wait_for("it has said goodbye");
    let states = [" is up: ", " is suspect: ", " is down: ", " was restarted: "];
    let log = gate.written();
    let lines = log.lines().filter(|line| {
        line.contains("cluster node db_beijing") && states.iter().any(|state| line.contains(state))
    });
    // A killed process has read all that was sent to it, or not.
    let lines = lines.map(|line| {
        format!(
            "{}\n",
            line.replace("closed by the peer", "Connection reset by peer (os error 104)")
        )
    });
    assert_shown(
        "operating.md",
        "the log",
        &lines.collect::<String>(),
        &addresses(&cluster),
    );
}
