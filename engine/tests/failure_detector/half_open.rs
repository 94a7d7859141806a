//! A peer that keeps its connection and sends nothing is detected, and the calls to it fail with that cause.

use std::time::Duration;

use skyring::{Node, NodeChange, NodeState};

use crate::cluster::{map_of, reload};
use crate::events::{DOWN_AFTER, Events};
use crate::node::{TIMEOUT, wait_until};
use crate::peer::Peer;
use crate::watching::{once_of_several, state, watchful};

#[test]
fn a_peer_that_stops_answering_is_suspect_then_down_and_calls_to_it_fail_at_once() {
    let (gate, peer) = (watchful(2), Peer::listen());
    reload(&gate, map_of("db", &peer.address()));
    let events = Events::of(&gate, "db");
    let connection = peer.accept();
    assert_eq!(events.next().change, NodeChange::Up);
    // From here on the peer reads and writes nothing, but the connection stays.
    let sent = gate.client().node("db").timeout(TIMEOUT * 10).call("@echo", &1);
    let suspect = events.wait_for(&[NodeChange::Suspect]);
    assert!(suspect.cause.contains("no sign of life"), "{}", suspect.cause);
    let down = events.wait_for(&[NodeChange::Down]);
    assert!(down.cause.contains("no sign of life"), "{}", down.cause);
    assert!(down.time_ms() >= suspect.time_ms());
    let error = sent.wait().unwrap_err();
    assert_eq!((error.code(), error.may_have_run()), ("connection-lost", true));
    assert!(error.to_string().contains("no sign of life"), "{error}");
    // Calls without a deadline of their own, which would wait for 30 s: none waits.
    for _ in 0..100 {
        let error = gate.client().node("db").call("@echo", &2).wait().unwrap_err();
        assert_eq!(
            (error.code(), error.may_have_run()),
            ("unreachable", false),
            "{error}"
        );
        assert!(error.to_string().contains("no sign of life"), "{error}");
    }
    assert_eq!(state(&gate, "db"), NodeState::Down);
    assert!(gate.metrics().calls_refused_down.get() >= 100);
    // The probe continues, and its first success marks the node up.
    let mut back = peer.accept();
    let event = events.wait_for(&[NodeChange::Up]);
    assert!(event.cause.contains("answers again"), "{}", event.cause);
    let call = gate.client().node("db").timeout(TIMEOUT).call("@echo", "back");
    let (session, payload) = back.read_request();
    back.answer(session, &payload);
    assert_eq!(
        call.wait().expect("an answer").unpack::<String>(),
        Ok("back".to_owned())
    );
    // The peer's end of the old connection ends.
    connection.wait_closed();
}

#[test]
fn a_peer_that_accepts_and_never_answers_the_hello_is_down() {
    let (gate, peer) = (watchful(1), Peer::listen());
    reload(&gate, map_of("db", &peer.address()));
    let call = gate.client().node("db").timeout(TIMEOUT * 10).call("@echo", &1);
    let _connection = peer.accept_silent();
    let error = call.wait().unwrap_err();
    assert_eq!((error.code(), error.may_have_run()), ("unreachable", false));
    assert!(
        error.to_string().contains("has not answered the hello"),
        "{error}"
    );
    assert_eq!(state(&gate, "db"), NodeState::Down);
}

#[test]
fn a_peer_that_answers_its_pings_is_up_without_calls() {
    once_of_several(|| {
        let (gate, peer) = (watchful(1), Peer::listen());
        reload(&gate, map_of("db", &peer.address()));
        let events = Events::of(&gate, "db");
        let mut connection = peer.accept();
        for _ in 0..6 {
            let (session, payload) = connection.read_any();
            assert!(payload.ends_with(b"skyring.ping"), "{payload:?}");
            connection.answer_error(session, b"name not found");
        }
        assert_eq!(events.next().change, NodeChange::Up);
        check_stayed_up(&gate)
    });
}

#[test]
fn two_nodes_without_messages_stay_up() {
    once_of_several(|| {
        let (gate, db) = (watchful(2), crate::start::start(2));
        crate::cluster::serve(&db, "echo", |_| crate::cluster::Echo("db"));
        reload(&gate, map_of("db", &crate::cluster::open(&db)));
        let events = Events::of(&gate, "db");
        assert_eq!(events.next().change, NodeChange::Up);
        std::thread::sleep(DOWN_AFTER * 2);
        check_stayed_up(&gate)
    });
}

/// Whether `db` is up and was neither suspect nor lost.
fn check_stayed_up(gate: &Node) -> Result<(), String> {
    let (state, metrics) = (state(gate, "db"), gate.metrics());
    if (
        state,
        metrics.nodes_suspected.get(),
        metrics.connections_lost.get(),
    ) == (NodeState::Up, 0, 0)
    {
        return Ok(());
    }
    Err(format!("{state:?}, {metrics}"))
}

#[test]
fn a_peer_that_is_quiet_for_a_moment_is_suspect_and_then_up_on_the_same_connection() {
    once_of_several(|| {
        let (gate, peer) = (watchful(1), Peer::listen());
        reload(&gate, map_of("db", &peer.address()));
        let events = Events::of(&gate, "db");
        let mut connection = peer.accept();
        events.wait_for(&[NodeChange::Suspect]);
        let (session, _) = connection.read_any();
        connection.answer_error(session, b"name not found");
        let event = events.wait_for(&[NodeChange::Up, NodeChange::Down]);
        match (event.change, gate.metrics().connections_lost.get()) {
            (NodeChange::Up, 0) => Ok(()),
            seen => Err(format!("{seen:?}: {}", event.cause)),
        }
    });
}

#[test]
fn without_a_failure_detector_calls_wait_for_their_deadlines() {
    let gate = crate::start::builder(1)
        .down_after(Duration::ZERO)
        .start()
        .expect("a node starts");
    let peer = Peer::listen();
    reload(&gate, map_of("db", &peer.address()));
    let call = gate.client().node("db").timeout(DOWN_AFTER * 2).call("@echo", &1);
    let mut connection = peer.accept();
    connection.read_bytes(1);
    assert_eq!(call.wait().unwrap_err().code(), "timeout");
    let refused = crate::ports::ReservedPort::new();
    reload(&gate, map_of("refused", &refused.address()));
    let call = gate
        .client()
        .node("refused")
        .timeout(DOWN_AFTER)
        .call("@echo", &1);
    assert_eq!(call.wait().unwrap_err().code(), "unreachable");
    assert_eq!(gate.metrics().nodes_down.get(), 0);
    wait_until("the first attempts have failed", || {
        gate.metrics().connects_failed.get() > 1
    });
}
