//! Calls to a node that is down: they fail, or wait until it is up again.

use std::rc::Rc;

use super::peers::{Callee, next_dial, text};
use super::{CALL_TIMEOUT_MS, Cluster, map};
use crate::cluster::membership::detector::NodeState;
use crate::config::{ClusterMap, WhenDown};
use crate::core::payload::Payload;
use crate::core::request::ReplyTo;
use crate::core::settings::DialectChoice;
use crate::core::slab::Key;
use crate::rt::manual;
use skyring_codec::link::RELEASE_PAUSE_MS;

const ADDRESS: &str = "127.0.0.1:7101";

/// A map with one node, whose calls wait for it.
fn waiting() -> ClusterMap {
    let source = format!("db = \"{ADDRESS}\"\n__when_down = {{ db = \"wait\" }}");
    ClusterMap::parse(&source, "test").expect("a map")
}

/// Refuses connections until the state is `down`, and drops what is not accepted afterwards.
fn refuse_until_down(cluster: &Cluster, node: &str) {
    for _ in 0..10_000 {
        if cluster.state(node) == NodeState::Down {
            return;
        }
        manual::dials().into_iter().for_each(manual::Dial::refuse);
        cluster.pass(1);
    }
    panic!("{node} is {:?}", cluster.state(node));
}

/// A cluster whose node was reached, and is down now.
fn down(map: ClusterMap) -> Cluster {
    let cluster = Cluster::new(map);
    let call = cluster.call("db", "first");
    let mut db = Callee::accept(&cluster);
    let request = &db.requests(&cluster)[0];
    db.answer(&cluster, request, "answer");
    assert!(cluster.outcome(call).is_some_and(|outcome| outcome.is_ok()));
    db.remote.close();
    refuse_until_down(&cluster, "db");
    cluster
}

fn call(cluster: &Cluster, text: &str, when_down: WhenDown) -> Key {
    cluster.call_with("db", |request| {
        request.payload = Payload::pack(text).expect("a text");
        request.when_down = Some(when_down);
    })
}

fn send(cluster: &Cluster, text: &str) {
    cluster.call_with("db", |request| {
        request.payload = Payload::pack(text).expect("a text");
        request.reply_to = ReplyTo::Nobody;
    });
}

#[test]
fn a_waiting_call_keeps_its_order_with_sends_and_later_calls_and_runs_once() {
    let cluster = down(waiting());
    let first = cluster.call("db", "1");
    send(&cluster, "2");
    cluster.pass(5_000);
    let third = cluster.call("db", "3");
    assert_eq!((cluster.outcome(first), cluster.outcome(third)), (None, None));
    let mut db = Callee::accept_as(&cluster, next_dial(&cluster), 8, 1);
    let later = cluster.call("db", "4");
    let requests = db.requests(&cluster);
    assert_eq!(
        requests.iter().map(text).collect::<Vec<_>>(),
        ["1", "2", "3", "4"]
    );
    for request in requests.iter().filter(|request| request.session != 0) {
        db.answer(&cluster, request, &text(request));
    }
    for (call, text) in [(first, "1"), (third, "3"), (later, "4")] {
        assert_eq!(cluster.outcome(call), Some(Ok(text.to_owned())));
    }
    cluster.pass(100);
    assert!(db.texts(&cluster).is_empty(), "nothing comes twice");
}

