//! The words of a call arrive as the values they look like, or all as text; answers are printed one a line.

use std::os::unix::ffi::OsStrExt as _;

use crate::common::{free_port, output, told};
use skyring::seri::{self, Value};
use skyring::{Answer, ClusterMap, Context, Message, Node, Payload, Service};

/// Says of what kind each value is that it gets; or, told `answer`, answers with values of every kind.
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

/// A node in this process with that service as `@kinds`, and its address.
fn node() -> (Node, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let map = ClusterMap::new().with("kinds", &address).expect("an address");
    let node = Node::builder().map(map).start().expect("a node");
    let opened = node.block_on(|caller| async move {
        let kinds = caller.launch(|_| Kinds).await?;
        caller.cluster().register("kinds", Some(kinds))?;
        caller.cluster().open("kinds", None).await
    });
    opened.expect("a running node").expect("it listens");
    (node, address)
}

#[track_caller]
fn kinds(options: &[&str], words: &[&str]) -> String {
    let (_node, address) = node();
    let mut arguments = vec!["call", "--addr", &address];
    arguments.extend(options);
    arguments.push("@kinds");
    arguments.extend(words);
    let (code, text, error) = told(&output(arguments));
    assert_eq!((code, error.as_str()), (Some(0), ""));
    text
}

#[test]
fn numbers_booleans_and_nil_are_sent_as_such() {
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
fn text_that_begins_with_a_dash_stands_behind_two() {
    assert_eq!(
        kinds(&[], &["--", "--string", "-x"]),
        "String --string|String -x\n"
    );
}

#[test]
fn string_makes_everything_text_wherever_it_stands() {
    let all_text = "String 1|String true|String nil|String -5\n";
    assert_eq!(kinds(&["--string"], &["1", "true", "nil", "-5"]), all_text);
    assert_eq!(kinds(&[], &["1", "true", "nil", "-5", "--string"]), all_text);
}

#[test]
fn answers_are_printed_one_a_line_and_text_byte_by_byte() {
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
fn a_word_that_is_no_utf8_is_sent_as_its_bytes() {
    let (_node, address) = node();
    let word = std::ffi::OsStr::from_bytes(b"\xfe1");
    let arguments = ["call", "--addr", &address, "@kinds"].map(AsRef::as_ref);
    let answer = output(arguments.into_iter().chain([word]));
    assert_eq!(told(&answer).1, "String \\2541\n");
}
