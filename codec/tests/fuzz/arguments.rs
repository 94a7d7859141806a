//! The command does what it is asked for, and refuses what makes no sense with a text that says why.

use crate::entries::ENTRIES;
use crate::search::arguments::{Action, Arguments};
use crate::search::campaign::Limit;
use crate::search::hex::{from_hex, hex};

fn parsed(text: &str) -> Result<Arguments, String> {
    let arguments = text.split_whitespace().map(str::to_owned);
    Arguments::parse(arguments).map_err(|refused| refused.to_string())
}

#[test]
fn without_arguments_every_entry_runs_from_a_new_seed() {
    let arguments = parsed("").expect("it makes sense");
    assert_eq!(arguments.entries.len(), ENTRIES.len());
    assert_eq!(
        arguments.action,
        Action::Search {
            limit: Limit::Seconds(10),
            seed: None
        }
    );
    assert_eq!(arguments.fault, None);
}

#[test]
fn a_search_has_a_limit_entries_and_a_seed() {
    let arguments = parsed("--seed 9 --entry link_callee --executions 1_000 --entry seri_unpack")
        .expect("it makes sense");
    let limit = Limit::Executions(1_000);
    assert_eq!(arguments.action, Action::Search { limit, seed: Some(9) });
    let names: Vec<_> = arguments.entries.iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["link_callee", "seri_unpack"]);
    let arguments = parsed("--seconds 600 --fault NameStale").expect("it makes sense");
    let limit = Limit::Seconds(600);
    assert_eq!(arguments.action, Action::Search { limit, seed: None });
    assert_eq!(arguments.fault.as_deref(), Some("NameStale"));
}

#[test]
fn an_input_is_hexadecimal_digits_or_a_file() {
    let arguments = parsed("--entry native_hello --input 00fF10").expect("it makes sense");
    assert_eq!(arguments.action, Action::Replay(vec![0, 255, 16]));
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let arguments = parsed(&format!("--entry native_hello --input {file}")).expect("it makes sense");
    assert!(matches!(arguments.action, Action::Replay(input) if input.starts_with(b"[package]")));
    assert_eq!(from_hex(&hex(&[0, 1, 0x7f, 0xff])), Some(vec![0, 1, 0x7f, 0xff]));
    assert_eq!(from_hex(""), Some(vec![]));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let cases = [
        ("--second 5", "there is no option --second"),
        ("seri_unpack", "there is no option seri_unpack"),
        ("--seconds", "--seconds needs a value"),
        ("--seconds ten", "--seconds needs a whole number, not \"ten\""),
        ("--seconds 0", "--seconds needs more than 0"),
        ("--executions 0", "--executions needs more than 0"),
        ("--seed -1", "--seed needs a whole number, not \"-1\""),
        ("--seed 1 --seed 2", "--seed is given twice"),
        (
            "--entry seri_unpack --entry seri_unpack",
            "--entry is given twice",
        ),
        (
            "--entry seri",
            "there is no entry \"seri\"; there are seri_unpack, ",
        ),
        (
            "--seconds 1 --executions 1",
            "either --seconds or --executions, not both",
        ),
        ("--input 00", "--input needs one --entry"),
        (
            "--entry link_caller --entry link_callee --input 00",
            "--input needs one --entry",
        ),
        (
            "--entry link_caller --input 0",
            "--input needs a file or hexadecimal digits, not \"0\"",
        ),
        (
            "--entry link_caller --input no/such/file",
            "--input needs a file or hexadecimal digits",
        ),
        (
            "--entry link_caller --input 00 --seed 1",
            "--input and --write-samples go with no limit",
        ),
        (
            "--write-samples folder --seconds 1",
            "--input and --write-samples go with no limit",
        ),
    ];
    for (text, expected) in cases {
        match parsed(text) {
            Ok(_) => panic!("{text} is accepted"),
            Err(refused) => assert!(refused.starts_with(expected), "{text}: {refused}"),
        }
    }
}
