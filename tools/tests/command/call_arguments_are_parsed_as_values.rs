//! The arguments of a call are parsed as values, or all sent as text; replies are printed one value per line.

use std::os::unix::ffi::OsStrExt as _;

use crate::common::{node_with_service, outcome, output};
use skyring::seri::{self, Value};
use skyring::{Answer, Context, Message, Node, Payload, Service};

/// Replies with the kind and the text of each received value; to `answer`, with values of all kinds.
struct Kinds;

impl Service for Kinds {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        let values = match message.payload.values() {
            Ok(values) => values,
            Err(error) => return Answer::error(error),
        };
        if values.first().and_then(Value::as_str) == Some("answer") {
            let mut table = seri::Table::new();
            table.set(1, "one");
            table.set("key", true);
            let bytes = Value::String(vec![0xff, b'\n', 0x1b].into());
            let all = [
                Value::Nil,
                false.into(),
                (-7).into(),
                0.5.into(),
                bytes,
                Value::Table(table),
            ];
            return Answer::from(Payload::pack(&all[..]));
        }
        let kinds: Vec<String> = values
            .iter()
            .map(|value| format!("{:?} {value}", value.kind()))
            .collect();
        Answer::now(&kinds.join("|"))
    }
}

fn node() -> (Node, String) {
    node_with_service("kinds", || Kinds)
}

#[track_caller]
fn kinds(options: &[&str], values: &[&str]) -> String {
    let (_node, address) = node();
    let mut arguments = vec!["call", "--addr", &address];
    arguments.extend(options);
    arguments.push("@kinds");
    arguments.extend(values);
    let (code, text, error) = outcome(&output(arguments));
    assert_eq!((code, error.as_str()), (Some(0), ""));
    text
}

#[test]
fn numbers_booleans_and_nil_are_parsed() {
    assert_eq!(
        kinds(&[], &["GET", "12", "1.5", "1e3", "true", "false", "nil", ""]),
        "String GET|Integer 12|Number 1.5|Number 1000.0|Boolean true|Boolean false|Nil nil|String \n"
    );
}

#[test]
fn negative_numbers_need_no_dashes_before_them() {
    assert_eq!(
        kinds(&[], &["-5", "-0.5", "-1e3", "-9223372036854775808"]),
        "Integer -5|Number -0.5|Number -1000.0|Integer -9223372036854775808\n"
    );
}

#[test]
fn text_that_begins_with_a_dash_follows_two_dashes() {
    assert_eq!(
        kinds(&[], &["--", "--string", "-x"]),
        "String --string|String -x\n"
    );
}

#[test]
fn string_makes_all_arguments_text_in_any_position() {
    let all_text = "String 1|String true|String nil|String -5\n";
    assert_eq!(kinds(&["--string"], &["1", "true", "nil", "-5"]), all_text);
    assert_eq!(kinds(&[], &["1", "true", "nil", "-5", "--string"]), all_text);
}

#[test]
fn replies_are_printed_one_value_per_line_and_text_byte_by_byte() {
    let (_node, address) = node();
    let answer = output(["call", "--addr", &address, "@kinds", "answer"]);
    assert_eq!(answer.status.code(), Some(0));
    let expected = b"nil\nfalse\n-7\n0.5\n\xff\n\x1b\n{\"one\", key = true}\n";
    assert_eq!(
        answer.stdout,
        expected,
        "{}",
        String::from_utf8_lossy(&answer.stdout)
    );
}

#[test]
fn an_argument_that_is_not_utf8_is_sent_as_its_bytes() {
    let (_node, address) = node();
    let argument = std::ffi::OsStr::from_bytes(b"\xfe1");
    let arguments = ["call", "--addr", &address, "@kinds"].map(AsRef::as_ref);
    let answer = output(arguments.into_iter().chain([argument]));
    assert_eq!(outcome(&answer).1, "String \\2541\n");
}