#[test]
fn calls_fail_unless_the_config_the_map_or_the_call_says_that_they_wait_the_nearest_of_these_first() {
    let calls = |cluster: &Cluster| {
        [None, Some(WhenDown::Fail), Some(WhenDown::Wait)].map(|when_down| {
            let call = cluster.call_with("db", |request| request.when_down = when_down);
            cluster.error_code(call)
        })
    };
    let unreachable = Some("unreachable");
    let cluster = down(map("db", ADDRESS));
    assert_eq!(calls(&cluster), [unreachable, unreachable, None]);
    cluster.reload(ClusterMap::parse("__when_down = \"wait\"", "test").expect("a map"));
    assert_eq!(calls(&cluster), [None, unreachable, None]);
    cluster.reload(ClusterMap::parse("__when_down = { db = \"fail\" }", "test").expect("a map"));
    assert_eq!(calls(&cluster), [unreachable, unreachable, None]);
    drop(manual::dials());

    let cluster = Cluster::with(1, map("db", ADDRESS), |settings| {
        settings.when_down = WhenDown::Wait
    });
    let call = cluster.call("db", "hello");
    refuse_until_down(&cluster, "db");
    assert_eq!(calls(&cluster), [None, unreachable, None]);
    assert_eq!(cluster.outcome(call), None);
}

#[test]
fn when_a_node_goes_down_the_calls_that_wait_for_it_stay_and_the_others_fail() {
    let cluster = Cluster::new(map("db", ADDRESS));
    let waits = call(&cluster, "waits", WhenDown::Wait);
    let fails = call(&cluster, "fails", WhenDown::Fail);
    let waits_for_room = cluster.call_with("db", |request| {
        request.waits = true;
        request.when_down = Some(WhenDown::Wait);
        request.payload = Payload::pack("for room").expect("a text");
    });
    refuse_until_down(&cluster, "db");
    assert_eq!(cluster.error_code(fails), Some("unreachable"));
    let mut db = Callee::accept_as(&cluster, next_dial(&cluster), 7, 1);
    assert_eq!(db.texts(&cluster), ["waits", "for room"]);
    assert_eq!(
        (cluster.outcome(waits), cluster.outcome(waits_for_room)),
        (None, None)
    );
}

#[test]
fn a_waiting_call_ends_with_its_deadline_and_has_not_run() {
    let cluster = down(waiting());
    let call = cluster.call_within("db", "late", 700);
    let long = cluster.call("db", "in time");
    cluster.pass(699);
    assert_eq!(cluster.outcome(call), None);
    cluster.pass(2);
    let error = cluster
        .outcome(call)
        .expect("it has ended")
        .expect_err("with an error");
    assert_eq!((error.code(), error.may_have_run()), ("unreachable", false));
    let mut db = Callee::accept_as(&cluster, next_dial(&cluster), 8, 1);
    assert_eq!(db.texts(&cluster), ["in time"]);
    cluster.pass(CALL_TIMEOUT_MS);
    assert!(cluster.outcome(long).is_some());
}

#[test]
fn past_the_bound_of_the_out_buffer_calls_are_refused_while_the_node_is_down() {
    let cluster = down(waiting());
    let large = Payload::pack(&"x".repeat(1 << 20)).expect("a text");
    let mut waiting = Vec::new();
    let refused = loop {
        let call = cluster.call_with("db", |request| request.payload = large.clone());
        match cluster.error_code(call) {
            Some(code) => break code,
            None => waiting.push(call),
        }
        assert!(waiting.len() < 100, "the buffer has a bound");
    };
    assert_eq!((refused, waiting.len()), ("overloaded", 63));
    let mut db = Callee::accept_as(&cluster, next_dial(&cluster), 8, 1);
    let mut arrived = 0;
    for _ in 0..100 {
        arrived += db.requests(&cluster).len();
        cluster.pass(1);
    }
    assert_eq!(arrived, 63, "none is lost");
}

#[test]
fn a_node_that_is_back_gets_the_waiting_calls_in_steps_and_later_ones_behind_them() {
    let cluster = down(waiting());
    for number in 0..3_000 {
        cluster.call("db", &number.to_string());
    }
    let mut db = Callee::accept_as(&cluster, next_dial(&cluster), 8, 1);
    let mut steps = Vec::new();
    let mut texts = Vec::new();
    for number in 3_000..3_100 {
        let step = db.texts(&cluster);
        steps.extend((!step.is_empty()).then_some(step.len()));
        texts.extend(step);
        if number < 3_010 {
            cluster.call("db", &number.to_string());
        }
        cluster.pass(RELEASE_PAUSE_MS);
    }
    assert_eq!(steps[..3], [256, 512, 1_024]);
    let expected: Vec<String> = (0..3_010).map(|number| number.to_string()).collect();
    assert_eq!(texts, expected);
}

