//! Many connections from one source, and many calls for one node, do no harm to others.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};

use crate::cluster::{Echo, map_of, open, reload, serve};
use crate::node::{TIMEOUT, run, wait_until};
use crate::start::{builder, start};

/// Connects from an address of this machine; `None` when the reset of who is turned away was faster.
fn connect_from(source: [u8; 4], to: &str) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
    socket
        .bind(&SocketAddr::from((source, 0)).into())
        .expect("an address of loopback");
    let to: SocketAddr = to.parse().expect("an address");
    match socket.connect(&to.into()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
        Err(error) => panic!("the listener is open: {error}"),
    }
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TIMEOUT)).expect("a time above zero");
    Some(stream)
}

/// Whether the node closes a connection on which nothing was sent.
fn is_turned_away(stream: Option<TcpStream>) -> bool {
    let Some(mut stream) = stream else { return true };
    match stream.read(&mut [0]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn a_source_that_connects_without_end_is_slowed_down_and_others_are_not() {
    const RATE: u64 = 50;
    let db = builder(2)
        .accepts_per_second_max(RATE as u32)
        .start()
        .expect("a node starts");
    serve(&db, "echo", |_| Echo("db"));
    let address = open(&db);
    let started = std::time::Instant::now();
    let storm: Vec<Option<TcpStream>> = (0..1_000)
        .map(|_| connect_from([127, 0, 0, 9], &address))
        .collect();
    let metrics = db.metrics();
    wait_until("all were taken or turned away", || {
        metrics.connections_accepted.get() + metrics.connections_throttled.get() == 1_000
    });
    let most = RATE + 1 + RATE * started.elapsed().as_millis() as u64 / 1_000;
    let accepted = metrics.connections_accepted.get();
    assert!((RATE..=most).contains(&accepted), "{accepted} of at most {most}");
    // A node at another address, meanwhile: that is this test's own, on 127.0.0.1.
    let gate = start(1);
    reload(&gate, map_of("db", &address));
    let call = gate
        .client()
        .node("db")
        .timeout(TIMEOUT)
        .call("@echo", "who")
        .wait();
    assert_eq!(call.expect("an answer").unpack::<String>(), Ok("db".to_owned()));
    assert_eq!(gate.metrics().connects_failed.get(), 0);
    let last = storm.into_iter().next_back().expect("a thousand");
    assert!(is_turned_away(last));
}

#[test]
fn a_source_has_its_share_of_a_listener_and_no_more() {
    let db = builder(1)
        .clients_per_source_max(20)
        .start()
        .expect("a node starts");
    serve(&db, "echo", |_| Echo("db"));
    let address = open(&db);
    let mut connections: Vec<Option<TcpStream>> =
        (0..30).map(|_| connect_from([127, 0, 0, 9], &address)).collect();
    wait_until("ten were turned away", || {
        db.metrics().connections_refused.get() == 10
    });
    assert_eq!(db.metrics().connections_accepted.get(), 20);
    assert!(is_turned_away(connections.pop().expect("thirty")));
    let other = connect_from([127, 0, 0, 8], &address);
    wait_until("another source is let in", || {
        db.metrics().connections_accepted.get() == 21
    });
    // Places come back.
    drop(connections);
    let started = std::time::Instant::now();
    while db.metrics().connections_accepted.get() < 22 {
        let _ = connect_from([127, 0, 0, 9], &address);
        assert!(started.elapsed() < TIMEOUT);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    drop(other);
}

#[test]
fn calls_that_have_waited_for_an_absent_node_go_out_in_order_and_not_all_at_once() {
    const CALLS: i64 = 3_000;
    let (gate, db) = (start(2), start(1));
    let record = Recorded::default();
    run(&db, {
        let record = record.clone();
        |caller| async move {
            let recorder = caller.launch(move |_| record).await.expect("it launches");
            caller
                .cluster()
                .register("record", Some(recorder))
                .expect("a free name");
        }
    });
    let address = open(&db);
    let work = gate
        .run(|caller| async move {
            // Sends and calls of one service keep their order, pending or not.
            let db = caller.node("db");
            for number in 0..CALLS {
                db.send("@record", &number).expect("it is packed");
            }
            let mut next = CALLS;
            while db.call("@record", &next).timeout(TIMEOUT).await.is_ok() {
                next += 1;
                if next == CALLS + 500 {
                    return true;
                }
            }
            false
        })
        .expect("the job is accepted");
    std::thread::sleep(std::time::Duration::from_millis(50));
    reload(&gate, map_of("db", &address));
    assert_eq!(work.recv_timeout(TIMEOUT), Ok(true));
    let numbers = record.0.lock().expect("no panic with the lock").clone();
    assert_eq!(numbers, (0..CALLS + 500).collect::<Vec<_>>());
}

/// Notes the numbers that come.
#[derive(Clone, Default)]
struct Recorded(std::sync::Arc<std::sync::Mutex<Vec<i64>>>);

impl skyring::Service for Recorded {
    fn handle(&mut self, _context: &skyring::Context<Self>, message: skyring::Message) -> skyring::Answer {
        let number = message.unpack().expect("a number");
        self.0.lock().expect("no panic with the lock").push(number);
        skyring::Answer::now(&())
    }
}
