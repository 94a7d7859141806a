//! Several channels to one peer: agreed on in the first handshake, used by key, in order from the first call on.

use skyring::{Answer, Caller, DialectChoice, Node, OpenOptions};

use crate::cluster::{map_of, reload};
use crate::handler::launch;
use crate::node::{run, wait_until};
use crate::recorder::Record;
use crate::start::{builder, start};
use crate::support::serve_record;

/// A node with an echo and a recorder, whose listener offers `channels` channels; its address and its record.
fn serve(threads: usize, channels: Option<u32>) -> (Node, String, Record) {
    let node = start(threads);
    let record = serve_record(&node, "recorder");
    let address = run(&node, move |caller: Caller| async move {
        let echo = launch(&caller, |_, message| Answer::payload(message.payload)).await;
        caller.cluster().register("echo", Some(echo)).expect("registered");
        let options = OpenOptions {
            channels,
            ..OpenOptions::default()
        };
        let address = caller.cluster().open_with(0, options).await.expect("open");
        format!("127.0.0.1:{}", address.port())
    });
    (node, address, record)
}

/// Calls with keys 0..64 and returns the peer's number of connections.
fn connections_after_keyed_calls(gate: &Node, db: &Node) -> u64 {
    run(gate, |caller: Caller| async move {
        for key in 0..64u64 {
            let reply = caller
                .node("db")
                .key(key)
                .call("@echo", &key)
                .await
                .expect("an answer");
            assert_eq!(reply.unpack::<u64>(), Ok(key));
        }
    });
    db.metrics().connections_accepted.get()
}

#[test]
fn the_number_of_channels_is_the_lower_of_the_two_ends_numbers() {
    for (offered, wanted, agreed) in [
        (None, None, 1),
        (Some(4), None, 4),
        (None, Some(3), 3),
        (Some(4), Some(2), 2),
        (Some(2), Some(8), 2),
    ] {
        let (db, address, _) = serve(2, offered);
        let gate = match wanted {
            Some(wanted) => builder(2).channels(wanted),
            None => builder(2),
        };
        let gate = gate.start().expect("a node starts");
        reload(&gate, map_of("db", &address));
        assert_eq!(
            connections_after_keyed_calls(&gate, &db),
            agreed,
            "{offered:?} {wanted:?}"
        );
    }
}

#[test]
fn the_map_sets_the_number_of_channels_at_both_ends_and_overrides_the_config() {
    let (db, address, _) = serve(2, None);
    let map = |channels: &str| {
        let text = format!("{channels} db = '{address}'");
        skyring::ClusterMap::parse(&text, "map").expect("a map")
    };
    let gate = builder(2).channels(8).start().expect("a node starts");
    reload(&gate, map("__channels = { db = 3 }"));
    assert_eq!(connections_after_keyed_calls(&gate, &db), 3);
    // The map entry that a node opens determines how many channels it offers.
    let port = crate::ports::ReservedPort::new();
    let address = port.address();
    let text = format!("db = '{address}' __channels = {{ db = 2 }}");
    let node = builder(2).start().expect("a node starts");
    reload(&node, skyring::ClusterMap::parse(&text, "map").expect("a map"));
    run(&node, |caller: Caller| async move {
        let echo = launch(&caller, |_, message| Answer::payload(message.payload)).await;
        caller.cluster().register("echo", Some(echo)).expect("registered");
        caller.cluster().open("db", None).await.expect("open");
    });
    let gate = builder(2).start().expect("a node starts");
    reload(&gate, map_of("db", &address));
    assert_eq!(connections_after_keyed_calls(&gate, &node), 2);
}

#[test]
fn a_node_that_speaks_only_the_skynet_dialect_has_one_channel() {
    let (db, address, _) = serve(2, Some(4));
    let gate = builder(2)
        .dialect(DialectChoice::Skynet)
        .start()
        .expect("a node starts");
    reload(&gate, map_of("db", &address));
    assert_eq!(connections_after_keyed_calls(&gate, &db), 1);
}

#[test]
fn messages_of_one_key_arrive_in_order_from_the_first_on() {
    const KEYS: i64 = 8;
    const SENDS: i64 = 500;
    let (_db, address, record) = serve(3, Some(4));
    let gate = builder(3).start().expect("a node starts");
    reload(&gate, map_of("db", &address));
    // Senders on every shard begin before the first handshake: their first messages are pending until the number of
    // channels is known, and the next ones must not overtake them.
    let senders: Vec<_> = (0..KEYS)
        .map(|key| {
            gate.run(move |caller: Caller| async move {
                let node = caller.node("db").key(key as u64);
                for number in 0..SENDS {
                    // Sizes below and above the limits of copies and of single reads.
                    let filler = "x".repeat(if number % 50 == 0 { 100_000 } else { 10 });
                    node.send("@recorder", &(key * SENDS + number, filler.as_str()))
                        .expect("it can be packed");
                    if number % 20 == 0 {
                        caller.sleep(std::time::Duration::from_millis(1)).await;
                    }
                }
            })
            .expect("it begins")
        })
        .collect();
    for sender in senders {
        sender.recv().expect("it ends");
    }
    wait_until("everything has arrived", || record.len() as i64 == KEYS * SENDS);
    let mut next = [0; KEYS as usize];
    for number in record.numbers() {
        let key = (number / SENDS) as usize;
        assert_eq!(number % SENDS, next[key], "key {key}");
        next[key] += 1;
    }
}
