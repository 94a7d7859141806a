//! Traced calls: their spans on every node that they reach, and what they carry along.

#[path = "../common/node.rs"]
mod node;
#[path = "../common/start.rs"]
mod start;

#[cfg(feature = "otlp")]
mod collector;
#[cfg(feature = "otlp")]
mod export;
mod services;

use std::time::Duration;

use skyring::{Caller, ClusterMap, Error, Kind, Node, NodeBuilder, Payload, Span, SpanEnd, WantedSpans};

use crate::node::{run, wait_until};
use crate::services::{Echo, Front, Outgoing, Poster};
use crate::start::{builder, start};

/// A node that serves `@db`, and one that serves `@front`, which asks it.
fn pair() -> (Node, Node) {
    pair_of(builder(2), builder(2))
}

/// The same of these.
fn pair_of(front: NodeBuilder, db: NodeBuilder) -> (Node, Node) {
    let started = |builder: NodeBuilder| builder.start().expect("a node starts on this machine");
    let (front, db) = (started(front), started(db));
    let opened = run(&db, |caller| async move {
        let echo = caller.launch(|_| Echo).await?;
        caller.cluster().register("db", Some(echo))?;
        caller.cluster().open(0, None).await
    });
    let address = format!("127.0.0.1:{}", opened.expect("a free port").port());
    run(&front, move |caller| async move {
        let map = ClusterMap::new().with("db", &address).expect("a valid entry");
        caller.cluster().reload(map);
        let front = caller.launch(|_| Front).await.expect("it launches");
        let registered = caller.cluster().register("front", Some(front));
        registered.expect("the name is free");
    });
    (front, db)
}

/// The spans of a trace on a node, once `count` have ended.
fn spans_of(node: &Node, trace: u128, count: usize) -> Vec<Span> {
    let mut found = Vec::new();
    wait_until("the spans have ended", || {
        found = run(node, move |caller| async move {
            caller.spans(WantedSpans::Trace(trace))
        });
        found.iter().filter(|span| span.finished.is_some()).count() == count
    });
    found
}

/// The one trace that begins with a call of `method`.
fn trace_of(node: &Node, method: &'static str) -> u128 {
    let slowest = WantedSpans::Slowest { count: 100 };
    let all = run(node, move |caller| async move { caller.spans(slowest) });
    let mut first = all
        .iter()
        .filter(|span| span.parent == 0 && span.method == method);
    let trace = first.next().expect("the first call has a span").trace;
    assert!(first.all(|other| other.trace == trace), "{all:?}");
    trace
}

async fn traced(caller: &Caller, method: &str) -> Result<Payload, Error> {
    caller.call("@front", &(method, "text")).traced().await
}

/// The span with this end and method whose parent is `parent`.
fn child(spans: &[Span], parent: u64, end: SpanEnd) -> &Span {
    let mut found = spans
        .iter()
        .filter(|span| span.parent == parent && span.end == end);
    let span = found
        .next()
        .unwrap_or_else(|| panic!("no child of {parent}: {spans:#?}"));
    assert_eq!(found.next(), None, "one child");
    span
}

#[test]
fn a_traced_call_has_spans_at_both_ends_on_every_node_that_it_reaches() {
    let (front, db) = pair();
    for method in ["now", "later"] {
        let answer = run(&front, move |caller| async move { traced(&caller, method).await });
        assert_eq!(answer.and_then(|answer| answer.unpack()), Ok("text".to_owned()));
        let trace = trace_of(&front, method);
        let here = spans_of(&front, trace, 3);
        let there = spans_of(&db, trace, 1);
        assert_eq!((here.len(), there.len()), (3, 1), "{here:#?} {there:#?}");
        let first = child(&here, 0, SpanEnd::Caller);
        let handled = child(&here, first.id, SpanEnd::Callee);
        let asked = child(&here, handled.id, SpanEnd::Caller);
        let answered = child(&there, asked.id, SpanEnd::Callee);
        assert_eq!((&*first.service, &*first.node), ("@front", ""));
        assert_eq!((&*asked.service, &*asked.node), ("@db", "db"));
        for span in [asked, answered] {
            assert_eq!((&*span.method, &span.error), ("echo", &None), "{span:?}");
        }
        for span in [first, handled, asked, answered] {
            let stages = [span.sent, span.started, span.finished];
            let times: Vec<Duration> = stages.into_iter().flatten().collect();
            assert!(times.is_sorted(), "{span:?}");
        }
        assert!(asked.sent.is_some() && answered.started.is_some() && handled.started.is_some());
    }
}

