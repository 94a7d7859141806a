//! Channels that are not used are closed, and opened again when they are.

use super::peers::{Callee, only_dial};
use super::{Cluster, map};
use crate::cluster::membership::detector::NodeState;
use crate::core::slab::Key;
use crate::rt::manual;
use skyring_codec::Millis;

const IDLE_CLOSE_MS: Millis = 10_000;

fn cluster(down_after_ms: Millis) -> Cluster {
    Cluster::with(1, map("db", "127.0.0.1:7101"), |settings| {
        settings.idle_close_ms = IDLE_CLOSE_MS;
        settings.down_after_ms = down_after_ms;
    })
}

/// Answers the one request that waits.
fn answer(cluster: &Cluster, db: &mut Callee, call: Key) {
    let request = &db.requests(cluster)[0];
    db.answer(cluster, request, "answer");
    assert_eq!(cluster.outcome(call), Some(Ok("answer".to_owned())));
}

#[test]
fn an_unused_channel_is_closed_without_a_fault_and_the_next_call_opens_it_again() {
    for down_after_ms in [0, 2_000] {
        let cluster = cluster(down_after_ms);
        for epoch_is_kept in [true, false] {
            let call = cluster.call("db", "hello");
            let mut db = Callee::accept_as(&cluster, only_dial(), 7 + u64::from(!epoch_is_kept), 1);
            answer(&cluster, &mut db, call);
            assert_eq!(cluster.state("db"), NodeState::Up);
            db.answer_pings(&cluster, IDLE_CLOSE_MS - 1_000);
            assert!(!db.remote.is_shut_down(), "it is not unused for long enough");
            db.answer_pings(&cluster, 2_000);
            assert!(db.remote.is_shut_down());
            db.remote.close();
            assert_eq!(cluster.state("db"), NodeState::Unknown);
            cluster.pass(5_000);
            assert!(manual::dials().is_empty(), "it connects only when it is used");
        }
        let metrics = &cluster.shard().node.metrics;
        assert_eq!(
            (metrics.connections_lost.get(), metrics.nodes_suspected.get()),
            (0, 0)
        );
    }
}

#[test]
fn a_channel_that_is_used_or_waits_for_an_answer_or_is_monitored_stays() {
    let cluster = cluster(2_000);
    let call = cluster.call("db", "hello");
    let mut db = Callee::accept_as(&cluster, only_dial(), 7, 1);
    answer(&cluster, &mut db, call);
    for _ in 0..5 {
        db.answer_pings(&cluster, IDLE_CLOSE_MS * 2 / 3);
        let call = cluster.call("db", "hello");
        answer(&cluster, &mut db, call);
    }
    let slow = cluster.call("db", "slow");
    let request = db.requests(&cluster).remove(0);
    db.answer_pings(&cluster, IDLE_CLOSE_MS * 2);
    db.answer(&cluster, &request, "answer");
    assert_eq!(cluster.outcome(slow), Some(Ok("answer".to_owned())));
    cluster
        .room()
        .monitor(cluster.shard(), "db".into())
        .expect("there is room");
    cluster.settle();
    db.answer_pings(&cluster, IDLE_CLOSE_MS * 3);
    assert!(!db.remote.is_shut_down());
}

#[test]
fn a_call_while_the_channel_is_closing_waits_for_its_next_connection() {
    let cluster = cluster(0);
    let call = cluster.call("db", "hello");
    let mut db = Callee::accept_as(&cluster, only_dial(), 7, 1);
    answer(&cluster, &mut db, call);
    db.answer_pings(&cluster, 1_000);
    // The last bytes of the connection are not taken.
    db.remote.set_room(0);
    cluster.pass(IDLE_CLOSE_MS);
    let call = cluster.call("db", "late");
    db.remote.set_room(usize::MAX);
    db.remote.close();
    cluster.settle();
    let mut db = Callee::accept_as(&cluster, only_dial(), 7, 1);
    answer(&cluster, &mut db, call);
}
