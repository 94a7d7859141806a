//! The other end of a connection, as a test plays it.

use std::io::IoSlice;

use bytes::Bytes;
use skyring_codec::link::{CalleeLimits, CalleeLink, Inbound, Request};
use skyring_codec::native::{Hello, NONCE_BYTES, Resumption, VERSION};
use skyring_codec::seri;

use super::Cluster;
use crate::rt::manual::{self, Dial, Remote};

/// What a node says of itself.
pub(super) fn hello(node: &str, channel: u32, channels: u32, epoch: u64) -> Hello {
    Hello {
        version: VERSION,
        node: node.to_owned(),
        channel,
        channels,
        threads: 1,
        epoch,
        nonce: [7; NONCE_BYTES],
        resume: Resumption::New,
    }
}

/// The one attempt to connect that is under way.
pub(super) fn only_dial() -> Dial {
    let mut dials = manual::dials();
    assert_eq!(dials.len(), 1, "attempts to connect");
    dials.remove(0)
}

/// Lets time pass until the next attempt to connect begins.
pub(super) fn next_dial(cluster: &Cluster) -> Dial {
    drop(manual::dials());
    for _ in 0..2_000 {
        cluster.pass(1);
        if let Some(dial) = manual::dials().pop() {
            return dial;
        }
    }
    panic!("nobody tries to connect");
}

/// A node that was connected to.
pub(super) struct Callee {
    pub(super) remote: Remote,
    link: CalleeLink,
}

impl Callee {
    /// Accepts the one attempt that is under way, and does the handshake.
    pub(super) fn accept(cluster: &Cluster) -> Callee {
        Callee::accept_as(cluster, only_dial(), 7, 1)
    }

    /// The same for an attempt, as a process with that epoch that offers so many channels.
    pub(super) fn accept_as(cluster: &Cluster, dial: Dial, epoch: u64, channels: u32) -> Callee {
        let mut callee = Callee {
            remote: dial.accept(),
            link: CalleeLink::new(CalleeLimits::default()),
        };
        cluster.settle();
        match callee.next(cluster) {
            Some(Inbound::Hello(said)) => {
                let answer = hello("db", said.channel, channels, epoch);
                callee
                    .link
                    .accept_hello(&answer)
                    .expect("a hello that can be written");
            }
            other => panic!("a hello was expected: {other:?}"),
        }
        callee.send_output(cluster);
        callee
    }

    fn next(&mut self, cluster: &Cluster) -> Option<Inbound> {
        cluster.settle();
        let received = self.remote.received();
        if !received.is_empty() {
            self.link.receive(Bytes::from(received));
        }
        self.link
            .poll_inbound()
            .expect("what the engine writes is the protocol")
    }

    /// Writes what the link has to say.
    pub(super) fn send_output(&mut self, cluster: &Cluster) {
        self.link.tick(cluster.shard().now());
        loop {
            let mut slices = [IoSlice::new(&[]); 64];
            let count = self.link.transmit(&mut slices);
            let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
            if bytes.is_empty() {
                break;
            }
            self.remote.send(&bytes);
            self.link.transmitted(bytes.len());
        }
        cluster.settle();
    }

    /// The requests that have come.
    pub(super) fn requests(&mut self, cluster: &Cluster) -> Vec<Request> {
        let mut requests = Vec::new();
        while let Some(inbound) = self.next(cluster) {
            if let Inbound::Request(request) = inbound {
                requests.push(request);
            }
        }
        // Pings are answered by the link itself.
        self.send_output(cluster);
        requests
    }

    /// The texts of the requests that have come.
    pub(super) fn texts(&mut self, cluster: &Cluster) -> Vec<String> {
        let requests = self.requests(cluster);
        requests.iter().map(text).collect()
    }

    /// Answers a request with a text.
    pub(super) fn answer(&mut self, cluster: &Cluster, request: &Request, answer: &str) {
        let payload = seri::pack(answer).expect("a text can be packed");
        self.link.respond(request.session, Ok(payload));
        self.send_output(cluster);
    }

    /// Says that the node stops.
    pub(super) fn send_goodbye(&mut self, cluster: &Cluster) {
        self.link.goodbye();
        self.send_output(cluster);
    }

    /// Lets time pass as a peer that lives, which answers pings.
    pub(super) fn live(&mut self, cluster: &Cluster, time_ms: u64) {
        for _ in 0..time_ms.div_ceil(50) {
            cluster.pass(50);
            assert!(self.requests(cluster).is_empty(), "nobody calls meanwhile");
        }
    }
}

/// The text that a request carries.
pub(super) fn text(request: &Request) -> String {
    seri::unpack::<String>(&request.payload).expect("the tests send texts")
}