#[test]
fn a_call_that_nobody_asked_to_trace_leaves_nothing() {
    let (front, db) = pair();
    let answer = run(&front, |caller| async move {
        caller.call("@front", &("now", "text")).await
    });
    assert!(answer.is_ok());
    for node in [&front, &db] {
        let all = run(node, |caller| async move {
            caller.spans(WantedSpans::Slowest { count: 10 })
        });
        assert_eq!(all, []);
        assert_eq!(node.metrics().calls_traced.get(), 0);
    }
}

#[test]
fn a_failed_call_has_its_error_at_both_ends() {
    let (front, db) = pair();
    let answer = run(&front, |caller| async move { traced(&caller, "fail").await });
    assert!(matches!(answer, Err(Error::Remote { .. })), "{answer:?}");
    let trace = trace_of(&front, "fail");
    let all = [spans_of(&front, trace, 3), spans_of(&db, trace, 1)].concat();
    assert!(
        all.iter().all(|span| span.error.as_deref() == Some("remote")),
        "{all:#?}"
    );
}

#[test]
fn a_dropped_call_ends_its_span() {
    let (front, _db) = pair();
    run(&front, |caller| async move {
        let call = traced(&caller, "never");
        assert!(caller.within(Duration::from_millis(20), call).await.is_err());
    });
    let trace = trace_of(&front, "never");
    let ended = spans_of(&front, trace, 1);
    let first = child(&ended, 0, SpanEnd::Caller);
    assert_eq!(first.error.as_deref(), Some("dropped"));
}

#[test]
fn posts_of_a_service_with_sessions_of_its_own_belong_to_the_call_that_they_answer() {
    let (front, db) = pair();
    let answer = run(&front, |caller| async move {
        let poster = caller.launch(|_| Poster::default()).await?;
        caller.name_service("poster", poster)?;
        caller.call(".poster", &("ask", "text")).traced().await
    });
    assert_eq!(answer.and_then(|answer| answer.unpack()), Ok("text".to_owned()));
    let trace = trace_of(&front, "ask");
    let here = spans_of(&front, trace, 3);
    let first = child(&here, 0, SpanEnd::Caller);
    let handled = child(&here, first.id, SpanEnd::Callee);
    // After a pause, and in an answer.
    let asked = child(&here, handled.id, SpanEnd::Caller);
    let there = spans_of(&db, trace, 1);
    child(&there, asked.id, SpanEnd::Callee);
}

#[test]
fn another_node_hands_out_its_spans() {
    let (front, db) = pair();
    let answer = run(&front, |caller| async move { traced(&caller, "now").await });
    assert!(answer.is_ok());
    let trace = trace_of(&front, "now");
    let there = spans_of(&db, trace, 1);
    let asked = run(&front, move |caller| async move {
        let db = caller.node("db");
        let wrong = db.call("@skyring", &("SPANS", "TRACE", "no number")).await;
        (db.spans(WantedSpans::Trace(trace)).await, wrong)
    });
    assert_eq!(asked.0, Ok(there));
    assert!(matches!(&asked.1, Err(Error::Remote { .. })), "{:?}", asked.1);
}

#[test]
fn calls_from_other_threads_can_be_traced() {
    let (front, db) = pair();
    let answer = front.client().traced().call("@front", &("now", "text")).wait();
    assert!(answer.is_ok());
    let trace = trace_of(&front, "now");
    assert_eq!(spans_of(&front, trace, 3).len(), 3);
    assert_eq!(spans_of(&db, trace, 1).len(), 1);
}

