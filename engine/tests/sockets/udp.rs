//! Datagrams go to whom they are sent, and come with where they are from.

use std::net::UdpSocket;

use bytes::Bytes;
use skyring::SocketNews;

use crate::node::TIMEOUT;
use crate::plug::Plug;
use crate::start::start;

fn peer() -> UdpSocket {
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    peer.set_read_timeout(Some(TIMEOUT)).expect("a time");
    peer
}

#[test]
fn a_datagram_is_answered_where_it_came_from() {
    let node = start(2);
    let plug = Plug::new(&node);
    let socket = plug.command(|sockets| sockets.udp(Some(("127.0.0.1", 0))).expect("a free port"));
    let address = plug.command(|sockets| sockets.info())[0].address.to_string();
    let peer = peer();
    for size in [0, 1, 1400, 60_000] {
        peer.send_to(&vec![5; size], &address).expect("it is sent");
        let SocketNews::Datagram { from, bytes } = plug.next_of(socket) else {
            panic!("a datagram comes");
        };
        assert_eq!(
            (from, bytes.len()),
            (peer.local_addr().expect("it is bound"), size)
        );
        plug.command(move |sockets| sockets.send_to(socket, from, bytes))
            .expect("it is open");
        let mut read = vec![0; 65_536];
        assert_eq!(peer.recv(&mut read).expect("an answer"), size);
    }
}

#[test]
fn a_connected_socket_writes_to_its_peer_even_before_the_name_is_looked_up() {
    let node = start(1);
    let plug = Plug::new(&node);
    let peer = peer();
    let port = peer.local_addr().expect("it is bound").port();
    let socket = plug.command(move |sockets| {
        let socket = sockets.udp(None).expect("a free port");
        sockets
            .udp_connect(socket, "127.0.0.1", port)
            .expect("it is open");
        sockets
            .write(socket, Bytes::from_static(b"one"))
            .expect("it is open");
        sockets
            .udp_connect(socket, "localhost", port)
            .expect("it is open");
        sockets
            .write(socket, Bytes::from_static(b"two"))
            .expect("it is open");
        socket
    });
    let mut read = [0; 8];
    assert_eq!(peer.recv(&mut read).expect("the first"), 3);
    let (count, from) = peer.recv_from(&mut read).expect("the second");
    assert_eq!(&read[..count], b"two");
    peer.send_to(b"back", ("127.0.0.1", from.port()))
        .expect("it is sent");
    assert!(matches!(plug.next_of(socket), SocketNews::Datagram { bytes, .. } if &bytes[..] == b"back"));
}

#[test]
fn a_datagram_that_cannot_be_sent_is_counted_and_the_socket_goes_on() {
    let node = start(1);
    let plug = Plug::new(&node);
    let socket = plug.command(|sockets| sockets.udp(None).expect("a free port"));
    let nowhere = "[::1]:9".parse().expect("an address");
    plug.command(move |sockets| sockets.send_to(socket, nowhere, "lost".into()))
        .expect("it is open");
    assert_eq!(node.metrics().datagrams_dropped.get(), 1);
    let peer = peer();
    let to = peer.local_addr().expect("it is bound");
    plug.command(move |sockets| sockets.send_to(socket, to, "found".into()))
        .expect("it is open");
    let mut read = [0; 8];
    assert_eq!(peer.recv(&mut read).expect("it works"), 5);
    plug.command(move |sockets| sockets.close(socket))
        .expect("it is asked");
    assert!(matches!(plug.next_of(socket), SocketNews::Closed));
}
