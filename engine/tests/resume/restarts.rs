//! A node that returns as another process: calls that were sent to it may have run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use skyring::{Answer, Node};

use crate::cluster::{Echo, map_of, open, reload, serve, who};
use crate::cutter::{Cut, Cutter};
use crate::gate::Gate;
use crate::handler::Handler;
use crate::node::{TIMEOUT, run, wait_until};
use crate::start::start;

/// Registers a service that never answers, and counts its calls.
fn serve_silent(node: &Node, seen: &Arc<AtomicUsize>) {
    let waiting = Arc::clone(seen);
    run(node, move |caller| async move {
        let gate = Gate::launch(&caller, waiting).await;
        caller
            .cluster()
            .register("work", Some(gate))
            .expect("a free name");
    });
}

#[test]
fn calls_to_a_restarted_node_fail_unless_they_may_run_twice() {
    let (first, second, gate) = (start(1), start(1), start(1));
    let seen = Arc::new(AtomicUsize::new(0));
    serve_silent(&first, &seen);
    serve(&second, "work", |_| {
        Handler(|_: &skyring::Caller, _| Answer::now("from the second"))
    });
    serve(&second, "echo", |_| Echo("second"));
    let cutter = Cutter::to(&open(&first));
    reload(&gate, map_of("db", &cutter.address()));
    let db = gate.client().node("db").timeout(TIMEOUT * 2);
    let once = db.call("@work", "WAIT");
    let again = db.clone().idempotent().call("@work", "WAIT");
    wait_until("both calls have arrived", || seen.load(Ordering::Acquire) == 2);
    cutter.set_target(&open(&second));
    cutter.cut(Cut::Both);
    let error = once.wait().unwrap_err();
    assert_eq!(
        (error.code(), error.may_have_run()),
        ("restarted", true),
        "{error}"
    );
    let reply = again.wait().expect("it is sent again");
    assert_eq!(reply.unpack::<String>(), Ok("from the second".to_owned()));
    run(&gate, |caller| async move {
        assert_eq!(who(&caller, "db").await, Ok("second".to_owned()));
    });
}

#[test]
fn a_call_whose_time_is_over_before_the_reconnect_says_that_it_may_have_run() {
    let (db, gate) = (start(1), start(1));
    let seen = Arc::new(AtomicUsize::new(0));
    serve_silent(&db, &seen);
    let cutter = Cutter::to(&open(&db));
    reload(&gate, map_of("db", &cutter.address()));
    let time = std::time::Duration::from_millis(1_500);
    let sent = gate.client().node("db").timeout(time).call("@work", "WAIT");
    wait_until("the call has arrived", || seen.load(Ordering::Acquire) == 1);
    cutter.set_target("127.0.0.1:1");
    cutter.cut(Cut::Both);
    let error = sent.wait().unwrap_err();
    assert_eq!(
        (error.code(), error.may_have_run()),
        ("connection-lost", true),
        "{error}"
    );
}
