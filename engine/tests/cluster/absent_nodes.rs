//! A call to a node that the map does not name waits for a reload that names it, or fails at once.

use std::time::{Duration, Instant};

use skyring::{ClusterMap, Error};

use crate::cluster::{Echo, map_of, open, reload, serve};
use crate::node::{TIMEOUT, run, wait_until};
use crate::start::start;
use crate::support::serve_record;

#[test]
fn a_call_waits_until_a_reload_names_its_node() {
    for threads in [1, 3] {
        let (gate, db) = (start(threads), start(1));
        serve(&db, "echo", |_| Echo("db"));
        let call = gate.client().node("db").timeout(TIMEOUT).call("@echo", "who");
        let from_service = gate
            .run(|caller| async move { caller.node("db").call("@echo", "who").timeout(TIMEOUT).await })
            .expect("the job is accepted");
        // A reload that does not name the node changes nothing for its pending calls.
        reload(&gate, map_of("other", "127.0.0.1:1"));
        assert!(from_service.recv_timeout(Duration::from_millis(30)).is_err());
        reload(&gate, map_of("db", &open(&db)));
        assert_eq!(
            call.wait().expect("an answer").unpack::<String>(),
            Ok("db".to_owned())
        );
        let reply = from_service
            .recv_timeout(TIMEOUT)
            .expect("the work ends")
            .expect("an answer");
        assert_eq!(reply.unpack::<String>(), Ok("db".to_owned()));
    }
}

#[test]
fn a_call_to_an_absent_node_fails_at_its_deadline() {
    let gate = start(2);
    run(&gate, |caller| async move {
        let started = Instant::now();
        let call = caller
            .node("nowhere")
            .call("@echo", &1)
            .timeout(Duration::from_millis(80));
        let error = call.await.unwrap_err();
        assert_eq!(
            error,
            Error::Absent {
                node: "nowhere".into()
            }
        );
        assert!(error.to_string().contains("cluster node [nowhere] is absent."));
        assert!(!error.may_have_run());
        assert!(
            started.elapsed() >= Duration::from_millis(60),
            "{:?}",
            started.elapsed()
        );
    });
}

#[test]
fn with_nowaiting_a_call_fails_at_once_and_so_do_pending_ones() {
    let gate = start(2);
    let waiting = gate
        .client()
        .node("nowhere")
        .timeout(TIMEOUT * 10)
        .call("@echo", &1);
    reload(
        &gate,
        ClusterMap::parse("__nowaiting = true", "map").expect("a map"),
    );
    assert_eq!(waiting.wait().unwrap_err().code(), "absent");
    run(&gate, |caller| async move {
        let call = caller.node("nowhere").call("@echo", &1).timeout(TIMEOUT * 10);
        assert_eq!(call.await.unwrap_err().code(), "absent");
        assert_eq!(
            caller.node("nowhere").call("@echo", &1).await.unwrap_err().code(),
            "absent"
        );
    });
    // A later reload can revert it.
    reload(
        &gate,
        ClusterMap::parse("__nowaiting = false", "map").expect("a map"),
    );
    run(&gate, |caller| async move {
        let started = Instant::now();
        let call = caller
            .node("nowhere")
            .call("@echo", &1)
            .timeout(Duration::from_millis(60));
        assert_eq!(call.await.unwrap_err().code(), "absent");
        assert!(
            started.elapsed() >= Duration::from_millis(40),
            "{:?}",
            started.elapsed()
        );
    });
}

#[test]
fn pending_requests_arrive_in_their_order_whatever_happens_meanwhile() {
    let (gate, db) = (start(1), start(1));
    let record = serve_record(&db, "record");
    let address = open(&db);
    run(&gate, |caller| async move {
        let db = caller.node("db");
        // Some time out while others wait, so that slots in between become free.
        let mut short = Vec::new();
        for number in 0..20i64 {
            if number % 3 == 0 {
                let call = db.call("@record", &-1).timeout(Duration::from_millis(20));
                short.push(call);
            }
            db.send("@record", &number).expect("it can be packed");
        }
        for outcome in crate::together::all(&caller, short).await {
            assert_eq!(outcome.unwrap_err().code(), "absent");
        }
        for number in 20..40i64 {
            db.send("@record", &number).expect("it can be packed");
        }
        for other in ["one", "two", "three"] {
            caller.cluster().reload(map_of(other, "127.0.0.1:1"));
        }
        for number in 40..60i64 {
            db.send("@record", &number).expect("it can be packed");
        }
        caller.cluster().reload(map_of("db", &address));
        for number in 60..80i64 {
            db.send("@record", &number).expect("it can be packed");
        }
    });
    wait_until("every send has arrived", || record.len() == 80);
    assert_eq!(record.numbers(), (0..80).collect::<Vec<i64>>());
}
