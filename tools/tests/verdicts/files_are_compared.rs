//! `skyring bench compare` gives a verdict over sets of files, and none over two files.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::{bench, result};

/// Writes a file for each number of calls a second, and returns the names.
fn files(folder: &Path, side: &str, rates: &[f64]) -> Vec<String> {
    let write = |(number, rate): (usize, &f64)| {
        let name = format!("{side}-{number}.json");
        fs::write(folder.join(&name), result(*rate, 100.0)).expect("written");
        name
    };
    rates.iter().enumerate().map(write).collect()
}

fn compare(
    folder: &Path,
    first: &[String],
    second: &[String],
    more: &[&str],
) -> (Option<i32>, String, String) {
    let mut arguments = vec!["compare", "--first"];
    arguments.extend(first.iter().map(String::as_str));
    arguments.push("--second");
    arguments.extend(second.iter().map(String::as_str));
    arguments.extend(more);
    bench(folder, &arguments)
}

#[test]
fn two_files_show_their_ratio_and_conclude_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (
        files(folder.path(), "a", &[1_000.0]),
        files(folder.path(), "b", &[1_347.0]),
    );
    let (code, text, _) = bench(folder.path(), &["compare", &first[0], &second[0]]);
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("1.347"), "{text}");
    assert!(
        text.contains("cannot tell: nothing can be concluded from so few measurements"),
        "{text}"
    );
}

#[test]
fn six_files_on_each_side_give_a_verdict_and_its_exit_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let slow = files(folder.path(), "slow", &[100.0, 101.0, 102.0, 103.0, 104.0, 105.0]);
    let fast = files(folder.path(), "fast", &[120.0, 121.0, 122.0, 123.0, 124.0, 125.0]);
    for (first, second, expected, verdict) in [
        (&slow, &fast, 0, "faster: calls/s"),
        (&fast, &slow, 3, "slower: calls/s"),
        (&slow, &slow, 4, "cannot tell: the machine's unrest is"),
    ] {
        let (code, text, _) = compare(folder.path(), first, second, &[]);
        assert_eq!(code, Some(expected), "{text}");
        assert!(text.contains(verdict), "{text}");
    }
    let (_, text, _) = compare(folder.path(), &slow, &fast, &["--html=page.html"]);
    let page = fs::read_to_string(folder.path().join("page.html")).expect("the page is written");
    let verdict = text.lines().last().expect("a verdict");
    assert!(page.contains(verdict), "no {verdict:?} in {page}");
    let (code, json, _) = compare(folder.path(), &slow, &slow, &["--margin=20", "--json=-"]);
    let value: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (code, &value["verdict"]),
        (Some(0), &"no_difference".into()),
        "{json}"
    );
}

#[test]
fn a_file_that_is_no_result_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = files(folder.path(), "good", &[100.0]);
    fs::write(folder.path().join("bad"), "hello").expect("written");
    for (file, cause) in [("bad", "not JSON"), ("missing.json", "No such file")] {
        let (code, text, error) = bench(folder.path(), &["compare", &good[0], file]);
        assert_eq!(code, Some(2), "{error}");
        assert!(text.is_empty(), "{text}");
        assert!(
            error.contains(&format!("error: {file}: ")) && error.contains(cause),
            "{error}"
        );
    }
}

#[test]
fn arguments_that_are_no_comparison_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = &files(folder.path(), "good", &[100.0])[0];
    for arguments in [
        &["compare"][..],
        &["compare", good],
        &["compare", "--first", good],
        &["compare", "--second", good],
        &["compare", good, good, "--first", good, "--second", good],
        &["compare", good, good, "--margin", "0"],
        &["compare", good, good, "--figure", "speed"],
    ] {
        let (code, text, error) = bench(folder.path(), arguments);
        assert_eq!((code, text.as_str()), (Some(2), ""), "{arguments:?}: {error}");
    }
}
