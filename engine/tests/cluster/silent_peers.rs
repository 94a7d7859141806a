//! A peer that accepts and never answers fails calls at their deadline, and only those.

use std::time::{Duration, Instant};

use skyring::{Error, Node};

use crate::cluster::{map_of, reload};
use crate::node::{TIMEOUT, run};
use crate::peer::{Peer, PeerConnection};
use crate::start::{builder, start};
use crate::together::all;

/// A connection on which one call was answered, so that deadlines do not include the connecting.
fn connect(gate: &Node, peer: &Peer) -> PeerConnection {
    reload(gate, map_of("db", &peer.address()));
    let call = gate.client().node("db").timeout(TIMEOUT).call("@echo", &0);
    let mut connection = peer.accept();
    let (session, payload) = connection.read_request();
    connection.answer(session, &payload);
    call.wait().expect("an answer");
    connection
}

#[test]
fn a_peer_that_does_not_answer_the_hello_is_unreachable_with_that_cause() {
    let (gate, peer) = (start(1), Peer::listen());
    reload(&gate, map_of("db", &peer.address()));
    let call = gate
        .client()
        .node("db")
        .timeout(Duration::from_millis(200))
        .call("@echo", &1);
    let _connection = peer.accept_silent();
    let error = call.wait().unwrap_err();
    assert_eq!(error.code(), "unreachable", "{error}");
    assert!(error.to_string().contains("hello"), "{error}");
    assert!(!error.may_have_run());
}

#[test]
fn a_call_to_a_silent_peer_is_a_timeout_at_its_deadline() {
    let (gate, peer) = (start(2), Peer::listen());
    let mut connection = connect(&gate, &peer);
    let silent = std::thread::spawn(move || {
        let first = connection.read_request();
        let second = connection.read_request();
        (connection, first, second)
    });
    run(&gate, |caller| async move {
        let started = Instant::now();
        let call = |milliseconds| {
            let db = caller.node("db");
            db.call("@echo", &milliseconds)
                .timeout(Duration::from_millis(milliseconds))
        };
        let errors = all(&caller, [call(100), call(300)]).await;
        for (outcome, timeout_ms) in errors.into_iter().zip([100, 300]) {
            let target = "db @echo".into();
            assert_eq!(outcome, Err(Error::Timeout { target, timeout_ms }));
        }
        assert!(
            started.elapsed() >= Duration::from_millis(280),
            "{:?}",
            started.elapsed()
        );
    });
    // Late answers are dropped and counted, and the connection serves the next call.
    let (mut connection, first, second) = silent.join().expect("two requests come");
    connection.answer(first.0, &first.1);
    connection.answer(second.0, &second.1);
    let call = gate.client().node("db").timeout(TIMEOUT).call("@echo", "third");
    let (session, payload) = connection.read_request();
    connection.answer(session, &payload);
    assert_eq!(
        call.wait().expect("an answer").unpack::<String>(),
        Ok("third".to_owned())
    );
    assert_eq!(gate.metrics().connections_lost.get(), 0);
    assert_eq!(gate.metrics().replies_late.get(), 2);
}

#[test]
fn calls_have_the_nodes_deadline_unless_they_say_otherwise() {
    let gate = builder(1)
        .call_timeout(Duration::from_millis(120))
        .start()
        .expect("a node starts");
    let peer = Peer::listen();
    let _connection = connect(&gate, &peer);
    let started = Instant::now();
    run(&gate, |caller| async move {
        let error = caller.node("db").call("@echo", &1).await.unwrap_err();
        let target = "db @echo".into();
        assert_eq!(
            error,
            Error::Timeout {
                target,
                timeout_ms: 120
            }
        );
        assert!(error.may_have_run());
        let proxy = caller.cluster().proxy("db", "@echo").await.expect("a proxy");
        assert_eq!(caller.call(proxy, &1).await.unwrap_err().code(), "timeout");
    });
    assert!(
        started.elapsed() >= Duration::from_millis(220),
        "{:?}",
        started.elapsed()
    );
}
