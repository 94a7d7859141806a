//! The other end of a connection, which the test simulates.

use std::io::IoSlice;

use skyring_codec::link::{CalleeLimits, CalleeLink, Inbound, Request};
use skyring_codec::native::{Hello, NONCE_BYTES, Resumption, VERSION};
use skyring_codec::seri;

use super::Cluster;
use crate::rt::manual::{self, Dial, Remote};

/// The hello of a node.
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
        attempt: 0,
        traces: false,
    }
}

/// The one pending attempt to connect.
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
    panic!("there is no attempt to connect");
}

/// A node that accepts a connection.
pub(super) struct Callee {
    pub(super) remote: Remote,
    link: CalleeLink,
}

impl Callee {
    /// Accepts the one pending attempt, and does the handshake.
    pub(super) fn accept(cluster: &Cluster) -> Callee {
        Callee::accept_as(cluster, only_dial(), 7, 1)
    }

    /// Accepts an attempt, as a process with this epoch that offers `channels` channels.
    pub(super) fn accept_as(cluster: &Cluster, dial: Dial, epoch: u64, channels: u32) -> Callee {
        let mut callee = Callee {
            remote: dial.accept(),
            link: CalleeLink::new(CalleeLimits::default()),
        };
        cluster.settle();
        match callee.next(cluster) {
            Some(Inbound::Hello(received)) => {
                let answer = hello("db", received.channel, channels, epoch);
                callee.link.accept_hello(&answer).expect("a valid hello");
            }
            other => panic!("a hello was expected: {other:?}"),
        }
        callee.send_output(cluster);
        callee
    }

    /// Accepts an attempt, as a Skynet node does.
    pub(super) fn accept_skynet(cluster: &Cluster, dial: Dial) -> Callee {
        let callee = Callee {
            remote: dial.accept(),
            link: CalleeLink::new(CalleeLimits::default()),
        };
        cluster.settle();
        callee
    }

    fn next(&mut self, cluster: &Cluster) -> Option<Inbound> {
        cluster.settle();
        let received = self.remote.received();
        if !received.is_empty() {
            self.link.receive(received);
        }
        self.link
            .poll_inbound()
            .expect("what the engine writes is the protocol")
    }

    /// Writes the output of the link.
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

    /// The requests that were received.
    pub(super) fn requests(&mut self, cluster: &Cluster) -> Vec<Request> {
        let mut requests = Vec::new();
        while let Some(inbound) = self.next(cluster) {
            if let Inbound::Request(request) = inbound {
                requests.push(request);
            }
        }
        // The link itself answers pings.
        self.send_output(cluster);
        requests
    }

    /// The texts of the requests that were received.
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

    /// Sends a goodbye.
    pub(super) fn send_goodbye(&mut self, cluster: &Cluster) {
        self.link.goodbye();
        self.send_output(cluster);
    }

    /// Lets time pass while the peer answers pings.
    pub(super) fn answer_pings(&mut self, cluster: &Cluster, time_ms: u64) {
        for _ in 0..time_ms.div_ceil(50) {
            cluster.pass(50);
            assert!(self.requests(cluster).is_empty(), "there are no calls meanwhile");
        }
    }
}

/// The text of a request.
pub(super) fn text(request: &Request) -> String {
    seri::unpack::<String>(&request.payload).expect("the tests send texts")
}
