//! simpledb answers its commands as documented, on a running node.

use skyring::seri::Value;
use skyring::{Caller, Error, Node, Payload};
use skyring_services::SimpleDb;

/// Makes these calls to a new simpledb, one after the other, and returns the answers.
fn answers(calls: Vec<Payload>) -> Vec<Result<Vec<Value>, Error>> {
    let node = Node::builder().start().expect("a node");
    let answers = node
        .block_on(move |caller: Caller| async move {
            let db = caller.launch(|_| SimpleDb::default()).await.expect("launched");
            let mut answers = Vec::new();
            for call in calls {
                let answer = caller.call_payload(db, Ok(call)).await;
                answers.push(answer.and_then(|payload| payload.values()));
            }
            answers
        })
        .expect("the node runs");
    node.stop();
    answers
}

fn pack<T: skyring::seri::Pack>(values: T) -> Payload {
    Payload::pack(&values).expect("packed")
}

fn text(text: &str) -> Result<Vec<Value>, Error> {
    Ok(vec![Value::from(text)])
}

fn nil() -> Result<Vec<Value>, Error> {
    Ok(vec![Value::Nil])
}

#[test]
fn set_answers_the_old_value_and_get_the_newest() {
    let answers = answers(vec![
        pack(("GET", "a")),
        pack(("SET", "a", "one")),
        pack(("SET", "a", "two")),
        pack(("GET", "a")),
        pack(("SET", "a", None::<&str>)),
        pack(("GET", "a")),
    ]);
    assert_eq!(
        answers,
        [nil(), nil(), text("one"), text("two"), text("two"), nil()]
    );
}

#[test]
fn commands_ignore_case_and_keys_are_any_value() {
    let answers = answers(vec![
        pack(("Set", 7, true)),
        pack(("gEt", 7)),
        pack(("get", "7")),
        pack("ping"),
    ]);
    assert_eq!(
        answers,
        [nil(), Ok(vec![Value::Boolean(true)]), nil(), text("PONG")]
    );
}

#[test]
fn an_unknown_command_is_an_error_that_names_it() {
    let answers = answers(vec![pack(("DROP", "a")), pack(42), pack("GET"), pack(())]);
    let texts: Vec<String> = answers
        .into_iter()
        .map(|answer| answer.unwrap_err().to_string())
        .collect();
    assert!(texts[0].contains("DROP"), "{texts:?}");
    assert!(texts[1].contains("string"), "{texts:?}");
    assert!(texts[2].contains("key"), "{texts:?}");
    assert!(!texts[3].is_empty(), "{texts:?}");
}

#[test]
fn an_error_quotes_only_the_beginning_of_a_long_command() {
    let answers = answers(vec![pack("X".repeat(1_000_000).as_str())]);
    let text = answers.into_iter().next().unwrap().unwrap_err().to_string();
    assert!(text.contains("XXX") && text.len() < 200, "{} bytes", text.len());
}
