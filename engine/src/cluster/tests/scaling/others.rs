//! All other nodes: the codec's links at the other ends of the node's connections, without anything else.

use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use skyring_codec::Millis;
use skyring_codec::link::{
    CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, CallerRequest, HeartbeatLimits, Inbound,
};
use skyring_codec::{seri, skynet};

use super::super::peers::hello;
use super::super::{Cluster, DOWN_AFTER_MS};
use crate::cluster::accepting::admission::{ClientLimits, Clients, Offer};
use crate::core::connection::LinkIo;
use crate::rt::manual::{self, Remote};
use crate::rt::stream::Stream;

/// The port of every node.
const PORT: u16 = 7_101;

/// The name of a node.
pub(super) fn name(place: usize) -> String {
    format!("p{place}")
}

/// Where it is.
pub(super) fn address(place: usize) -> SocketAddr {
    let place = place as u32 + 1;
    SocketAddr::from((Ipv4Addr::from(0x0a00_0000 | place), PORT))
}

fn place_of(address: SocketAddr) -> usize {
    match address.ip() {
        std::net::IpAddr::V4(ip) => (u32::from(ip) & 0x00ff_ffff) as usize - 1,
        std::net::IpAddr::V6(_) => panic!("all addresses are of IPv4"),
    }
}

/// One of the others.
struct Other {
    /// The connection that the node has dialled.
    dialled: Option<(Remote, CalleeLink)>,
    /// The connection to the node, and its link, which outlives it.
    dialling: Option<Remote>,
    link: CallerLink,
    is_reachable: bool,
}

/// What passed between the node and the others.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traffic {
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
}

/// All of the others.
pub(super) struct Others {
    others: Vec<Other>,
    clients: Arc<Clients>,
    pub(super) traffic: Traffic,
    /// Attempts of the node to connect.
    pub(super) attempts: u64,
    /// Those that nobody answers.
    unanswered: Vec<manual::Dial>,
}

impl Others {
    pub(super) fn new(count: usize) -> Others {
        let others = (0..count).map(|_| {
            let mut link = CallerLink::new(CallerLimits::default());
            link.watch(HeartbeatLimits {
                interval_ms: DOWN_AFTER_MS / 4,
                silence_ms_max: DOWN_AFTER_MS,
                turn_ms: 0,
            });
            Other {
                dialled: None,
                dialling: None,
                link,
                is_reachable: true,
            }
        });
        Others {
            others: others.collect(),
            clients: Clients::new(ClientLimits {
                clients_max: 2 * count,
                clients_per_source_max: 2 * count,
                accepts_per_second_max: u32::MAX,
                requires_proof: false,
            }),
            traffic: Traffic::default(),
            attempts: 0,
            unanswered: Vec::new(),
        }
    }

    /// Connections in both directions.
    pub(super) fn connections(&self) -> usize {
        let count =
            |other: &Other| usize::from(other.dialled.is_some()) + usize::from(other.dialling.is_some());
        self.others.iter().map(count).sum()
    }

    /// Has one connect to the node, unless it is connected.
    pub(super) fn dial(&mut self, cluster: &Cluster, place: usize) {
        let other = &mut self.others[place];
        if other.dialling.is_some() || !other.is_reachable {
            return;
        }
        let peer = SocketAddr::new(address(place).ip(), 50_000);
        let offer = Offer {
            channels: Some(1),
            name: None,
        };
        let now = cluster.shard().now();
        let admission = self.clients.admit(now, peer, &offer).expect("it is admitted");
        let (stream, remote) = manual::Stream::accepted();
        let stream = Rc::new(Stream::Manual(stream));
        cluster
            .room()
            .accept_stream(cluster.shard(), stream, peer, admission);
        other.link.disconnected();
        let hello = hello(&name(place), 1, 1, place as u64 + 1);
        other.link.dial(now, &hello).expect("a hello");
        other.dialling = Some(remote);
    }

