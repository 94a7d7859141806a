//! Nodes that come, go, come back as another process, move, and are turned off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use skyring::{ClusterMap, NodeChange, NodeState};

use crate::cluster::{Echo, map_of, reload, serve, who};
use crate::events::Events;
use crate::node::{TIMEOUT, run, wait_until};
use crate::ports::{ReservedPort, open_at};
use crate::start::start;
use crate::watching::{state, watchful, with_long_timeout};

#[test]
fn a_node_that_goes_is_down_with_the_cause_and_restarted_when_another_process_answers() {
    for threads in [1, 3] {
        let gate = watchful(threads);
        let port = ReservedPort::new();
        reload(&gate, map_of("db", &port.address()));
        let events = Events::of(&gate, "db");
        let down = events.wait_for(&[NodeChange::Down]);
        assert!(down.cause.contains("refused"), "{}", down.cause);
        assert!(down.cause.contains(&port.address()), "{}", down.cause);
        let expected = [NodeChange::Up, NodeChange::Restarted, NodeChange::Restarted];
        for change in expected {
            let db = start(threads);
            serve(&db, "echo", |_| Echo("db"));
            open_at(&db, &port.address()).expect("the port is free");
            // There are no calls: the probe finds it.
            let event = events.wait_for(&[NodeChange::Up, NodeChange::Restarted]);
            assert_eq!(event.change, change, "{}", event.cause);
            run(&gate, |caller| async move {
                assert_eq!(who(&caller, "db").await, Ok("db".to_owned()));
            });
            assert_eq!(state(&gate, "db"), NodeState::Up);
            drop(db);
            let down = events.wait_for(&[NodeChange::Down]);
            assert!(!down.cause.is_empty());
        }
        assert_eq!(gate.metrics().nodes_restarted.get(), 2);
    }
}

#[test]
fn a_broken_connection_that_is_reconnected_at_once_marks_no_node_down() {
    let (gate, db) = (with_long_timeout(2), start(2));
    serve(&db, "echo", |_| Echo("db"));
    // A relay, which can cut the connection of two live nodes.
    let relay = Relay::to(crate::cluster::open(&db));
    reload(&gate, map_of("db", &relay.address));
    let events = Events::of(&gate, "db");
    assert_eq!(events.next().change, NodeChange::Up);
    for _ in 0..5 {
        relay.cut();
        let suspect = events.wait_for(&[NodeChange::Suspect]);
        assert!(!suspect.cause.is_empty());
        let event = events.next();
        let seen = (event.change, event.cause);
        assert_eq!(seen.0, NodeChange::Up, "{} after {}", seen.1, suspect.cause);
    }
    run(&gate, |caller| async move {
        assert_eq!(who(&caller, "db").await, Ok("db".to_owned()));
    });
    assert_eq!(gate.metrics().nodes_down.get(), 0);
}

#[test]
fn all_shards_see_the_same_changes_in_the_same_order() {
    let gate = watchful(4);
    let port = ReservedPort::new();
    let listeners: Vec<Events> = (0..8).map(|_| Events::of(&gate, "db")).collect();
    reload(&gate, map_of("db", &port.address()));
    let mut seen = vec![Vec::new(); listeners.len()];
    for _ in 0..3 {
        let db = start(4);
        open_at(&db, &port.address()).expect("the port is free");
        for (events, seen) in listeners.iter().zip(&mut seen) {
            loop {
                let event = events.next();
                seen.push((event.change, event.cause.to_string(), event.time));
                if matches!(event.change, NodeChange::Up | NodeChange::Restarted) {
                    break;
                }
            }
        }
        drop(db);
        for (events, seen) in listeners.iter().zip(&mut seen) {
            let event = events.wait_for(&[NodeChange::Suspect, NodeChange::Down]);
            seen.push((event.change, event.cause.to_string(), event.time));
        }
    }
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:#?}");
}

#[test]
fn the_state_of_a_node_that_has_moved_or_is_disabled_starts_anew() {
    let (gate, db) = (watchful(3), start(1));
    serve(&db, "echo", |_| Echo("db"));
    let unused = ReservedPort::new();
    reload(&gate, map_of("db", &unused.address()));
    let events = Events::of(&gate, "db");
    events.wait_for(&[NodeChange::Down]);
    // A call right after the reload goes to the new address.
    reload(&gate, map_of("db", &crate::cluster::open(&db)));
    let answer = gate
        .client()
        .node("db")
        .timeout(TIMEOUT)
        .call("@echo", "who")
        .wait();
    assert_eq!(answer.expect("an answer").unpack::<String>(), Ok("db".to_owned()));
    events.wait_for(&[NodeChange::Forgotten]);
    events.wait_for(&[NodeChange::Up]);
    reload(&gate, ClusterMap::new().disable("db"));
    let event = events.wait_for(&[NodeChange::Forgotten]);
    assert!(event.cause.contains("turned it off"), "{}", event.cause);
    assert_eq!(state(&gate, "db"), NodeState::Unknown);
    let error = gate.client().node("db").call("@echo", &1).wait().unwrap_err();
    assert_eq!(error.code(), "disabled");
}

