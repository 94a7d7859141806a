//! Mistakes in a typed service: the compiler reports each at its place, with what to write instead.
//!
//! Each file of `cases` is compiled as a program of a user, and must have exactly the errors that its comments
//! `//~ ERROR` name, on their lines. An error that the compiler reports twice for one place counts once.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// A line and the text of an error there.
type Errors = BTreeSet<(usize, String)>;

const MARK: &str = "//~ ERROR ";

#[derive(Deserialize)]
struct Report {
    message: String,
    level: String,
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    is_primary: bool,
    line_start: usize,
}

/// The folder with the library that this test was linked with.
fn dependencies() -> PathBuf {
    let test = env::current_exe().expect("the test has a file");
    test.parent().expect("in a folder").to_owned()
}

/// The engine's library there: the newest, if several were built.
fn library(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).expect("a folder").flatten();
    let built = files.filter(|file| {
        let name = file.file_name().to_string_lossy().into_owned();
        name.starts_with("libskyring-") && name.ends_with(".rlib")
    });
    let newest = built.max_by_key(|file| file.metadata().and_then(|data| data.modified()).ok());
    newest.expect("cargo has built the engine").path()
}

fn reported(case: &Path) -> Errors {
    let folder = dependencies();
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition", "2024", "--crate-type", "bin", "--emit", "metadata"])
        .args(["-o", "/dev/null", "--error-format", "json"])
        .arg("-L")
        .arg(format!("dependency={}", folder.display()))
        .arg("--extern")
        .arg(format!("skyring={}", library(&folder).display()))
        .arg(case)
        .output()
        .expect("the compiler starts");
    let text = String::from_utf8_lossy(&output.stderr);
    let reports = text
        .lines()
        .map(|line| serde_json::from_str::<Report>(line).unwrap_or_else(|error| panic!("{error}: {text}")));
    let errors = reports
        .filter(|report| report.level == "error")
        .filter_map(|report| {
            let span = report.spans.iter().find(|span| span.is_primary)?;
            Some((
                span.line_start,
                report.message.lines().next().unwrap_or_default().to_owned(),
            ))
        });
    errors.collect()
}

fn expected(case: &Path) -> Errors {
    let text = fs::read_to_string(case).expect("a case");
    let marked = text.lines().zip(1..).flat_map(|(line, number)| {
        let errors = line.split(MARK).skip(1);
        errors.map(move |error| (number, error.trim().to_owned()))
    });
    marked.collect()
}

#[test]
fn each_mistake_is_an_error_at_its_place_that_says_what_to_write() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/typed_mistakes/cases");
    let mut tried = 0;
    for case in fs::read_dir(folder).expect("the cases").flatten() {
        let case = case.path();
        let expected = expected(&case);
        assert!(!expected.is_empty(), "{} names no error", case.display());
        assert_eq!(reported(&case), expected, "{}", case.display());
        tried += 1;
    }
    assert_eq!(tried, 8);
}
