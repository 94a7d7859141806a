//! Channels to other nodes, and pending requests.

use super::peers::{Callee, only_dial, text};
use super::{Cluster, map};
use crate::cluster::dialling::channel::MOVE_TIME_MS_MAX;
use crate::config::ClusterMap;
use crate::core::payload::Payload;
use crate::rt::manual;

#[test]
fn calls_that_wait_for_the_first_handshake_arrive_in_their_order_and_are_answered() {
    let cluster = Cluster::with(1, map("db", "127.0.0.1:7101"), |settings| {
        settings.channels = None
    });
    let calls = ["one", "two", "three"].map(|text| cluster.call("db", text));
    let mut db = Callee::accept(&cluster);
    let requests = db.requests(&cluster);
    assert_eq!(
        requests.iter().map(text).collect::<Vec<_>>(),
        ["one", "two", "three"]
    );
    for request in &requests {
        db.answer(&cluster, request, &format!("{}!", text(request)));
    }
    let answers = calls.map(|call| cluster.outcome(call).expect("an answer").expect("no error"));
    assert_eq!(answers, ["one!", "two!", "three!"]);
}

#[test]
fn a_reload_during_a_connect_repeats_it_at_the_new_address() {
    let cluster = Cluster::new(map("db", "127.0.0.1:7101"));
    let call = cluster.call("db", "hello");
    let old = only_dial();
    assert_eq!(old.address.port(), 7_101);
    cluster.reload(map("db", "127.0.0.1:7102"));
    // The old address answers too late.
    let stale = old.accept();
    cluster.settle();
    assert!(
        stale.is_shut_down() && stale.received().is_empty(),
        "nothing goes to the old address"
    );
    cluster.pass(100);
    let dial = only_dial();
    assert_eq!(dial.address.port(), 7_102);
    let mut db = Callee::accept_as(&cluster, dial, 7, 1);
    let request = &db.requests(&cluster)[0];
    db.answer(&cluster, request, "from the new address");
    assert_eq!(cluster.outcome(call), Some(Ok("from the new address".to_owned())));
}

#[test]
fn a_node_that_moves_gets_new_calls_at_its_new_address_and_answers_old_ones_from_the_old() {
    let cluster = Cluster::new(map("db", "127.0.0.1:7101"));
    let first = cluster.call("db", "first");
    let mut old = Callee::accept(&cluster);
    let request = &old.requests(&cluster)[0];
    cluster.reload(map("db", "127.0.0.1:7102"));
    let second = cluster.call("db", "second");
    // What it has received is acknowledged, so the new address need not wait for the answer.
    old.answer_pings(&cluster, 100);
    let mut new = Callee::accept(&cluster);
    assert_eq!(new.texts(&cluster), ["second"]);
    old.answer(&cluster, request, "old");
    assert_eq!(cluster.outcome(first), Some(Ok("old".to_owned())));
    old.answer_pings(&cluster, 100);
    assert!(
        old.remote.is_shut_down(),
        "the retired channel ends with its last answer"
    );
    assert_eq!(cluster.outcome(second), None);
}

#[test]
fn calls_after_a_move_wait_until_the_old_address_has_received_those_before() {
    let cluster = Cluster::new(map("db", "127.0.0.1:7101"));
    cluster.call("db", "first");
    let mut old = Callee::accept(&cluster);
    assert_eq!(old.texts(&cluster), ["first"]);
    // It stands still: what comes now lies unread in its socket.
    cluster.call("db", "second");
    cluster.reload(map("db", "127.0.0.1:7102"));
    cluster.call("db", "third");
    cluster.pass(500);
    assert!(
        manual::dials().is_empty(),
        "the third call would overtake the second"
    );
    assert_eq!(old.texts(&cluster), ["second"]);
    old.answer_pings(&cluster, 100);
    let mut new = Callee::accept(&cluster);
    assert_eq!(new.texts(&cluster), ["third"]);
}

#[test]
fn calls_after_a_move_do_not_wait_for_ever_for_an_old_address_that_stands_still() {
    let cluster = Cluster::new(map("db", "127.0.0.1:7101"));
    cluster.call("db", "first");
    let _old = Callee::accept(&cluster);
    cluster.reload(map("db", "127.0.0.1:7102"));
    let call = cluster.call("db", "second");
    cluster.pass(MOVE_TIME_MS_MAX - 100);
    assert!(manual::dials().is_empty());
    cluster.pass(200);
    // The retired channel tries to reach the old address as well.
    let dial = manual::dials()
        .into_iter()
        .find(|dial| dial.address.port() == 7_102);
    let mut new = Callee::accept_as(&cluster, dial.expect("an attempt to connect"), 8, 1);
    let request = &new.requests(&cluster)[0];
    new.answer(&cluster, request, "new");
    assert_eq!(cluster.outcome(call), Some(Ok("new".to_owned())));
}

