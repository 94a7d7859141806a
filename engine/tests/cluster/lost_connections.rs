//! When a connection breaks, sent calls fail and may have run, and unsent calls wait for the reconnect.

use skyring::{Error, Payload};

use crate::cluster::{Echo, map_of, reload, serve};
use crate::node::{TIMEOUT, wait_until};
use crate::peer::Peer;
use crate::ports::{ReservedPort, open_at};
use crate::start::start;
use crate::support::ask;

#[test]
fn a_sent_call_fails_when_its_connection_breaks_and_may_have_run() {
    let (gate, peer) = (start(1), Peer::listen());
    reload(&gate, map_of("db", &peer.address()));
    let calls: Vec<_> = (0..10)
        .map(|number| {
            gate.client()
                .node("db")
                .timeout(TIMEOUT * 10)
                .call("@echo", &number)
        })
        .collect();
    let mut connection = peer.accept();
    for _ in 0..10 {
        connection.read_request();
    }
    drop(connection);
    for call in calls {
        let error = call.wait().unwrap_err();
        assert_eq!(error.code(), "connection-lost", "{error}");
        assert!(
            error.may_have_run() && error.to_string().contains("db"),
            "{error}"
        );
    }
    wait_until("the loss is counted", || {
        gate.metrics().connections_lost.get() == 1
    });
    // There are no calls, but the node probes for the peer.
    let mut connection = peer.accept();
    let call = gate.client().node("db").timeout(TIMEOUT).call("@echo", &11);
    let (session, payload) = connection.read_request();
    connection.answer(session, &payload);
    assert_eq!(call.wait().expect("an answer").unpack::<i64>(), Ok(11));
}

#[test]
fn a_call_that_was_not_sent_is_sent_after_the_reconnect() {
    let (gate, peer) = (start(1), Peer::listen());
    reload(&gate, map_of("db", &peer.address()));
    let db = gate.client().node("db").timeout(TIMEOUT);
    // Far more than the sockets hold, so that the next calls are not sent.
    let large = db.call("@echo", "x".repeat(16 << 20).as_str());
    let small: Vec<_> = (0..5).map(|number| db.call("@echo", &number)).collect();
    let mut connection = peer.accept();
    connection.read_bytes(1_000);
    drop(connection);
    let error = large.wait().unwrap_err();
    assert_eq!(
        (error.code(), error.may_have_run()),
        ("connection-lost", true),
        "{error}"
    );
    let mut connection = peer.accept();
    for (number, call) in small.into_iter().enumerate() {
        let (session, payload) = connection.read_request();
        let request = Payload(payload.clone().into());
        assert_eq!(request.unpack::<usize>(), Ok(number), "in their order");
        connection.answer(session, &payload);
        assert_eq!(call.wait().expect("an answer").unpack::<usize>(), Ok(number));
    }
}

#[test]
fn a_node_that_restarts_is_reached_again_by_the_same_caller() {
    let gate = start(2);
    let port = ReservedPort::new();
    reload(&gate, map_of("db", &port.address()));
    for _round in 0..3 {
        // The call is made before the node starts.
        let early = gate.client().node("db").timeout(TIMEOUT).call("@echo", "who");
        let db = start(1);
        serve(&db, "echo", |_| Echo("db"));
        open_at(&db, &port.address()).expect("the port is free again");
        assert_eq!(
            early.wait().expect("an answer").unpack::<String>(),
            Ok("db".to_owned())
        );
        assert_eq!(ask(&gate, "db"), Ok("db".to_owned()));
        // It ends without a goodbye, like a killed process.
        drop(db);
    }
}

#[test]
fn a_peer_that_does_not_speak_the_protocol_loses_its_connection_and_the_next_one_works() {
    let (gate, peer) = (start(1), Peer::listen());
    reload(&gate, map_of("db", &peer.address()));
    let db = gate.client().node("db").timeout(TIMEOUT);
    let call = db.call("@echo", &1);
    let mut connection = peer.accept();
    connection.read_request();
    connection.write_bytes(&[0, 5, 1, 0, 0, 0, 99]);
    let error = call.wait().unwrap_err();
    assert!(
        matches!(
            error,
            Error::ConnectionLost {
                may_have_run: true,
                ..
            }
        ),
        "{error}"
    );
    connection.wait_closed();
    let call = db.call("@echo", &2);
    let mut connection = peer.accept();
    let (session, payload) = connection.read_request();
    connection.answer(session, &payload);
    assert_eq!(call.wait().expect("an answer").unpack::<i64>(), Ok(2));
}
