//! How the tests of this folder start nodes, and plain sockets that talk to them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::node::{Running, TIMEOUT, run_to_end};

/// Runs a program in Lua to its end, on a node of three shards: see [`run_to_end`]. It has the local `socket`.
#[track_caller]
pub(crate) fn start(main: &str, services: &[(&str, &str)]) -> Running {
    let main = format!("local socket = require 'skynet.socket'\n{main}");
    run_to_end(&main, services, "thread = 3")
}

impl Running {
    /// The port that a service has logged as `PORT number`.
    pub(crate) fn port(&self) -> u16 {
        let log = self.await_log("PORT ");
        let line = log
            .lines()
            .find_map(|line| line.split_once("PORT "))
            .expect("a line with a port");
        line.1.trim().parse().expect("a port")
    }

    /// Stops the node, and asserts that no shard panics.
    pub(crate) fn stop_without_panics(self) {
        let (panics, before) = (Arc::new(AtomicUsize::new(0)), std::panic::take_hook());
        let counted = Arc::clone(&panics);
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current()
                .name()
                .is_some_and(|name| name.starts_with("shard-"))
            {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            before(panic);
        }));
        self.node.stop();
        assert_eq!(panics.load(Ordering::Relaxed), 0, "a shard panicked");
    }

    /// A connection to this port.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port())).expect("it listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        stream.set_write_timeout(Some(TIMEOUT)).expect("a timeout");
        stream
    }
}

/// A package: the body preceded by its length in two bytes.
pub(crate) fn package(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("a package that is not too long");
    [&length.to_be_bytes()[..], body].concat()
}

/// Reads the body of the next package.
pub(crate) fn read_package(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a package");
    let mut body = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut body).expect("the whole body");
    body
}

/// Sends all bytes.
pub(crate) fn send(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).expect("the peer reads");
}