#[test]
fn calls_wait_for_a_node_that_was_never_reached() {
    let cluster = Cluster::with(1, waiting(), |settings| settings.channels = None);
    let first = cluster.call("db", "before it is down");
    refuse_until_down(&cluster, "db");
    let second = cluster.call("db", "while it is down");
    let fails = call(&cluster, "fails", WhenDown::Fail);
    assert_eq!(cluster.error_code(fails), Some("unreachable"));
    cluster.pass(3_000);
    assert_eq!((cluster.outcome(first), cluster.outcome(second)), (None, None));
    let mut db = Callee::accept_as(&cluster, next_dial(&cluster), 7, 1);
    let third = cluster.call("db", "when it is up");
    let requests = db.requests(&cluster);
    let texts: Vec<String> = requests.iter().map(text).collect();
    assert_eq!(texts, ["before it is down", "while it is down", "when it is up"]);
    for request in &requests {
        db.answer(&cluster, request, "answer");
    }
    assert!(
        [first, second, third]
            .iter()
            .all(|call| cluster.outcome(*call) == Some(Ok("answer".to_owned())))
    );
}

#[test]
fn calls_wait_for_a_skynet_node_except_those_of_which_a_byte_was_sent() {
    let cluster = Cluster::with(1, waiting(), |settings| settings.dialect = DialectChoice::Skynet);
    let sent = cluster.call("db", "sent");
    let mut db = Callee::accept_skynet(&cluster, manual::dials().remove(0));
    assert_eq!(db.texts(&cluster), ["sent"]);
    db.remote.close();
    cluster.settle();
    let error = cluster
        .outcome(sent)
        .expect("it has ended")
        .expect_err("with an error");
    assert_eq!((error.code(), error.may_have_run()), ("connection-lost", true));
    let first = cluster.call("db", "1");
    refuse_until_down(&cluster, "db");
    let second = cluster.call("db", "2");
    let mut db = Callee::accept_skynet(&cluster, next_dial(&cluster));
    let requests = db.requests(&cluster);
    assert_eq!(requests.iter().map(text).collect::<Vec<_>>(), ["1", "2"]);
    for request in &requests {
        db.answer(&cluster, request, &text(request));
    }
    assert_eq!(cluster.outcome(first), Some(Ok("1".to_owned())));
    assert_eq!(cluster.outcome(second), Some(Ok("2".to_owned())));
}

#[test]
fn calls_that_a_killed_node_may_have_run_fail_when_another_process_answers_and_the_others_go_there() {
    let cluster = Cluster::new(waiting());
    let sent = cluster.call("db", "sent");
    let mut db = Callee::accept(&cluster);
    assert_eq!(db.texts(&cluster), ["sent"]);
    db.remote.close();
    refuse_until_down(&cluster, "db");
    assert_eq!(cluster.outcome(sent), None, "the same process may come back");
    let waits = cluster.call("db", "waits");
    let mut db = Callee::accept_as(&cluster, next_dial(&cluster), 8, 1);
    assert_eq!(db.texts(&cluster), ["waits"]);
    let error = cluster
        .outcome(sent)
        .expect("it has ended")
        .expect_err("with an error");
    assert_eq!((error.code(), error.may_have_run()), ("restarted", true));
    assert_eq!(cluster.outcome(waits), None);
}