#[test]
fn both_ends_dialling_each_other_at_once_are_both_up() {
    let (left, right) = (with_long_timeout(2), with_long_timeout(2));
    serve(&left, "echo", |_| Echo("left"));
    serve(&right, "echo", |_| Echo("right"));
    let (at_left, at_right) = (crate::cluster::open(&left), crate::cluster::open(&right));
    let (to_right, to_left) = (Events::of(&left, "right"), Events::of(&right, "left"));
    reload(&left, map_of("right", &at_right));
    reload(&right, map_of("left", &at_left));
    let calls: Vec<_> = (0..50)
        .flat_map(|_| {
            let call = |node: &skyring::Node, name: &'static str| {
                node.client().node(name).timeout(TIMEOUT).call("@echo", "who")
            };
            [(call(&left, "right"), "right"), (call(&right, "left"), "left")]
        })
        .collect();
    for (call, name) in calls {
        assert_eq!(
            call.wait().expect("an answer").unpack::<String>(),
            Ok(name.to_owned())
        );
    }
    for events in [to_right, to_left] {
        events.wait_for(&[NodeChange::Up]);
    }
    for node in [&left, &right] {
        assert_eq!(node.metrics().connections_accepted.get(), 1);
        assert_eq!(node.metrics().nodes_suspected.get(), 0);
    }
}

#[test]
fn calls_that_wait_for_a_node_fail_when_it_is_marked_down_and_sends_keep_waiting() {
    let gate = watchful(2);
    let port = ReservedPort::new();
    reload(&gate, map_of("db", &port.address()));
    let client = gate.client();
    run(&gate, |caller| async move {
        caller.node("db").send("@echo", "kept").expect("it is packed");
    });
    let calls: Vec<_> = (0..50)
        .map(|number| client.node("db").timeout(TIMEOUT * 10).call("@echo", &number))
        .collect();
    for call in calls {
        let error = call.wait().unwrap_err();
        assert_eq!(
            (error.code(), error.may_have_run()),
            ("unreachable", false),
            "{error}"
        );
        assert!(error.to_string().contains("refused"), "{error}");
    }
    assert_eq!(gate.metrics().sends_dropped.get(), 0);
    let db = start(1);
    let has_come = Arc::new(AtomicBool::new(false));
    run(&db, {
        let has_come = Arc::clone(&has_come);
        |caller| async move {
            let sink = caller.launch(move |_| Sink(has_come)).await.expect("it launches");
            caller
                .cluster()
                .register("echo", Some(sink))
                .expect("a free name");
        }
    });
    open_at(&db, &port.address()).expect("the port is free");
    wait_until("the send has come", || has_come.load(Ordering::Acquire));
}

/// Notes that something has come.
struct Sink(Arc<AtomicBool>);

impl skyring::Service for Sink {
    fn handle(&mut self, _context: &skyring::Context<Self>, message: skyring::Message) -> skyring::Answer {
        assert_eq!(message.unpack::<&str>(), Ok("kept"));
        self.0.store(true, Ordering::Release);
        skyring::Answer::none()
    }
}

/// Passes bytes on between a node and its peer.
struct Relay {
    address: String,
    streams: Arc<std::sync::Mutex<Vec<std::net::TcpStream>>>,
}

impl Relay {
    fn to(target: String) -> Relay {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let streams: Arc<std::sync::Mutex<Vec<std::net::TcpStream>>> = Arc::default();
        let kept = Arc::clone(&streams);
        // Ends with the process.
        std::thread::spawn(move || {
            for inside in listener.incoming().flatten() {
                let Ok(outside) = std::net::TcpStream::connect(&target) else {
                    continue;
                };
                kept.lock()
                    .expect("no panic with the lock")
                    .extend([clone(&inside), clone(&outside)]);
                for (from, to) in [(&inside, &outside), (&outside, &inside)] {
                    let (mut from, mut to) = (clone(from), clone(to));
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Both);
                    });
                }
            }
        });
        Relay { address, streams }
    }

    /// Cuts every connection.
    fn cut(&self) {
        for stream in self.streams.lock().expect("no panic with the lock").drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn clone(stream: &std::net::TcpStream) -> std::net::TcpStream {
    stream.try_clone().expect("a descriptor")
}
