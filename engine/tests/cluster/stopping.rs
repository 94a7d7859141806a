//! A node stops soon, whatever is in flight, and no call waits in vain for it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use skyring::Error;

use crate::cluster::{map_of, reload};
use crate::node::{TIMEOUT, wait_until};
use crate::peer::Peer;
use crate::support::{pair, serve_gate};

/// Far longer than a stop takes, which is a second at most, and far shorter than any deadline here.
const STOP_TIME: Duration = Duration::from_secs(5);

#[test]
fn a_node_with_calls_in_flight_stops_and_its_callers_get_that_error() {
    let (gate, db) = pair();
    let ((_, at_gate), (_, at_db)) = (serve_gate(&gate), serve_gate(&db));
    let silent = Peer::listen();
    reload(
        &gate,
        map_of("silent", &silent.address())
            .with("down", "127.0.0.1:1")
            .expect("a map"),
    );
    let client = gate.client();
    let mut calls = Vec::new();
    for _ in 0..20 {
        calls.push(client.call("@gate", "WAIT"));
        for node in ["db", "silent", "down", "absent"] {
            calls.push(client.node(node).timeout(TIMEOUT * 10).call("@gate", "WAIT"));
        }
    }
    let work = gate
        .run(|caller| async move { caller.call("@gate", "WAIT").await })
        .expect("the job is accepted");
    wait_until("the calls run", || {
        at_gate.load(Ordering::Acquire) == 21 && at_db.load(Ordering::Acquire) == 20
    });
    let started = Instant::now();
    gate.stop();
    assert!(started.elapsed() < STOP_TIME, "{:?}", started.elapsed());
    for call in calls {
        assert_eq!(call.wait().unwrap_err(), Error::ShuttingDown);
    }
    // It learns that its call has ended, or is cut off before.
    let ended = work.recv_timeout(TIMEOUT).ok();
    assert!(
        matches!(ended, None | Some(Err(Error::ShuttingDown))),
        "{ended:?}"
    );
}

#[test]
fn calls_to_a_node_that_stops_fail_long_before_their_deadline() {
    let (gate, db) = pair();
    let (_, waiting) = serve_gate(&db);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            gate.client()
                .node("db")
                .timeout(TIMEOUT * 10)
                .call("@gate", "WAIT")
        })
        .collect();
    wait_until("the calls run", || waiting.load(Ordering::Acquire) == 20);
    let started = Instant::now();
    db.stop();
    for call in calls {
        let error = call.wait().unwrap_err();
        assert!(error.may_have_run(), "{error}");
    }
    assert!(started.elapsed() < STOP_TIME, "{:?}", started.elapsed());
}

#[test]
fn a_call_through_a_stopped_node_fails_with_that_error() {
    let (gate, _db) = pair();
    let client = gate.client();
    gate.stop();
    assert_eq!(
        client.node("db").call("@echo", &1).wait().unwrap_err(),
        Error::ShuttingDown
    );
    assert_eq!(client.call(".echo", &1).wait().unwrap_err(), Error::ShuttingDown);
}
