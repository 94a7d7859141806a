//! A call to an unreachable node waits for it until its deadline, and then fails with the cause.

use std::time::{Duration, Instant};

use crate::cluster::{Echo, map_of, reload, serve};
use crate::node::{TIMEOUT, run, wait_until};
use crate::ports::{ReservedPort, open_at};
use crate::start::start;
use crate::support::{ask, serve_record};

#[test]
fn a_call_waits_for_a_node_that_comes_up_before_its_deadline() {
    for threads in [1, 3] {
        let (gate, db) = (start(threads), start(1));
        let port = ReservedPort::new();
        reload(&gate, map_of("db", &port.address()));
        let calls: Vec<_> = (0..20)
            .map(|number| gate.client().node("db").timeout(TIMEOUT).call("@echo", &number))
            .collect();
        wait_until("two attempts have failed", || {
            gate.metrics().connects_failed.get() >= 2
        });
        serve(&db, "echo", |_| Echo("db"));
        open_at(&db, &port.address()).expect("the port is free");
        for (number, call) in calls.into_iter().enumerate() {
            assert_eq!(call.wait().expect("an answer").unpack::<usize>(), Ok(number));
        }
        assert_eq!(db.metrics().connections_accepted.get(), 1);
    }
}

#[test]
fn a_call_to_a_port_without_a_listener_is_unreachable_at_its_deadline_because_it_was_refused() {
    let gate = start(2);
    let port = ReservedPort::new();
    reload(&gate, map_of("db", &port.address()));
    run(&gate, move |caller| async move {
        for _ in 0..2 {
            let started = Instant::now();
            let call = caller
                .node("db")
                .call("@echo", &1)
                .timeout(Duration::from_millis(150));
            let error = call.await.unwrap_err();
            assert_eq!(error.code(), "unreachable", "{error}");
            assert!(error.to_string().contains("refused"), "{error}");
            assert!(error.to_string().contains(&port.address()), "{error}");
            assert!(!error.may_have_run());
            assert!(
                started.elapsed() >= Duration::from_millis(120),
                "{:?}",
                started.elapsed()
            );
        }
    });
}

#[test]
fn calls_that_time_out_before_the_connect_are_never_sent() {
    let (gate, db) = (start(1), start(1));
    let port = ReservedPort::new();
    reload(&gate, map_of("db", &port.address()));
    let record = serve_record(&db, "record");
    run(&gate, |caller| async move {
        let db = caller.node("db");
        let calls = (0..50i64).map(|number| db.call("@record", &number).timeout(Duration::from_millis(40)));
        for outcome in crate::together::all(&caller, calls).await {
            assert_eq!(outcome.unwrap_err().code(), "unreachable");
        }
    });
    open_at(&db, &port.address()).expect("the port is free");
    let reply = gate
        .client()
        .node("db")
        .timeout(TIMEOUT)
        .call("@record", &99)
        .wait();
    assert_eq!(reply.expect("an answer").unpack::<usize>(), Ok(1));
    assert_eq!(record.numbers(), [99]);
}

#[test]
fn a_host_name_is_looked_up() {
    let (gate, db) = (start(1), start(1));
    serve(&db, "echo", |_| Echo("db"));
    let port = ReservedPort::new();
    open_at(&db, &port.address()).expect("the port is free");
    let by_name = port.address().replace("127.0.0.1", "localhost");
    reload(&gate, map_of("db", &by_name));
    assert_eq!(ask(&gate, "db"), Ok("db".to_owned()));
}
