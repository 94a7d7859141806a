//! The export of spans to a collector: one tree over two nodes, and collectors that are absent, slow or refuse.

use std::net::TcpListener;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use skyring::limits::SPANS_QUEUED_MAX;
use skyring::log::Destination;
use skyring::{Node, NodeBuilder};

use crate::collector::{Collector, Reply, attribute};
use crate::node::{run, wait_until};
use crate::services::Echo;
use crate::start::builder;
use crate::{pair_of, traced};

/// A node that exports to `endpoint`.
fn exporting(name: &str, endpoint: &str) -> NodeBuilder {
    builder(2)
        .name(name)
        .otlp(endpoint.parse().expect("the address of a collector"))
}

/// A started one that serves `@db` to itself.
fn echo(builder: NodeBuilder) -> Node {
    let node = builder.start().expect("a node starts on this machine");
    run(&node, |caller| async move {
        let echo = caller.launch(|_| Echo).await.expect("it launches");
        caller.cluster().register("db", Some(echo)).expect("a free name");
    });
    node
}

/// Makes traced calls, each of which has two spans.
fn call(node: &Node, count: usize) {
    run(node, move |caller| async move {
        for _ in 0..count {
            let answer = caller.call("@db", &("echo", "text")).traced().await;
            assert!(answer.is_ok(), "{answer:?}");
        }
    });
}

/// The one span with this parent.
fn child<'a>(spans: &'a [(String, Value)], parent: &str) -> &'a (String, Value) {
    let mut found = spans
        .iter()
        .filter(|(_, span)| span["parentSpanId"].as_str().unwrap_or_default() == parent);
    let span = found
        .next()
        .unwrap_or_else(|| panic!("no child of {parent:?}: {spans:#?}"));
    assert!(found.next().is_none(), "{spans:#?}");
    span
}

fn nanoseconds(value: &Value) -> u128 {
    value.as_str().expect("a text").parse().expect("a number")
}

#[test]
fn a_collector_gets_one_tree_of_a_call_over_two_nodes() {
    let collector = Collector::start([]);
    let endpoint = collector.endpoint();
    let (front, db) = pair_of(exporting("front", &endpoint), exporting("db", &endpoint));
    let before = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos();
    let answer = run(&front, |caller| async move { traced(&caller, "later").await });
    assert!(answer.is_ok(), "{answer:?}");
    wait_until("all spans have arrived", || collector.spans().len() >= 4);
    let spans = collector.spans();
    assert_eq!(spans.len(), 4, "{spans:#?}");
    let id = |span: &Value| span["spanId"].as_str().expect("a text").to_owned();
    let trace = spans[0].1["traceId"].as_str().expect("a text");
    assert_eq!(trace.len(), 32);

    let mut parent = String::new();
    for (node, kind, name, server) in [
        ("front", 3, "@front/later", ""),
        ("front", 2, "front/later", ""),
        ("front", 3, "@db/echo", "db"),
        ("db", 2, "db/echo", ""),
    ] {
        let (of, span) = child(&spans, &parent);
        assert_eq!(
            (&**of, &span["kind"], &span["name"]),
            (node, &Value::from(kind), &Value::from(name))
        );
        assert_eq!(span["traceId"].as_str(), Some(trace));
        assert_eq!(attribute(span, "server.address"), server);
        assert_eq!(attribute(span, "rpc.system"), "skyring");
        assert_eq!(
            name,
            format!(
                "{}/{}",
                attribute(span, "rpc.service"),
                attribute(span, "rpc.method")
            )
        );
        assert!(["0", "1"].contains(&attribute(span, "skyring.shard").as_str()));
        assert_eq!(attribute(span, "skyring.handle").is_empty(), kind == 3);
        assert_eq!(span["status"], serde_json::json!({}));
        let (begun, ended) = (
            nanoseconds(&span["startTimeUnixNano"]),
            nanoseconds(&span["endTimeUnixNano"]),
        );
        // The wall clock may be set while this runs, but hardly by a minute.
        assert!(
            begun <= ended && begun + 60_000_000_000 > before,
            "{begun} {ended} {before}"
        );
        let stage = match (kind, server) {
            (2, _) => Some("started"),
            (_, "") => None,
            _ => Some("sent"),
        };
        let events = span["events"].as_array().expect("a list");
        assert_eq!(
            events.first().map(|event| event["name"].as_str()),
            stage.map(Some)
        );
        for event in events {
            assert!(
                (begun..=ended).contains(&nanoseconds(&event["timeUnixNano"])),
                "{span}"
            );
        }
        parent = id(span);
        assert_eq!(parent.len(), 16);
    }
    for received in collector.received() {
        assert_eq!(received.path, "/v1/traces");
    }
    wait_until("the answers have been counted", || {
        front.metrics().spans_exported.get() == 3 && db.metrics().spans_exported.get() == 1
    });
    assert_eq!(collector.connections(), 2, "each node keeps its connection");
}

