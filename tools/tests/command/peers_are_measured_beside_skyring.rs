//! `skyring bench peers` measures Skyring and each peer in all settings, lists missing peers with the reason, and
//! refuses invalid arguments before it measures.

use std::fs;

use crate::common::{Folder, assert_one_line, outcome, output};

/// The shortest run: two peers, of which one is missing.
const SHORT: [&str; 9] = [
    "bench",
    "peers",
    "blocking-echo",
    "skynet",
    "--runs=1",
    "--milliseconds=100",
    "--in-flight=4,1",
    "--spin-us=20",
    "--size=100",
];

#[test]
fn skyring_and_a_floor_are_in_all_settings_and_a_missing_peer_has_a_reason() {
    let folder = Folder::new();
    let (json, html) = (folder.path("peers.json"), folder.path("peers.html"));
    let mut arguments: Vec<_> = SHORT.map(String::from).into();
    arguments.push(format!("--json={}", json.display()));
    arguments.push(format!("--html={}", html.display()));
    let (code, text, errors) = outcome(&output(&arguments));
    assert_eq!(code, Some(0), "{errors}");
    for setting in ["1 in flight, parking", "4 in flight, spinning for 20 us"] {
        assert!(text.contains(setting), "no {setting:?} in {text}");
    }
    for name in [
        "  skyring  ",
        "  skyring-skynet  ",
        "  skyring-glommio  ",
        "  blocking-echo  ",
    ] {
        assert_eq!(text.matches(name).count(), 4, "{name:?} in {text}");
    }
    assert!(text.contains("skynet          no checkout was given"), "{text}");
    assert_eq!(errors, "", "there is no status line without a terminal");

    let json = fs::read_to_string(json).expect("the figures are there");
    assert_eq!(json.matches("\"calls_per_second\":").count(), 16, "{json}");
    assert_eq!(json.matches("\"errors\":0,").count(), 16, "{json}");
    assert!(!json.contains("\"calls_per_second\":0.0"), "{json}");
    assert!(!json.contains("null"), "{json}");
    let page = fs::read_to_string(html).expect("the page is there");
    assert_eq!(page.matches("class=\"skyring\"").count(), 4, "{page}");
}

#[test]
fn the_standard_output_is_only_json_with_a_dash() {
    let mut arguments = SHORT.to_vec();
    arguments.extend(["--json", "-"]);
    let (code, text, errors) = outcome(&output(arguments));
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("{\"size\":100,\"runs\":1,"), "{text}");
}

#[test]
fn an_invalid_name_and_a_file_that_cannot_be_written_are_reported_first() {
    let (code, _, errors) = outcome(&output(["bench", "peers", "memcached"]));
    assert_eq!(code, Some(2));
    assert!(
        errors.contains("expected one of blocking-echo, glommio"),
        "{errors}"
    );
    let folder = Folder::new();
    let nowhere = folder.path("no/such/folder.html");
    let file = nowhere.to_str().expect("a path in UTF-8");
    assert_one_line(
        &output(["bench", "peers", "--html", file]),
        2,
        "cannot be written",
    );
    let (code, _, errors) = outcome(&output(["bench", "nothing"]));
    assert_eq!(code, Some(2));
    assert!(errors.contains("unexpected argument 'nothing'"), "{errors}");
}
