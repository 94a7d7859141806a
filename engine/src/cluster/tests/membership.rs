//! The failure detector and monitors, in virtual time.

use super::peers::{Callee, next_dial};
use super::{Cluster, DOWN_AFTER_MS, map};
use crate::cluster::membership::detector::{NodeChange, NodeState};
use crate::rt::manual;

#[test]
fn a_node_that_refuses_connections_is_marked_down_in_time_and_its_calls_fail_at_once() {
    let cluster = Cluster::new(map("db", "127.0.0.1:7101"));
    let call = cluster.call("db", "hello");
    let mut attempts = 0;
    for _ in 0..DOWN_AFTER_MS {
        for dial in manual::dials() {
            dial.refuse();
            attempts += 1;
        }
        cluster.pass(1);
    }
    cluster.pass(2);
    assert_eq!(cluster.state("db"), NodeState::Down);
    assert_eq!(cluster.error_code(call), Some("unreachable"));
    let next = cluster.call("db", "again");
    assert_eq!(cluster.error_code(next), Some("unreachable"));
    assert!(
        (3..30).contains(&attempts),
        "{attempts} attempts: with pauses that grow"
    );
}

#[test]
fn a_probe_brings_a_node_back_without_a_call() {
    let cluster = Cluster::new(map("db", "127.0.0.1:7101"));
    cluster.call("db", "hello");
    while cluster.state("db") != NodeState::Down {
        manual::dials().into_iter().for_each(manual::Dial::refuse);
        cluster.pass(1);
    }
    let _db = Callee::accept_as(&cluster, next_dial(&cluster), 7, 1);
    assert_eq!(cluster.state("db"), NodeState::Up);
}

#[test]
fn a_silent_peer_is_suspect_then_down_and_an_unanswered_call_says_that_it_may_have_run() {
    let cluster = Cluster::new(map("db", "127.0.0.1:7101"));
    let call = cluster.call("db", "hello");
    let mut db = Callee::accept(&cluster);
    assert_eq!(db.texts(&cluster), ["hello"]);
    // The peer sends nothing more, not even pongs.
    cluster.pass(DOWN_AFTER_MS / 2 + 10);
    assert_eq!(cluster.state("db"), NodeState::Suspect);
    cluster.pass(DOWN_AFTER_MS / 2 + 10);
    assert_eq!(cluster.state("db"), NodeState::Down);
    let error = cluster
        .outcome(call)
        .expect("the call has failed")
        .expect_err("with an error");
    assert!(error.may_have_run(), "{error}");
}

#[test]
fn a_peer_that_answers_pings_stays_up_without_calls() {
    let cluster = Cluster::new(map("db", "127.0.0.1:7101"));
    cluster.call("db", "hello");
    let mut db = Callee::accept(&cluster);
    assert_eq!(db.texts(&cluster), ["hello"]);
    db.answer_pings(&cluster, 10 * DOWN_AFTER_MS);
    assert_eq!(cluster.state("db"), NodeState::Up);
    assert!(manual::dials().is_empty());
}

#[test]
fn a_goodbye_marks_the_node_down_at_once_and_answers_in_flight_still_arrive() {
    let cluster = Cluster::new(map("db", "127.0.0.1:7101"));
    let call = cluster.call("db", "last");
    let mut db = Callee::accept(&cluster);
    let request = &db.requests(&cluster)[0];
    db.send_goodbye(&cluster);
    assert_eq!(cluster.state("db"), NodeState::Down);
    db.answer(&cluster, request, "done");
    assert_eq!(cluster.outcome(call), Some(Ok("done".to_owned())));
    assert!(db.remote.is_shut_down());
    let next = cluster.call("db", "next");
    assert_eq!(cluster.error_code(next), Some("unreachable"));
}

#[test]
fn a_monitor_receives_each_change_once_and_in_order() {
    let cluster = Cluster::new(map("db", "127.0.0.1:7101"));
    let monitor = cluster.room().monitor(cluster.shard(), "db".into());
    let mut monitor = monitor.expect("there is space for a monitor");
    cluster.settle();
    // There are no calls: the monitor alone makes the node connect.
    let mut db = Callee::accept(&cluster);
    db.send_goodbye(&cluster);
    let _db = Callee::accept_as(&cluster, next_dial(&cluster), 8, 1);
    let changes: Vec<NodeChange> = std::iter::from_fn(|| monitor.take())
        .map(|event| event.change)
        .collect();
    assert_eq!(changes, [NodeChange::Up, NodeChange::Down, NodeChange::Restarted]);
}
