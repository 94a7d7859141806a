//! A wrong call is told the method, what was expected and what came.

use skyring::seri::{Pack, Table, Value};
use skyring::{Error, Payload};

use crate::counter::{CounterClient, Recipient, pair};
use crate::support::run;

/// Calls the counter with values as Lua would write them.
fn call(values: &(impl Pack + ?Sized)) -> Result<Vec<Value>, Error> {
    let (_db, game) = pair();
    let payload = Payload::pack(values);
    run(&game, |caller| async move {
        caller
            .node("db")
            .call_payload("@counter", payload)
            .await?
            .values()
    })
}

fn error(values: &(impl Pack + ?Sized)) -> String {
    call(values).expect_err("it is a wrong call").to_string()
}

#[test]
fn what_lua_writes_is_what_the_client_writes() {
    assert_eq!(call(&("add", 5)), Ok(vec![Value::from(5)]));
    assert_eq!(call(&("add", 5.0)), Ok(vec![Value::from(5)]));
    assert_eq!(call("GET"), Ok(vec![Value::from(0)]));
    assert_eq!(
        call(&("note", "a", "\u{7f}text")),
        Ok(vec![Value::from("\u{7f}text")])
    );
    assert_eq!(call(&("note", "a")), Ok(vec![Value::Nil]));
    // A call of a method that clients send to is answered once it has run.
    assert_eq!(call("reset"), Ok(vec![]));
}

#[test]
fn an_unknown_command_is_told_which_there_are() {
    let known = "Counter has add, report, reset, note, GET, wait";
    assert_eq!(error("ADD"), format!("unknown command ADD: {known}"));
    assert_eq!(error("total"), format!("unknown command total: {known}"));
    assert_eq!(error(&()), format!("no command came: {known}"));
    assert_eq!(
        error(&5),
        format!("the command should be a string, but is an integer: {known}")
    );
    let long = "x".repeat(10_000);
    assert!(error(long.as_str()).len() < 1_000);
}

#[test]
fn a_wrong_number_of_arguments_is_told_the_right_one() {
    let add = "add(number: i64) -> i64";
    assert_eq!(
        error("add"),
        format!("{add}: 0 arguments came, and 1 is expected")
    );
    assert_eq!(
        error(&("add", 1, 2)),
        format!("{add}: 2 arguments came, and 1 is expected")
    );
    let note = "note(name: &str, text: Option<&[u8]>) -> Option<&[u8]>";
    assert_eq!(
        error("note"),
        format!("{note}: 0 arguments came, and 1 to 2 are expected")
    );
    assert_eq!(
        error(&("note", "a", "b", "c")),
        format!("{note}: 3 arguments came, and 1 to 2 are expected")
    );
    assert_eq!(
        error(&("reset", 1)),
        "reset(): 1 argument came, and 0 are expected"
    );
}

#[test]
fn nils_at_the_end_are_no_arguments() {
    assert_eq!(
        call(&("add", 1, None::<i64>, None::<i64>)),
        Ok(vec![Value::from(1)])
    );
}

#[test]
fn an_argument_of_a_wrong_type_is_named_with_what_was_expected_and_what_came() {
    let add = "add(number: i64) -> i64: argument 1, number,";
    assert_eq!(
        error(&("add", "five")),
        format!("{add} should be an integer, but is a string")
    );
    assert_eq!(
        error(&("add", None::<i64>, 1)),
        format!("{add} should be an integer, but is nil")
    );
    assert_eq!(
        error(&("add", 5.5)),
        format!("{add} should be an integer, but is 5.5")
    );
    assert_eq!(
        error(&("add", true)),
        format!("{add} should be an integer, but is a boolean")
    );
    let note = "note(name: &str, text: Option<&[u8]>) -> Option<&[u8]>: argument";
    assert_eq!(
        error(&("note", "a", 5)),
        format!("{note} 2, text, should be a string, but is an integer")
    );
    assert_eq!(
        error(&("note", &[0xff_u8][..])),
        format!("{note} 1, name, should be UTF-8, but is a string of other bytes")
    );
    let report = "report(to: Recipient) -> Result<(String, i64), ReportError>: argument 1, to, is invalid:";
    assert_eq!(
        error(&("report", "Ada")),
        format!("{report} invalid type: string \"Ada\", expected struct Recipient")
    );
    let table: Table = [("name", Value::from("Ada")), ("copies", Value::from(300))]
        .into_iter()
        .collect();
    assert_eq!(
        error(&("report", table)),
        format!("{report} invalid value: integer `300`, expected u8")
    );
    let table: Table = [("copies", Value::from(3))].into_iter().collect();
    assert_eq!(
        error(&("report", table)),
        format!("{report} missing field `name`")
    );
}

#[test]
fn bytes_that_are_no_values_are_an_error() {
    let (_db, game) = pair();
    for bytes in [&b"\x1cadd\xff"[..], b"\x1cadd\x0a\x01\xff", b"\xff", b"\x5c"] {
        let payload = Payload(bytes::Bytes::from_static(bytes));
        let error = run(&game, |caller| async move {
            caller.node("db").call_payload("@counter", Ok(payload)).await
        });
        assert!(matches!(error, Err(Error::Remote { .. })), "{error:?}");
    }
}

#[test]
fn structs_are_tables_and_bytes_are_strings() {
    let (_db, game) = pair();
    let answers = run(&game, |caller| async move {
        let counter = CounterClient::at(caller.node("db"), "@counter");
        counter.add(3).await?;
        let to: Table = [("name", "Ada"), ("unknown", "field")].into_iter().collect();
        let reply = caller.node("db").call("@counter", &("report", to)).await?;
        let (name, total): (String, i64) = reply.unpack()?;
        let typed = counter
            .report(Recipient {
                name: "Ada".to_owned(),
                copies: Some(2),
            })
            .await?;
        assert_eq!((name, total), typed);
        let note = counter.note("n", Some(&[0xff, 0])).await?;
        Ok::<_, Error>((typed, note, counter.note("other", None).await?))
    });
    assert_eq!(answers, Ok((("Ada".to_owned(), 3), Some(vec![0xff, 0]), None)));
}