#[test]
fn a_failed_call_has_the_status_and_the_code_of_its_error() {
    let collector = Collector::start([]);
    let endpoint = format!("{}/base/", collector.endpoint());
    let node = echo(exporting("db", &endpoint));
    run(&node, |caller| async move {
        assert!(caller.call("@db", &("fail", "")).traced().await.is_err());
    });
    wait_until("its spans have arrived", || collector.spans().len() >= 2);
    for (_, span) in collector.spans() {
        assert_eq!(
            span["status"],
            serde_json::json!({"code": 2, "message": "remote"})
        );
        assert_eq!(attribute(&span, "error.type"), "remote");
    }
    assert_eq!(collector.received()[0].path, "/base/v1/traces");
}

#[test]
fn what_is_queued_when_a_node_stops_is_flushed() {
    let collector = Collector::start([]);
    let node = echo(exporting("db", &collector.endpoint()));
    // More than a batch.
    call(&node, 300);
    node.stop();
    let spans = collector.spans().len();
    // The node itself makes no traced calls.
    assert_eq!(spans, 600);
}

#[test]
fn a_collector_that_is_overloaded_gets_its_batch_again_after_the_time_that_it_asks_for() {
    let busy = Reply {
        headers: vec![("retry-after", "2")],
        ..Reply::new(503, "{\"message\":\"busy\"}")
    };
    let limited = Reply::new(429, "");
    let collector = Collector::start([busy, limited]);
    let node = echo(exporting("db", &collector.endpoint()));
    call(&node, 1);
    wait_until("the batch is taken", || node.metrics().spans_exported.get() == 2);
    let received = collector.received();
    assert_eq!(received.len(), 3);
    assert!(received[1].at - received[0].at >= Duration::from_secs(2));
    assert!(
        received.iter().all(|other| other.body == received[0].body),
        "the same spans"
    );
    assert_eq!(node.metrics().spans_dropped.get(), 0);
}

#[test]
fn a_batch_that_a_collector_refuses_is_dropped_and_counted_and_the_next_one_is_sent() {
    let partial = "{\"partialSuccess\":{\"rejectedSpans\":\"1\",\"errorMessage\":\"too old\"}}";
    let refusals = [
        (Reply::new(400, "{\"message\":\"wrong\"}"), 2),
        (Reply::new(404, "<html>"), 2),
        (Reply::new(200, "<html>all is well</html>"), 2),
        (Reply::new(301, ""), 2),
        (Reply::new(200, partial), 1),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let collector = Collector::start(refusals.iter().map(|(reply, _)| reply.clone()));
    let node = echo(exporting("db", &collector.endpoint()).log_to(Destination::File(log.clone())));
    let mut dropped = 0;
    for (_, count) in refusals {
        call(&node, 1);
        dropped += count;
        wait_until("the batch is dropped", || {
            node.metrics().spans_dropped.get() == dropped
        });
    }
    call(&node, 1);
    wait_until("the next batch is taken", || {
        node.metrics().spans_exported.get() == 3
    });
    assert_eq!(collector.received().len(), 6, "none is tried again");
    node.stop();
    let log = std::fs::read_to_string(&log).expect("a log");
    let told = |part: &str| log.lines().filter(|line| line.contains(part)).count();
    assert_eq!(told("spans cannot be exported to http://127.0.0.1:"), 1, "{log}");
    assert_eq!(told("HTTP status 400: wrong"), 1, "{log}");
    assert_eq!(told("spans dropped, because"), 1, "{log}");
    assert_eq!(told("/v1/traces again"), 1, "{log}");
}

#[test]
fn an_absent_collector_costs_spans_beyond_the_queue_and_nothing_else() {
    // A port that refuses: bound, and not listening.
    let taken = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
    taken.bind(&any.into()).expect("a free port");
    let address = taken.local_addr().expect("bound").as_socket().expect("of IPv4");
    let node = echo(exporting("db", &format!("http://{address}")));
    let calls = SPANS_QUEUED_MAX / 2 + 512;
    call(&node, calls);
    let dropped = node.metrics().spans_dropped.get() as usize;
    // The queue and one batch are kept.
    assert!(dropped >= calls * 2 - SPANS_QUEUED_MAX - 512, "{dropped}");
    assert_eq!(node.metrics().spans_exported.get(), 0);
    let started = Instant::now();
    node.stop();
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "a stop does not wait for it"
    );
}

#[test]
fn a_collector_that_never_answers_holds_up_neither_calls_nor_the_stop() {
    // It accepts by its backlog, and reads nothing.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let node = echo(exporting("db", &format!("http://{address}")).log_to(Destination::File(log.clone())));
    call(&node, 100);
    node.stop();
    let log = std::fs::read_to_string(&log).expect("a log");
    assert!(log.contains("because the node stops: 200"), "{log}");
    assert!(log.contains("spans_dropped=200"), "{log}");
}
