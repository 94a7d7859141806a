//! Opening a socket reports its result.

use std::net::{SocketAddr, TcpListener};

use skyring::SocketNews;

use crate::plug::Plug;
use crate::start::start;

/// The cause of a failure.
fn failure(news: SocketNews) -> String {
    match news {
        SocketNews::Failed { cause } => cause.to_string(),
        news => panic!("a failure was awaited, and {news:?} came"),
    }
}

#[test]
fn a_connection_tells_its_peers_address_and_what_was_written_before_arrives() {
    let node = start(2);
    let plug = Plug::new(&node);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    // "localhost" is looked up, so the write comes before there is a connection.
    let socket = plug.command(move |sockets| {
        let socket = sockets.connect("localhost", port).expect("space for a socket");
        sockets
            .write(socket, bytes::Bytes::from_static(b"early"))
            .expect("it waits");
        socket
    });
    let (mut peer, _) = listener.accept().expect("it connects");
    let mut read = [0; 5];
    std::io::Read::read_exact(&mut peer, &mut read).expect("it is written");
    assert_eq!(&read, b"early");
    let SocketNews::Opened {
        address,
        port: opened,
    } = plug.next_of(socket)
    else {
        panic!("it is open");
    };
    assert_eq!((&*address, opened), ("127.0.0.1", port));
}

#[test]
fn a_connect_that_fails_says_why() {
    let node = start(1);
    let plug = Plug::new(&node);
    let free: SocketAddr = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("it is bound")
    };
    let refused = plug.command(move |sockets| {
        sockets
            .connect("127.0.0.1", free.port())
            .expect("space for a socket")
    });
    let cause = failure(plug.next_of(refused));
    assert!(
        cause.contains("refused") && cause.contains(&free.to_string()),
        "{cause}"
    );
    let unknown = plug.command(|sockets| {
        sockets
            .connect("no.such.host.invalid", 1)
            .expect("space for a socket")
    });
    let cause = failure(plug.next_of(unknown));
    assert!(cause.contains("no.such.host.invalid"), "{cause}");
    assert!(
        plug.command(move |sockets| sockets.write(unknown, "late".into()))
            .is_err()
    );
}

#[test]
fn a_port_in_use_and_an_unknown_socket_are_errors() {
    let node = start(1);
    let plug = Plug::new(&node);
    let (_, address) = plug.listen();
    let taken = plug.command(move |sockets| sockets.listen("127.0.0.1", address.port(), 1));
    let text = taken.expect_err("it is taken").to_string();
    assert!(text.contains("in use"), "{text}");
    let none = skyring::SocketId(123_456);
    plug.command(move |sockets| sockets.start(none))
        .expect("it is asked");
    assert_eq!(failure(plug.next_of(none)), "invalid socket");
    assert!(
        plug.command(move |sockets| sockets.write(none, "to no socket".into()))
            .is_err()
    );
    // Closing an unknown socket is no error.
    plug.command(move |sockets| sockets.close(none))
        .expect("nothing to do");
}

#[test]
fn a_named_host_can_be_listened_on() {
    let node = start(1);
    let plug = Plug::new(&node);
    let listener = plug.command(|sockets| sockets.listen("localhost", 0, 8).expect("space for a socket"));
    let SocketNews::Opened { port, .. } = plug.next_of(listener) else {
        panic!("it listens");
    };
    assert_ne!(port, 0);
    let unknown = plug.command(|sockets| {
        sockets
            .listen("no.such.host.invalid", 0, 8)
            .expect("space for a socket")
    });
    assert!(failure(plug.next_of(unknown)).contains("no.such.host.invalid"));
}