#[test]
fn an_idempotent_call_that_a_killed_node_may_have_run_goes_to_the_next_process_before_those_that_wait() {
    let cluster = Cluster::new(waiting());
    let sent = cluster.call_with("db", |request| {
        request.payload = Payload::pack("sent").expect("a text");
        request.is_idempotent = true;
    });
    let mut db = Callee::accept(&cluster);
    assert_eq!(db.texts(&cluster), ["sent"]);
    db.remote.close();
    refuse_until_down(&cluster, "db");
    let waits = cluster.call("db", "waits");
    let mut db = Callee::accept_as(&cluster, next_dial(&cluster), 8, 1);
    let requests = db.requests(&cluster);
    let texts: Vec<String> = requests.iter().map(text).collect();
    assert_eq!(texts, ["sent", "waits"]);
    for request in &requests {
        db.answer(&cluster, request, "answer");
    }
    for call in [sent, waits] {
        assert_eq!(cluster.outcome(call), Some(Ok("answer".to_owned())));
    }
}

#[test]
fn calls_wait_for_a_node_that_has_said_goodbye_and_go_to_its_next_process() {
    let cluster = Cluster::new(waiting());
    cluster.call("db", "first");
    let mut db = Callee::accept(&cluster);
    let request = &db.requests(&cluster)[0];
    db.send_goodbye(&cluster);
    assert_eq!(cluster.state("db"), NodeState::Down);
    let waits = cluster.call("db", "waits");
    db.answer(&cluster, request, "answer");
    db.remote.close();
    let mut db = Callee::accept_as(&cluster, next_dial(&cluster), 8, 1);
    assert_eq!(db.texts(&cluster), ["waits"]);
    assert_eq!(cluster.outcome(waits), None);
}

#[test]
fn a_node_that_is_turned_off_ends_the_wait() {
    let cluster = down(waiting());
    let call = cluster.call("db", "hello");
    cluster.reload(ClusterMap::new().disable("db"));
    assert_eq!(cluster.error_code(call), Some("disabled"));
}

#[test]
fn calls_that_wait_go_to_the_new_address_of_a_node_that_moves() {
    let cluster = down(waiting());
    cluster.call("db", "hello");
    cluster.reload(map("db", "127.0.0.1:7102"));
    let dial = next_dial(&cluster);
    assert_eq!(dial.address.port(), 7_102);
    let mut db = Callee::accept_as(&cluster, dial, 8, 1);
    assert_eq!(db.texts(&cluster), ["hello"]);
}

/// Two members, of which the second one comes back first.
#[test]
fn a_call_to_a_group_waits_only_while_all_members_are_down_and_goes_to_the_first_that_is_up() {
    let source = r#"
        db1 = "127.0.0.1:7101"
        db2 = "127.0.0.1:7102"
        __groups = { db = { "db1", "db2" } }
        __when_down = { db = "wait" }
    "#;
    let groups = ClusterMap::parse(source, "test").expect("a map");
    let cluster = Rc::new(Cluster::with(1, groups, |settings| settings.channels = None));
    let first = cluster.call("db", "1");
    for node in ["db1", "db2"] {
        refuse_until_down(&cluster, node);
    }
    cluster.settle();
    let second = cluster.call("db", "2");
    let late = cluster.call_within("db", "late", 300);
    let fails = call(&cluster, "fails", WhenDown::Fail);
    cluster.pass(302);
    assert_eq!(cluster.error_code(fails), Some("unreachable"));
    assert_eq!(cluster.error_code(late), Some("unreachable"));
    assert_eq!((cluster.outcome(first), cluster.outcome(second)), (None, None));
    let dial = loop {
        let dial = next_dial(&cluster);
        match dial.address.port() {
            7_102 => break dial,
            _ => dial.refuse(),
        }
    };
    let mut db2 = Callee::accept_as(&cluster, dial, 7, 1);
    let third = cluster.call("db", "3");
    let requests = db2.requests(&cluster);
    assert_eq!(requests.iter().map(text).collect::<Vec<_>>(), ["1", "2", "3"]);
    for request in &requests {
        db2.answer(&cluster, request, &text(request));
    }
    for (call, text) in [(first, "1"), (second, "2"), (third, "3")] {
        assert_eq!(cluster.outcome(call), Some(Ok(text.to_owned())));
    }
}