#[test]
fn messages_of_other_kinds_have_no_method() {
    let node = start(1);
    let answer = run(&node, |caller| async move {
        let echo = caller.launch(|_| Echo).await?;
        caller.call(echo, &7).kind(Kind::LUA).traced().await
    });
    assert!(answer.is_err());
    let trace = trace_of(&node, "");
    assert_eq!(spans_of(&node, trace, 2).len(), 2);
}

const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const PARENT: u64 = 0x00f0_67aa_0ba9_02b7;
const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn calls_of_a_server_of_http_belong_to_the_trace_of_its_request() {
    let (front, db) = pair();
    let client = front.client().traceparent(HEADER);
    assert!(client.call("@front", &("now", "text")).wait().is_ok());
    assert!(client.node("db").call("@db", &("echo", "text")).wait().is_ok());
    let here = spans_of(&front, TRACE, 4);
    let there = spans_of(&db, TRACE, 2);
    let callers = here
        .iter()
        .filter(|span| span.parent == PARENT && span.end == SpanEnd::Caller);
    let callers: Vec<&str> = callers.map(|span| span.service.as_str()).collect();
    assert_eq!(callers, ["@front", "@db"], "{here:#?}");
    assert!(
        there
            .iter()
            .all(|span| here.iter().any(|other| other.id == span.parent)),
        "{there:#?}"
    );
}

#[test]
fn a_header_that_is_invalid_or_not_sampled_traces_nothing() {
    let (front, _db) = pair();
    for header in [
        "",
        "00",
        &HEADER.replace("-01", "-00"),
        &HEADER.to_uppercase(),
        &format!("{HEADER}-"),
    ] {
        let client = front.client().traceparent(header);
        assert!(client.call("@front", &("now", "text")).wait().is_ok());
        let header = header.to_owned();
        run(&front, move |caller| async move {
            let name = caller.within_trace(&header, "GET /", || caller.traceparent());
            assert_eq!(name, None, "{header}");
        });
    }
    assert_eq!(front.metrics().calls_traced.get(), 0);
}

#[test]
fn what_a_service_does_for_a_request_over_http_belongs_to_the_trace_of_the_request() {
    let node = start(2);
    let method = "GET /a-path-that-is-longer-than-what-is-kept-of-the-name-of-a-method-in-a-span";
    run(&node, move |caller| async move {
        let echo = caller.launch(|_| Echo).await.expect("it launches");
        let sent = caller.within_trace(HEADER, method, || caller.send(echo, &("echo", "text")));
        assert_eq!(sent, Ok(()));
        assert_eq!(caller.traceparent(), None, "the request has ended");
    });
    let spans = spans_of(&node, TRACE, 2);
    let request = child(&spans, PARENT, SpanEnd::Callee);
    assert_eq!(request.method, method[..64]);
    assert_eq!(child(&spans, request.id, SpanEnd::Callee).method, "echo");
}

#[test]
fn a_service_tells_the_header_of_the_requests_that_it_makes() {
    let node = start(1);
    let answer = run(&node, |caller| async move {
        let outgoing = caller.launch(|_| Outgoing).await.expect("it launches");
        let untraced = caller
            .call(outgoing, &())
            .await
            .and_then(|answer| answer.unpack());
        assert_eq!(untraced, Ok(String::new()));
        let answer = caller.call(outgoing, &()).traced().await;
        answer.and_then(|answer| answer.unpack::<String>())
    });
    let header = answer.expect("an answer");
    let slowest = WantedSpans::Slowest { count: 10 };
    let spans = run(&node, move |caller| async move { caller.spans(slowest) });
    let handled = spans
        .iter()
        .find(|span| span.end == SpanEnd::Callee)
        .expect("a span");
    assert_eq!(
        header,
        format!("00-{:032x}-{:016x}-01", handled.trace, handled.id)
    );
    // Another node's client takes it up.
    assert!(node.client().traceparent(&header).call(":1", &()).wait().is_err());
    let under = |span: &Span| span.trace == handled.trace && span.parent == handled.id;
    let spans = run(&node, move |caller| async move {
        caller.spans(WantedSpans::Slowest { count: 10 })
    });
    assert!(spans.iter().any(under), "{spans:#?}");
}
