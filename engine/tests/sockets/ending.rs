//! Every connection ends in order: no written byte is lost, and its owner is notified once.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use skyring::SocketNews;
use socket2::SockRef;

use crate::node::wait_until;
use crate::plug::Plug;
use crate::start::start;

#[test]
fn closing_writes_what_waits_first() {
    const BYTES: usize = 20 << 20;
    let node = start(2);
    let plug = Plug::new(&node);
    let (mut peer, socket) = plug.connected();
    plug.command(move |sockets| {
        for _ in 0..BYTES / (1 << 20) {
            sockets
                .write(socket, vec![7; 1 << 20].into())
                .expect("it is open");
        }
        sockets.close(socket).expect("it is asked");
        assert!(sockets.write(socket, "too late".into()).is_err());
    });
    let mut read = Vec::new();
    peer.read_to_end(&mut read).expect("it ends in order");
    assert_eq!(read.len(), BYTES);
    loop {
        match plug.next_of(socket) {
            SocketNews::Warning { .. } => {}
            SocketNews::Closed => break,
            news => panic!("{news:?}"),
        }
    }
    wait_until("the socket is forgotten", || {
        plug.command(|sockets| sockets.info()).len() == 1
    });
}

#[test]
fn a_peer_that_has_sent_all_still_gets_its_answer() {
    let node = start(2);
    let plug = Plug::new(&node);
    let (mut peer, socket) = plug.connected();
    peer.write_all(b"question").expect("it is taken");
    peer.shutdown(Shutdown::Write).expect("half of it");
    assert_eq!(plug.read(socket, 8), b"question");
    assert!(matches!(plug.next_of(socket), SocketNews::Closed));
    plug.write(socket, b"answer".to_vec());
    plug.command(move |sockets| sockets.close(socket))
        .expect("it is asked");
    let mut answer = String::new();
    peer.read_to_string(&mut answer).expect("it ends in order");
    assert_eq!(answer, "answer");
}

#[test]
fn a_finished_connection_is_read_on() {
    let node = start(1);
    let plug = Plug::new(&node);
    let (mut peer, socket) = plug.connected();
    plug.command(move |sockets| {
        sockets
            .write(socket, Bytes::from_static(b"all"))
            .expect("it is open");
        sockets.finish(socket).expect("it is open");
        assert!(sockets.write(socket, "too late".into()).is_err());
    });
    let mut read = String::new();
    peer.read_to_string(&mut read).expect("it ends in order");
    assert_eq!(read, "all");
    peer.write_all(b"thanks").expect("it is taken");
    assert_eq!(plug.read(socket, 6), b"thanks");
}

#[test]
fn a_peer_that_vanishes_is_reported_once() {
    let node = start(2);
    let plug = Plug::new(&node);
    for _ in 0..20 {
        let (mut peer, socket) = plug.connected();
        peer.write_all(b"half a pack").expect("it is taken");
        assert_eq!(plug.read(socket, 11), b"half a pack");
        // Closing with this set resets the connection.
        SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .expect("an option");
        drop(peer);
        assert!(matches!(
            plug.next_of(socket),
            SocketNews::Failed { .. } | SocketNews::Closed
        ));
        plug.command(move |sockets| {
            // Whether it still accepts bytes depends on whether the end was noticed.
            let _ = sockets.write(socket, "into the void".into());
            sockets.close(socket)
        })
        .expect("it is asked");
    }
    wait_until("only the listeners are left", || {
        plug.command(|sockets| sockets.info()).len() == 20
    });
    assert!(plug.events.try_recv().is_err());
}

#[test]
fn a_service_that_ends_takes_its_sockets_with_it() {
    let node = start(3);
    let gate = Plug::new(&node);
    let (listener, address) = gate.listen();
    for _ in 0..3 {
        let agent = Plug::new(&node);
        let mut peer = TcpStream::connect(address).expect("it listens");
        let socket = gate.accepted(listener);
        agent.start(socket);
        agent.write(socket, b"bye".to_vec());
        agent.exit();
        let mut read = String::new();
        peer.read_to_string(&mut read).expect("it ends in order");
        assert_eq!(read, "bye");
    }
    gate.exit();
    wait_until("the listener is closed", || TcpStream::connect(address).is_err());
    let other = Plug::new(&node);
    wait_until("every socket is forgotten", || {
        other.command(|sockets| sockets.info()).is_empty()
    });
}

#[test]
fn shutting_down_waits_for_nothing() {
    let node = start(1);
    let plug = Plug::new(&node);
    let (_peer, socket) = plug.connected();
    plug.command(move |sockets| {
        for _ in 0..32 {
            sockets
                .write(socket, vec![0; 1 << 20].into())
                .expect("it is open");
        }
        sockets.shutdown(socket).expect("it is asked");
    });
    loop {
        match plug.next_of(socket) {
            SocketNews::Warning { .. } => {}
            SocketNews::Closed => break,
            news => panic!("{news:?}"),
        }
    }
}

#[test]
fn a_peer_that_goes_on_sending_is_cut_off_when_its_connection_is_closed() {
    let node = start(2);
    let plug = Plug::new(&node);
    for _ in 0..20 {
        let (mut peer, socket) = plug.connected();
        let chunk = vec![5; 1 << 20];
        let writer = std::thread::spawn(move || {
            let started = std::time::Instant::now();
            while peer.write(&chunk).is_ok() {}
            started.elapsed()
        });
        assert!(matches!(plug.next_of(socket), SocketNews::Data(_)));
        plug.command(move |sockets| sockets.close(socket))
            .expect("it is asked");
        loop {
            match plug.next_of(socket) {
                SocketNews::Data(_) => {}
                SocketNews::Closed => break,
                news => panic!("{news:?}"),
            }
        }
        // Not only after the time that its writes are given.
        let time = writer.join().expect("it writes");
        assert!(time < crate::node::TIMEOUT / 2, "it was held for {time:?}");
    }
}
