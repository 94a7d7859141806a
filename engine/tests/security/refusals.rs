//! Nodes that do not have the secret: their calls fail with the reason, they do not try in a storm, and others go on.

use std::time::{Duration, Instant};

use skyring::log::Destination;
use skyring::{Error, Node};

use crate::node::run;
use crate::start::builder;
use crate::support::{OTHER, SECRET, WHILE, ask, closed, counter, dialling, security, serving, wait_for};

/// The reason for which calls are denied.
fn reason(node: &Node) -> String {
    match ask(node) {
        Err(Error::Denied { reason }) => reason.to_string(),
        other => panic!("{other:?} instead of a refusal"),
    }
}

#[test]
fn a_node_with_another_secret_is_denied_with_the_reason_and_others_go_on() {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let (db, address) = serving(closed(1).log_to(Destination::File(log.path().to_owned())));
    let gate = dialling(closed(1), &address);
    assert_eq!(ask(&gate), Ok("db".to_owned()));
    let wrong = dialling(builder(1).security(security(&[OTHER])), &address);
    let reason = reason(&wrong);
    assert!(
        reason.starts_with("node db: ")
            && reason.ends_with("it refuses this node: a proof with another cluster secret"),
        "{reason}"
    );
    // The first attempts follow each other quickly, and then the pause grows: no storm.
    std::thread::sleep(WHILE);
    let denied = counter(&db, "connections_other_secret");
    assert!((1..=8).contains(&denied), "{denied} attempts");
    assert_eq!(counter(&wrong, "connects_denied"), denied);
    assert_eq!(ask(&gate), Ok("db".to_owned()));
    assert_eq!(counter(&db, "connections_malformed"), 0);
    wrong.stop();
    gate.stop();
    db.stop();
    let log = std::fs::read_to_string(log.path()).expect("the log");
    let lines = log
        .lines()
        .filter(|line| line.contains("is denied: a proof with another cluster secret"));
    assert_eq!(lines.count(), 1, "{log}");
    assert!(!log.contains(SECRET) && !log.contains(OTHER));
}

#[test]
fn a_node_without_a_secret_is_denied_and_so_is_one_by_it() {
    let (closed_db, closed_address) = serving(closed(1));
    let open_gate = dialling(builder(1), &closed_address);
    assert!(reason(&open_gate).ends_with("it refuses this node: no proof of the cluster secret"));
    wait_for(
        &closed_db,
        "connections_without_secret",
        counter(&open_gate, "connects_denied"),
    );

    let (open_db, open_address) = serving(builder(1));
    let closed_gate = dialling(closed(1), &open_address);
    assert!(reason(&closed_gate).ends_with("this node does not trust it: no proof of the cluster secret"));
    assert!(counter(&closed_gate, "connects_unproved") > 0);
    assert_eq!(counter(&open_db, "requests_refused"), 0);
    for node in [open_gate, closed_db, closed_gate, open_db] {
        node.stop();
    }
}

#[test]
fn calls_that_wait_are_denied_at_once_and_not_at_their_deadline() {
    let (db, address) = serving(closed(2));
    let wrong = dialling(builder(2).security(security(&[OTHER])).channels(4), &address);
    let began = Instant::now();
    let denied = run(&wrong, |caller| async move {
        let calls = (0..40u64).map(|key| {
            let call = caller.node("db").key(key).call("@echo", "who");
            call.timeout(Duration::from_secs(600))
        });
        let mut denied = 0;
        for call in calls {
            denied += u32::from(matches!(call.await, Err(Error::Denied { .. })));
        }
        denied
    });
    assert_eq!(denied, 40);
    assert!(began.elapsed() < Duration::from_secs(60));
    wrong.stop();
    db.stop();
}

#[test]
fn a_node_that_answers_under_another_name_gets_no_call() {
    let (db, address) = serving(closed(1).name("db2"));
    let gate = dialling(closed(1), &address);
    let reason = reason(&gate);
    assert!(
        reason.contains("node \"db2\" answers at the address of \"db\""),
        "{reason}"
    );
    assert!(counter(&gate, "connects_misled") > 0);
    gate.stop();
    db.stop();
}

#[test]
fn a_node_that_gets_the_secret_is_served_after_that() {
    let port = crate::support::reserved();
    let wrong = builder(1).security(security(&[OTHER]));
    let db = crate::support::serving_at(wrong, &port);
    let gate = dialling(closed(1), &port);
    let _ = reason(&gate);
    db.stop();
    let db = crate::support::serving_at(closed(1), &port);
    crate::node::wait_until("the node is trusted", || ask(&gate).is_ok());
    gate.stop();
    db.stop();
}
