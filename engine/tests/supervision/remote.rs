//! A watch of a service of another node ends once, with what is true.

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use skyring::{ClusterMap, End, Error, Node};

use crate::cluster::{Echo, map_of, open, reload, serve, who};
use crate::mortal::{Mortal, Record};
use crate::node::{TIMEOUT, run};
use crate::start::builder;

/// Two nodes, the first of which knows the second as `db`; and that one's address.
fn pair(threads: usize) -> (Node, Node, String) {
    let db = builder(threads).start().expect("a node");
    let address = open(&db);
    serve(&db, "echo", |_| Echo("db"));
    serve(&db, "mortal", |_| Mortal {
        name: "mortal",
        record: Record::default(),
        life: 1,
        failing_starts: 0,
        stop_time: None,
    });
    let gate = builder(threads)
        .down_after(Duration::from_millis(1_500))
        .start()
        .expect("a node");
    reload(&gate, map_of("db", &address));
    (gate, db, address)
}

/// Begins a watch on the first node; the channel gets how it ended.
fn watch(gate: &Node, address: &'static str) -> Receiver<Result<End, Error>> {
    let (sender, receiver) = sync_channel(1);
    let running = gate.run(move |caller| async move {
        let end = caller.node("db").watch(address).await;
        let _ = sender.send(end);
    });
    drop(running.expect("it runs"));
    // The watch is there once a call behind it was answered: both go through one channel, but not one shard.
    run(gate, |caller| async move {
        assert_eq!(who(&caller, "db").await.as_deref(), Ok("db"));
        caller.sleep(Duration::from_millis(50)).await;
    });
    receiver
}

#[test]
fn a_watch_across_nodes_resolves_with_how_the_service_ended() {
    for threads in [1, 3] {
        let (gate, db, _) = pair(threads);
        let watched = watch(&gate, "@mortal");
        let _ = run(&gate, |caller| async move {
            caller.node("db").call("@mortal", "PANIC").await
        });
        let end = watched.recv_timeout(TIMEOUT).expect("it ends");
        assert_eq!(
            end,
            Ok(End::Panicked {
                text: "told to".into()
            })
        );
        let end = run(
            &gate,
            |caller| async move { caller.node("db").watch("@mortal").await },
        );
        assert_eq!(end, Ok(End::NoSuchService));
        drop((gate, db));
    }
}

#[test]
fn a_node_that_stops_ends_the_watches_of_others_at_once() {
    let (gate, db, _) = pair(2);
    let watched = watch(&gate, "@mortal");
    db.stop();
    assert_eq!(
        watched.recv_timeout(TIMEOUT).expect("it ends"),
        Ok(End::NodeStopping)
    );
}

#[test]
fn a_node_that_is_down_ends_the_watch_and_a_new_watch_fails_fast() {
    let (gate, db, _) = pair(2);
    let watched = watch(&gate, "@mortal");
    // Without a goodbye, as after a crash.
    drop(db);
    let end = watched.recv_timeout(TIMEOUT).expect("it ends").expect("no error");
    assert_eq!(end.code(), "node-down", "{end}");
    let end = run(
        &gate,
        |caller| async move { caller.node("db").watch("@mortal").await },
    );
    assert_eq!(end.expect("no error").code(), "node-down");
}

#[test]
fn a_node_that_was_restarted_ends_the_watch_with_that_cause() {
    let (gate, db, address) = pair(2);
    let watched = watch(&gate, "@mortal");
    drop(db);
    let port: u16 = address
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port");
    let again = builder(2).start().expect("a node");
    let opened = run(&again, move |caller| async move {
        for _ in 0..1_000 {
            match caller.cluster().open(port, None).await {
                Ok(_) => return true,
                Err(_) => caller.sleep(Duration::from_millis(10)).await,
            }
        }
        false
    });
    assert!(opened, "the port is free again");
    let end = watched.recv_timeout(TIMEOUT).expect("it ends").expect("no error");
    // Slow machines may call it down before it is back.
    assert!(["node-restarted", "node-down"].contains(&end.code()), "{end}");
}

#[test]
fn a_node_that_the_map_disables_ends_the_watch() {
    let (gate, db, _) = pair(1);
    let watched = watch(&gate, "@mortal");
    reload(&gate, ClusterMap::new().disable("db"));
    let end = watched.recv_timeout(TIMEOUT).expect("it ends").expect("no error");
    assert!(
        end.code() == "node-down" && end.text().contains("disabled"),
        "{end}"
    );
    drop(db);
}
