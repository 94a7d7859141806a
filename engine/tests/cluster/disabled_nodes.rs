//! `false` in the map disables a node at once, and an address enables it again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use skyring::{ClusterMap, Error};

use crate::cluster::{Echo, map_of, open, reload, serve};
use crate::node::{TIMEOUT, run, wait_until};
use crate::ports::ReservedPort;
use crate::start::start;
use crate::support::{ask, serve_gate};

fn off() -> ClusterMap {
    ClusterMap::new().disable("db")
}

fn disabled(may_have_run: bool) -> Error {
    Error::Disabled {
        node: "db".into(),
        may_have_run,
    }
}

#[test]
fn a_call_in_flight_fails_at_once_and_may_have_run() {
    for threads in [1, 3] {
        let (gate, db) = (start(threads), start(1));
        let (_, waiting) = serve_gate(&db);
        serve(&db, "echo", |_| Echo("db"));
        let address = open(&db);
        reload(&gate, map_of("db", &address));
        let call = gate
            .client()
            .node("db")
            .timeout(TIMEOUT * 10)
            .call("@gate", "WAIT");
        wait_until("the call runs", || waiting.load(Ordering::Acquire) == 1);
        reload(&gate, off());
        assert_eq!(call.wait().unwrap_err(), disabled(true));
        assert_eq!(ask(&gate, "db"), Err(disabled(false)));
        reload(&gate, map_of("db", &address));
        assert_eq!(ask(&gate, "db"), Ok("db".to_owned()));
    }
}

#[test]
fn a_call_that_waits_for_the_connection_fails_at_once_and_has_not_run() {
    for threads in [1, 3] {
        let (gate, db) = (start(threads), start(1));
        serve(&db, "echo", |_| Echo("db"));
        let port = ReservedPort::new();
        reload(&gate, map_of("db", &port.address()));
        let call = gate
            .client()
            .node("db")
            .timeout(TIMEOUT * 10)
            .call("@echo", "who");
        wait_until("an attempt has failed", || {
            gate.metrics().connects_failed.get() > 0
        });
        reload(&gate, off());
        assert_eq!(call.wait().unwrap_err(), disabled(false));
        // There are no pending calls, so there are no attempts.
        std::thread::sleep(Duration::from_millis(200));
        let attempts = gate.metrics().connects_failed.get();
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(gate.metrics().connects_failed.get(), attempts);
        reload(&gate, map_of("db", &open(&db)));
        assert_eq!(ask(&gate, "db"), Ok("db".to_owned()));
    }
}

#[test]
fn a_call_that_waits_for_the_map_fails_when_the_map_says_false() {
    let gate = start(2);
    let call = gate
        .client()
        .node("db")
        .timeout(TIMEOUT * 10)
        .call("@echo", "who");
    reload(&gate, off());
    assert_eq!(call.wait().unwrap_err(), disabled(false));
}

#[test]
fn a_reload_is_in_effect_on_every_shard_when_it_returns() {
    let (gate, db) = (start(4), start(1));
    serve(&db, "echo", |_| Echo("db"));
    let address = open(&db);
    // Each piece of work runs on the shard that its handle hashes to, so most rounds cross shards.
    for round in 0..150 {
        reload(&gate, map_of("db", &address));
        let answer = ask(&gate, "db");
        assert_eq!(answer, Ok("db".to_owned()), "round {round}");
        reload(&gate, off());
        let answer = ask(&gate, "db");
        assert_eq!(answer, Err(disabled(false)), "round {round}");
    }
}

#[test]
fn sends_to_a_disabled_node_are_counted() {
    let gate = start(1);
    reload(&gate, off());
    run(&gate, |caller| async move {
        for number in 0..10 {
            caller
                .node("db")
                .send("@echo", &number)
                .expect("it can be packed");
        }
    });
    assert_eq!(gate.metrics().sends_dropped.get(), 10);
}
