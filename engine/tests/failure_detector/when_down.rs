//! Calls that wait for a node that is down: they are answered when it is back, once, in order, by real nodes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use skyring::config::WhenDown;
use skyring::{Answer, ClusterMap, Context, Message, Node, NodeState, Service};

use crate::cluster::{map_of, reload, serve};
use crate::node::{TIMEOUT, run, wait_until};
use crate::peer::Peer;
use crate::ports::{ReservedPort, open_at};
use crate::start::{builder, start};

/// Records the key and the number of each call, and answers with the number.
struct Recording(Arc<Mutex<Vec<(u64, u64)>>>);

impl Service for Recording {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        match message.unpack::<(u64, u64)>() {
            Ok(call) => {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
                Answer::now(&call.1)
            }
            Err(error) => Answer::error(error),
        }
    }
}

/// A node with a short time until a silent peer is down.
fn gate(threads: usize, map: ClusterMap) -> Node {
    builder(threads)
        .channels(4)
        .down_after(Duration::from_millis(200))
        .map(map)
        .start()
        .expect("a node starts")
}

fn wait_until_down(gate: &Node) {
    run(gate, |caller| async move {
        caller.cluster().monitor("db").expect("there is room");
    });
    wait_until("the node is down", || {
        run(gate, |caller| async move {
            caller.cluster().state("db") == NodeState::Down
        })
    });
}

#[test]
fn a_call_to_a_node_that_is_down_is_answered_once_by_its_next_process_in_the_order_of_its_key() {
    let port = ReservedPort::new();
    let map = map_of("db", &port.address());
    let gate = gate(2, map);
    for _ in 0..2 {
        wait_until_down(&gate);
        let refused = gate.client().node("db").call("@record", &(0, 0)).wait();
        assert_eq!(refused.expect_err("it fails at once").code(), "unreachable");
        let call = |number: u64| {
            let node = gate.client().node("db").key(number % 8).timeout(TIMEOUT * 2);
            let node = node.when_down(WhenDown::Wait);
            node.call("@record", &(number % 8, number))
        };
        let mut calls: Vec<_> = (0..2_000).map(call).collect();
        let (db, record) = (start(2), Arc::new(Mutex::new(Vec::new())));
        let service = Recording(Arc::clone(&record));
        serve(&db, "record", |_| service);
        open_at(&db, &port.address()).expect("the port is free");
        calls.extend((2_000..3_000).map(call));
        for (number, call) in calls.into_iter().enumerate() {
            assert_eq!(call.wait().expect("an answer").unpack::<usize>(), Ok(number));
        }
        let record = record.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert_eq!(record.len(), 3_000, "each has run once");
        for key in 0..8 {
            let numbers = record
                .iter()
                .filter(|(own, _)| *own == key)
                .map(|(_, number)| number);
            assert!(numbers.is_sorted(), "the calls of key {key} are out of order");
        }
        db.stop();
    }
}

#[test]
fn a_call_to_a_skynet_node_that_is_down_waits_for_it() {
    let peer = Peer::listen();
    let address = peer.address();
    drop(peer);
    let map = ClusterMap::parse(&format!("db = \"{address}\" __when_down = \"wait\""), "map");
    let gate = gate(1, map.expect("a map"));
    wait_until_down(&gate);
    let calls: Vec<_> = (0..3)
        .map(|number| gate.client().node("db").timeout(TIMEOUT).call("@record", &number))
        .collect();
    // The port was free a moment ago, and a listener that is reloaded needs no fixed one.
    let peer = Peer::listen();
    reload(&gate, map_of("db", &peer.address()));
    let mut connection = peer.accept();
    for (number, call) in calls.into_iter().enumerate() {
        let (session, payload) = connection.read_request();
        connection.answer(session, &payload);
        assert_eq!(call.wait().expect("an answer").unpack::<usize>(), Ok(number));
    }
}
