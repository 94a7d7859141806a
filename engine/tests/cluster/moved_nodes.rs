//! A changed address is used from the next call on; calls in flight end at the old one.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::time::Duration;

use skyring::Payload;
use socket2::{Domain, Protocol, Socket, Type};

use crate::cluster::{Echo, map_of, open, reload, serve, who};
use crate::node::{TIMEOUT, run, wait_until};
use crate::peer::Peer;
use crate::start::start;
use crate::support::{ask, pair, serve_gate};

#[test]
fn the_next_call_goes_to_the_new_address_and_calls_in_flight_are_answered() {
    for threads in [1, 3] {
        let (gate, old, new) = (start(threads), start(1), start(1));
        let (service, waiting) = serve_gate(&old);
        serve(&old, "echo", |_| Echo("old"));
        serve(&new, "echo", |_| Echo("new"));
        reload(&gate, map_of("db", &open(&old)));
        let in_flight = gate.client().node("db").timeout(TIMEOUT).call("@gate", "WAIT");
        wait_until("the call runs", || waiting.load(Ordering::Acquire) == 1);
        reload(&gate, map_of("db", &open(&new)));
        assert_eq!(ask(&gate, "db"), Ok("new".to_owned()));
        run(&old, move |caller| async move {
            caller
                .call(service, &("OPEN", "from the old node"))
                .await
                .expect("the gate opens");
        });
        let reply = in_flight.wait().expect("its answer");
        assert_eq!(reply.unpack::<String>(), Ok("from the old node".to_owned()));
    }
}

#[test]
fn a_node_that_has_not_moved_keeps_its_connection() {
    let (gate, db) = pair();
    let address = run(&gate, |caller| async move {
        assert_eq!(who(&caller, "db").await, Ok("db".to_owned()));
        let map = caller.cluster().map();
        map.nodes["db"].address().expect("it has one").to_string()
    });
    for _ in 0..5 {
        reload(
            &gate,
            map_of("db", &address)
                .with("other", "127.0.0.1:1")
                .expect("a map"),
        );
        assert_eq!(ask(&gate, "db"), Ok("db".to_owned()));
    }
    assert_eq!(db.metrics().connections_accepted.get(), 1);
    assert_eq!(gate.metrics().connections_lost.get(), 0);
}

#[test]
fn the_connection_to_an_old_address_ends_when_its_last_call_has_ended() {
    let gate = start(1);
    let elsewhere = Peer::listen();
    for ends_by in ["answer", "deadline", "send", "nothing to end"] {
        let old = Peer::listen();
        reload(&gate, map_of("db", &old.address()));
        let timeout = if ends_by == "deadline" {
            Duration::from_millis(200)
        } else {
            TIMEOUT
        };
        let call = gate.client().node("db").timeout(timeout).call("@echo", &1);
        let mut connection = old.accept();
        let (session, payload) = connection.read_request();
        if ends_by == "send" {
            connection.answer(session, &payload);
            assert!(call.wait().is_ok());
            let map = map_of("db", &elsewhere.address());
            run(&gate, |caller| async move {
                caller
                    .node("db")
                    .send("@echo", "still to the old one")
                    .expect("it can be packed");
                caller.cluster().reload(map);
            });
            let sent = Payload(connection.read_request().1.into());
            assert_eq!(sent.unpack::<&str>(), Ok("still to the old one"));
        } else if ends_by == "nothing to end" {
            connection.answer(session, &payload);
            assert!(call.wait().is_ok());
            reload(&gate, map_of("db", &elsewhere.address()));
        } else {
            reload(&gate, map_of("db", &elsewhere.address()));
            if ends_by == "answer" {
                connection.answer(session, &payload);
            }
            assert_eq!(call.wait().is_ok(), ends_by == "answer", "{ends_by}");
        }
        connection.wait_closed();
    }
}

#[test]
fn a_connect_that_succeeds_after_the_node_has_moved_is_not_used() {
    let gate = start(1);
    let db = start(1);
    serve(&db, "echo", |_| Echo("new"));
    // A listener whose queue is full delays a connect until it accepts.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
    listener
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .expect("a free port");
    listener.listen(0).expect("it listens");
    let old = listener
        .local_addr()
        .expect("bound")
        .as_socket()
        .expect("an address of IP");
    let mut fillers = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&old, Duration::from_millis(200)) {
        fillers.push(stream);
    }
    reload(&gate, map_of("db", &old.to_string()));
    let call = gate.client().node("db").timeout(TIMEOUT).call("@echo", "who");
    std::thread::sleep(Duration::from_millis(100));
    reload(&gate, map_of("db", &open(&db)));
    // Now the delayed connect succeeds, at its next attempt in the kernel.
    listener.set_nonblocking(true).expect("a flag of the socket");
    let acceptor = std::thread::spawn(move || {
        let started = std::time::Instant::now();
        let mut accepted = Vec::new();
        while started.elapsed() < Duration::from_secs(4) {
            accepted.extend(listener.accept());
            std::thread::sleep(Duration::from_millis(5));
        }
        accepted.len()
    });
    let reply = call.wait().expect("the new address answers");
    assert_eq!(reply.unpack::<String>(), Ok("new".to_owned()));
    assert_eq!(ask(&gate, "db"), Ok("new".to_owned()));
    // The delayed connect has succeeded; otherwise this test shows nothing.
    assert!(acceptor.join().expect("no panic") > fillers.len());
}
