//! A proxy is a local service that forwards to a service of another node.

use skyring::Error;

use crate::cluster::{Echo, map_of, open, reload, serve};
use crate::node::{TIMEOUT, run, wait_until};
use crate::start::start;
use crate::support::{pair, serve_record};

#[test]
fn a_proxy_forwards_calls_and_sends_and_gives_back_answers_and_errors() {
    let (gate, db) = pair();
    let record = serve_record(&db, "record");
    run(&gate, |caller| async move {
        let echo = caller.cluster().proxy("db", "@echo").await.expect("a proxy");
        let reply = caller
            .call(echo, &("x", 1))
            .timeout(TIMEOUT)
            .await
            .expect("an answer");
        assert_eq!(reply.unpack::<(&str, i64)>().expect("two values"), ("x", 1));
        let error = caller.call(echo, "fail").timeout(TIMEOUT).await.unwrap_err();
        assert_eq!(error, Error::remote("unknown command: fail"));
        let recorder = caller.cluster().proxy_of("db@record").await.expect("a proxy");
        for number in 0..50i64 {
            caller.send(recorder, &number).expect("a send");
        }
        let nobody = caller.cluster().proxy_of("db@nobody").await.expect("a proxy");
        let error = caller.call(nobody, &1).timeout(TIMEOUT).await.unwrap_err();
        assert_eq!(error.code(), "no-such-service");
    });
    wait_until("every send has arrived", || record.len() == 50);
    assert_eq!(record.numbers(), (0..50).collect::<Vec<i64>>());
}

#[test]
fn there_is_one_proxy_for_each_node_and_name() {
    let (gate, db) = (start(4), start(1));
    serve(&db, "echo", |_| Echo("db"));
    reload(&gate, map_of("db", &open(&db)));
    let mut handles = Vec::new();
    for _ in 0..8 {
        handles.push(run(&gate, |caller| async move {
            let cluster = caller.cluster();
            let whole = cluster.proxy_of("db@echo").await.expect("a proxy");
            let parts = cluster.proxy("db", "@echo").await.expect("a proxy");
            assert_eq!(whole, parts);
            let other = cluster.proxy_of("db.echo").await.expect("a proxy");
            assert_ne!(whole, other);
            // Many requests at once still get one proxy.
            let asked = (0..10).map(|_| {
                let caller = caller.clone();
                async move { caller.cluster().proxy_of("db@racing").await.expect("a proxy") }
            });
            let racing = crate::together::all(&caller, asked).await;
            assert!(racing.iter().all(|proxy| *proxy == racing[0]));
            (whole, other, racing[0])
        }));
    }
    assert!(handles.iter().all(|handle| *handle == handles[0]), "{handles:?}");
}

#[test]
fn a_text_without_a_node_or_a_name_makes_no_proxy() {
    let (gate, _db) = pair();
    run(&gate, |caller| async move {
        for text in ["", "db", "@echo", ".echo", "db@", "db."] {
            let error = caller.cluster().proxy_of(text).await.unwrap_err();
            assert_eq!(error.code(), "invalid", "{text}");
        }
    });
}
