//! A call to a node that the map does not name waits for a reload that names it, or fails at once.

use std::time::{Duration, Instant};

use skyring::{ClusterMap, Error};

use crate::cluster::{Echo, map_of, open, reload, serve};
use crate::node::{PATIENCE, run, wait_until};
use crate::start::start;
use crate::support::serve_record;

#[test]
fn a_call_waits_until_a_reload_names_its_node() {
    for threads in [1, 3] {
        let (gate, db) = (start(threads), start(1));
        serve(&db, "echo", |_| Echo("db"));
        let call = gate.client().node("db").timeout(PATIENCE).call("@echo", "who");
        let from_service = gate
            .run(|caller| async move { caller.node("db").call("@echo", "who").timeout(PATIENCE).await })
            .expect("room for the work");
        // A reload that does not name it changes nothing for those who wait.
        reload(&gate, map_of("other", "127.0.0.1:1"));
        assert!(from_service.recv_timeout(Duration::from_millis(30)).is_err());
        reload(&gate, map_of("db", &open(&db)));
        assert_eq!(
            call.wait().expect("an answer").unpack::<String>(),
            Ok("db".to_owned())
        );
        let reply = from_service
            .recv_timeout(PATIENCE)
            .expect("the work ends")
            .expect("an answer");
        assert_eq!(reply.unpack::<String>(), Ok("db".to_owned()));
    }
}

#[test]
fn a_call_that_waits_in_vain_is_absent_at_its_deadline() {
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
fn with_nowaiting_a_call_fails_at_once_and_so_do_those_that_wait() {
    let gate = start(2);
    let waiting = gate
        .client()
        .node("nowhere")
        .timeout(PATIENCE * 10)
        .call("@echo", &1);
    reload(
        &gate,
        ClusterMap::parse("__nowaiting = true", "map").expect("a map"),
    );
    assert_eq!(waiting.wait().unwrap_err().code(), "absent");
    run(&gate, |caller| async move {
        let call = caller.node("nowhere").call("@echo", &1).timeout(PATIENCE * 10);
        assert_eq!(call.await.unwrap_err().code(), "absent");
        assert_eq!(
            caller.node("nowhere").call("@echo", &1).await.unwrap_err().code(),
            "absent"
        );
    });
    // And it can be taken back.
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
fn requests_that_waited_arrive_in_their_order_whatever_happened_meanwhile() {
    let (gate, db) = (start(1), start(1));
    let record = serve_record(&db, "record");
    let address = open(&db);
    run(&gate, |caller| async move {
        let db = caller.node("db");
        // Some give up while others wait, so that places in between become free.
        let mut impatient = Vec::new();
        for number in 0..20i64 {
            if number % 3 == 0 {
                let call = db.call("@record", &-1).timeout(Duration::from_millis(20));
                impatient.push(call);
            }
            db.send("@record", &number).expect("it can be packed");
        }
        for outcome in crate::together::all(&caller, impatient).await {
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
    wait_until("every send has come", || record.len() == 80);
    assert_eq!(record.numbers(), (0..80).collect::<Vec<i64>>());
}