    /// Has one call the node, which nobody answers here: only the bytes matter.
    pub(super) fn send(&mut self, cluster: &Cluster, place: usize) {
        let request = CallerRequest {
            address: skynet::Address::Name(b"@service"),
            source: 0,
            key: 0,
            payload: seri::pack("hello").expect("a text can be packed"),
            deadline: None,
            token: None,
            is_idempotent: false,
        };
        let now = cluster.shard().now();
        self.others[place]
            .link
            .request(now, request)
            .expect("there is space");
    }

    /// Has one say goodbye and close its connection to the node.
    pub(super) fn hang_up(&mut self, place: usize) {
        let other = &mut self.others[place];
        other.link.goodbye();
        if let Some(remote) = other.dialling.take() {
            self.traffic.bytes_received += write(&remote, &mut other.link);
            remote.close();
        }
        other.link.close();
        other.link.disconnected();
    }

    /// Cuts these off: what is sent to them and by them vanishes.
    pub(super) fn part(&mut self, places: std::ops::Range<usize>) {
        for place in places {
            self.others[place].is_reachable = false;
        }
    }

    /// Lets all be reached again; those that were cut off have noticed and connect anew.
    pub(super) fn heal(&mut self, cluster: &Cluster) {
        self.unanswered.clear();
        for place in 0..self.others.len() {
            let other = &mut self.others[place];
            if !other.is_reachable {
                other.is_reachable = true;
                other.dialled = None;
                other.dialling = None;
                self.dial(cluster, place);
            }
        }
    }

    /// Answers attempts to connect, and exchanges bytes; the answers of services are what `served` says.
    pub(super) fn exchange(&mut self, cluster: &Cluster) {
        for dial in manual::dials() {
            self.attempts += 1;
            let other = &mut self.others[place_of(dial.address)];
            if other.is_reachable {
                other.dialled = Some((dial.accept(), CalleeLink::new(CalleeLimits::default())));
            } else {
                self.unanswered.push(dial);
            }
        }
        let now = cluster.shard().now();
        for (place, other) in self.others.iter_mut().enumerate() {
            if let Some((remote, link)) = &mut other.dialled {
                let received = remote.received();
                let is_over = remote.is_shut_down();
                if other.is_reachable {
                    self.traffic.bytes_sent += received.len() as u64;
                    serve(place, now, link, received);
                    self.traffic.bytes_received += write(remote, link);
                }
                if is_over {
                    other.dialled = None;
                }
            }
            let Some(remote) = &other.dialling else { continue };
            let received = remote.received();
            if other.is_reachable {
                self.traffic.bytes_sent += received.len() as u64;
                if !received.is_empty() {
                    other.link.receive(received);
                }
                // What comes out late is that nobody served the calls, which does not matter here.
                while let Some(CallerEvent::Ready { .. } | CallerEvent::Quiet | CallerEvent::Heard) = other
                    .link
                    .poll_event(now)
                    .expect("the node keeps to the protocol")
                {}
                self.traffic.bytes_received += write(remote, &mut other.link);
            }
        }
    }
}

/// Takes what the node has sent, and answers its hellos and calls.
fn serve(place: usize, now: Millis, link: &mut CalleeLink, received: Bytes) {
    if !received.is_empty() {
        link.receive(received);
    }
    loop {
        match link.poll_inbound().expect("the node keeps to the protocol") {
            Some(Inbound::Hello(received)) => {
                let answer = hello(&name(place), received.channel, 1, place as u64 + 1);
                link.accept_hello(&answer).expect("a valid hello");
            }
            Some(Inbound::Request(request)) => {
                let answer = seri::pack("hello").expect("a text can be packed");
                link.respond(request.session, Ok(answer));
            }
            Some(_) => {}
            None => break,
        }
    }
    link.tick(now);
}

/// Writes the output of a link; returns how many bytes.
fn write(remote: &Remote, link: &mut impl LinkIo) -> u64 {
    let mut written = 0;
    loop {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = link.transmit(&mut slices);
        let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        if bytes.is_empty() {
            return written;
        }
        remote.send(&bytes);
        link.transmitted(bytes.len());
        written += bytes.len() as u64;
    }
}