#[test]
fn calls_to_a_disabled_node_fail_at_once_whether_they_were_sent_or_not() {
    let cluster = Cluster::new(map("db", "127.0.0.1:7101"));
    let sent = cluster.call("db", "sent");
    let mut db = Callee::accept(&cluster);
    assert_eq!(db.texts(&cluster), ["sent"]);
    cluster.reload(ClusterMap::new().disable("db"));
    let error = cluster
        .outcome(sent)
        .expect("the call has failed")
        .expect_err("with an error");
    assert_eq!((error.code(), error.may_have_run()), ("disabled", true));
    let unsent = cluster.call("db", "unsent");
    let error = cluster
        .outcome(unsent)
        .expect("the call has failed")
        .expect_err("with an error");
    assert_eq!((error.code(), error.may_have_run()), ("disabled", false));
    cluster.pass(1_000);
    assert!(manual::dials().is_empty());
}

#[test]
fn a_reply_after_the_deadline_is_dropped_and_counted() {
    let cluster = Cluster::new(map("db", "127.0.0.1:7101"));
    let call = cluster.call_within("db", "slow", 100);
    let mut db = Callee::accept(&cluster);
    let request = &db.requests(&cluster)[0];
    cluster.pass(102);
    assert_eq!(cluster.error_code(call), Some("timeout"));
    db.answer(&cluster, request, "late");
    assert_eq!(cluster.shard().node.metrics.replies_late.get(), 1);
}

#[test]
fn a_full_out_buffer_refuses_calls_and_those_that_wait_are_sent_in_order() {
    let cluster = Cluster::new(map("db", "127.0.0.1:7101"));
    cluster.call("db", "first");
    let mut db = Callee::accept(&cluster);
    assert_eq!(db.texts(&cluster), ["first"]);
    // The peer stops reading, and large calls fill the out-buffer of the channel.
    db.remote.set_room(0);
    let large = "x".repeat(1 << 20);
    let mut sent = 0;
    let refused = loop {
        let call = cluster.call("db", &large);
        match cluster.error_code(call) {
            Some(code) => break code,
            None => sent += 1,
        }
        assert!(sent < 1_000, "the buffer has a bound");
    };
    assert_eq!(refused, "overloaded");
    let waiting: Vec<_> = (0..3)
        .map(|number| {
            cluster.call_with("db", |request| {
                request.waits = true;
                request.payload = Payload::pack(&format!("waits {number}")).expect("a text");
            })
        })
        .collect();
    assert!(waiting.iter().all(|call| cluster.outcome(*call).is_none()));
    db.remote.set_room(usize::MAX);
    let texts = db.texts(&cluster);
    assert_eq!(texts.len(), sent + 3);
    assert_eq!(texts[sent..], ["waits 0", "waits 1", "waits 2"]);
}

#[test]
fn a_call_for_a_node_that_is_not_in_the_map_waits_until_a_reload_names_it() {
    let cluster = Cluster::new(ClusterMap::new());
    let call = cluster.call("db", "early");
    let late = cluster.call_within("db", "impatient", 50);
    cluster.pass(51);
    assert_eq!(cluster.error_code(late), Some("absent"));
    assert!(manual::dials().is_empty());
    cluster.reload(map("db", "127.0.0.1:7101"));
    let mut db = Callee::accept(&cluster);
    let requests = db.requests(&cluster);
    assert_eq!(
        requests.len(),
        1,
        "the call whose deadline has passed is not sent"
    );
    db.answer(&cluster, &requests[0], "at last");
    assert_eq!(cluster.outcome(call), Some(Ok("at last".to_owned())));
}

#[test]
fn a_broken_connection_loses_no_call_and_repeats_none() {
    let cluster = Cluster::new(map("db", "127.0.0.1:7101"));
    let call = cluster.call("db", "once");
    let mut db = Callee::accept(&cluster);
    assert_eq!(db.texts(&cluster), ["once"]);
    db.remote.close();
    cluster.pass(100);
    // The same process answers without the session of the channel: the call may have run there.
    let _db = Callee::accept_as(&cluster, only_dial(), 7, 1);
    let error = cluster
        .outcome(call)
        .expect("the call has failed")
        .expect_err("with an error");
    assert_eq!((error.code(), error.may_have_run()), ("connection-lost", true));
}
