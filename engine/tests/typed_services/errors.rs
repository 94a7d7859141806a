//! The errors of methods.

use skyring::typed::CallError;
use skyring::{Answer, Context, DialectChoice, Error, Message, Service};

use crate::counter::{CounterClient, Recipient, ReportError, pair, serving};
use crate::start::{builder, start};
use crate::support::{meet, open, run, serve};

fn to(name: &str) -> Recipient {
    Recipient {
        name: name.to_owned(),
        copies: None,
    }
}

fn unknown(name: &str) -> ReportError {
    ReportError::Unknown {
        name: name.to_owned(),
        known: vec!["Ada".to_owned()],
    }
}

#[test]
fn an_error_of_a_methods_own_type_comes_back_as_that_type() {
    let (db, game) = pair();
    let there = CounterClient::at(game.client().node("db"), "@counter");
    assert_eq!(
        there.report(to("Bob")).wait(),
        Err(CallError::Service(ReportError::Empty))
    );
    let errors = run(&game, |caller| async move {
        let counter = CounterClient::at(caller.node("db"), "@counter");
        counter.add(1).await?;
        Ok::<_, Error>(counter.report(to("Bob")).await)
    });
    assert_eq!(errors, Ok(Err(CallError::Service(unknown("Bob")))));
    let here = run(&db, |caller| async move {
        CounterClient::at(&caller, "@counter").report(to("Eve")).await
    });
    assert_eq!(here, Err(CallError::Service(unknown("Eve"))));
}

#[test]
fn an_untyped_caller_gets_the_text_of_the_error() {
    let (_db, game) = pair();
    let error = run(&game, |caller| async move {
        let to: skyring::seri::Table = [("name", "Bob")].into_iter().collect();
        caller.node("db").call("@counter", &("report", to)).await
    });
    let error = error.expect_err("there is nothing to report");
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("remote", "there is nothing to report")
    );
    assert!(error.may_have_run());
}

#[test]
fn in_the_skynet_dialect_an_error_is_its_text() {
    let (_db, address) = serving();
    let game = builder(1).dialect(DialectChoice::Skynet).start().expect("a node");
    meet(&game, &address);
    let error = CounterClient::at(game.client().node("db"), "@counter")
        .report(to("Bob"))
        .wait();
    assert_eq!(
        error,
        Err(CallError::Call(Error::remote("there is nothing to report")))
    );
}

#[test]
fn an_error_whose_value_is_too_long_arrives_as_its_text() {
    let (_db, game) = pair();
    let long = "x".repeat(20_000);
    let error = run(&game, |caller| async move {
        let counter = CounterClient::at(caller.node("db"), "@counter");
        counter.add(1).await?;
        let error = counter.report(to(&long)).await;
        Ok::<_, CallError<ReportError>>(error)
    });
    let error = error.expect("the other calls succeed");
    assert!(
        matches!(&error, Err(CallError::Call(Error::Remote { value: None, .. }))),
        "{error:?}"
    );
}

#[test]
fn a_call_that_fails_is_told_from_an_error_of_the_method() {
    let game = start(1);
    let error = CounterClient::at(game.client(), "@nobody")
        .report(to("Bob"))
        .wait();
    assert!(
        matches!(error, Err(CallError::Call(Error::NoSuchService { .. }))),
        "{error:?}"
    );
}

/// Answers everything with a text.
struct Wrong;

impl Service for Wrong {
    fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
        Answer::now("no number")
    }
}

#[test]
fn an_answer_of_another_type_is_an_error_that_names_the_method() {
    let node = start(1);
    serve(&node, "counter", |_| Wrong);
    let _ = open(&node);
    let error = CounterClient::at(node.client(), "@counter")
        .add(1)
        .wait()
        .expect_err("a text is no number");
    assert_eq!(
        error.to_string(),
        "invalid answer to add(number: i64) -> i64: value 1 should be an integer, but is string"
    );
    assert!(error.may_have_run());
}
