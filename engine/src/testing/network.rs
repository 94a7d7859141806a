//! The network between the nodes of a simulation: connections with bytes in flight, and what goes wrong with them.
//!
//! A connection has two ends, each of which is a stream of a node whose other side is held here, and a flow in each
//! direction. A flow keeps its order, has a bounded number of bytes on the way, and takes the time that the link between
//! the two nodes has at that moment.

mod faults;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::random::Random;
use super::trace::Detail;
use super::world::World;
use crate::rt::manual::{self, Dial, Remote};

/// Bytes of one direction of a connection that are on the way or not read yet: the socket buffers of both ends.
const IN_FLIGHT_BYTES_MAX: usize = 512 << 10;

/// The time that a packet takes.
const LATENCY: Range<Duration> = Duration::from_micros(50)..Duration::from_micros(500);

/// The first port of connecting sockets.
const FIRST_PORT: u16 = 32_768;

/// What is on the way.
enum Packet {
    Bytes(Bytes),
    /// The sender writes nothing more.
    Finish,
    /// The sender has closed the connection.
    Close,
    /// The sender knows nothing of the connection.
    Reset(io::ErrorKind),
}

/// One direction of a connection: to the end with the same number.
#[derive(Default)]
struct Flow {
    /// With the times at which they arrive.
    packets: VecDeque<(Duration, Packet)>,
    /// Bytes of them.
    bytes: usize,
    /// When the last of them arrives.
    last_at: Duration,
    /// What is sent is lost, and the sender does not know.
    is_silent: bool,
    /// What of the end is sent.
    ended: Ended,
}

/// How far one direction of a connection has ended.
#[derive(Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ended {
    #[default]
    Not,
    Finished,
    Closed,
}

/// One end of a connection.
struct End {
    node: usize,
    life: u64,
    state: EndState,
}

enum EndState {
    /// Its attempt to connect is not answered yet.
    Dialling(Dial),
    Open(Remote),
    /// The process has ended, or the connection has broken here.
    Gone,
}

struct Connection {
    ends: [End; 2],
    flows: [Flow; 2],
}

/// The state of the link from one node to another.
#[derive(Default, Clone, Copy)]
struct Link {
    stalled_until: Duration,
    extra: Duration,
    extra_until: Duration,
}

/// How the connections of a process end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The kernel closes them.
    Closed,
    /// The kernel resets them: bytes were not read.
    Reset,
    /// Nothing is sent any more: the machine is gone.
    Silent,
}

/// The network of a simulation.
pub(super) struct Network {
    random: RefCell<Random>,
    connections: RefCell<BTreeMap<u64, Connection>>,
    /// The connection and the end of each stream, by the stream's number.
    ends: RefCell<BTreeMap<u64, (u64, usize)>>,
    links: RefCell<BTreeMap<(usize, usize), Link>>,
    next: Cell<u64>,
}

impl Network {
    pub(super) fn new(random: Random) -> Network {
        Network {
            random: RefCell::new(random),
            connections: RefCell::default(),
            ends: RefCell::default(),
            links: RefCell::default(),
            next: Cell::new(0),
        }
    }

    /// The address that a node has.
    pub(super) fn address(node: usize) -> SocketAddr {
        let number = u16::try_from(node + 1).unwrap_or(u16::MAX).to_be_bytes();
        SocketAddr::from((Ipv4Addr::new(10, 0, number[0], number[1]), 7_000))
    }

    /// The node that has this address.
    fn node_at(address: SocketAddr) -> Option<usize> {
        let SocketAddr::V4(address) = address else {
            return None;
        };
        let [10, 0, high, low] = address.ip().octets() else {
            return None;
        };
        usize::from(u16::from_be_bytes([high, low])).checked_sub(1)
    }

    /// When something that is sent now arrives.
    fn arrival(&self, from: usize, to: usize) -> Duration {
        let now = manual::time();
        let latency = self.random.borrow_mut().duration(LATENCY);
        let link = self.links.borrow().get(&(from, to)).copied().unwrap_or_default();
        let extra = if now < link.extra_until {
            link.extra
        } else {
            Duration::ZERO
        };
        now.max(link.stalled_until) + latency + extra
    }

    /// Takes what the streams of all nodes have done.
    pub(super) fn collect(&self, world: &Rc<World>) {
        for dial in manual::dials() {
            self.dial(world, dial);
        }
        for number in manual::touched() {
            let found = self.ends.borrow().get(&number).copied();
            if let Some((key, end)) = found {
                self.collect_end(world, key, end);
            }
        }
    }

    fn dial(&self, world: &Rc<World>, dial: Dial) {
        let Some((from, life)) = world.node_of(dial.place) else {
            return;
        };
        let Some(to) = Network::node_at(dial.address) else {
            return dial.refuse();
        };
        let at = self.arrival(from, to);
        world.at(at, move |world| {
            world.network.arrive(world, dial, (from, life), to)
        });
    }

    /// An attempt to connect arrives at its host.
    fn arrive(&self, world: &Rc<World>, dial: Dial, (from, life): (usize, u64), to: usize) {
        if dial.is_abandoned() {
            return;
        }
        let Some(to_life) = world.life_of(to) else {
            // A machine that is off does not answer; the dialler gives up by itself.
            if !world.is_off(to) {
                let at = self.arrival(to, from);
                world.at(at, |_| dial.refuse());
            }
            return;
        };
        let number = self.next.replace(self.next.get() + 1);
        let port = FIRST_PORT + (number % u64::from(u16::MAX - FIRST_PORT)) as u16;
        let mut peer = Network::address(from);
        peer.set_port(port);
        let Some(accepted) = manual::incoming(dial.address, peer) else {
            let at = self.arrival(to, from);
            world.at(at, |_| dial.refuse());
            return;
        };
        accepted.set_room(IN_FLIGHT_BYTES_MAX);
        self.ends.borrow_mut().insert(accepted.number(), (number, 1));
        let at = self.arrival(to, from);
        let mut connection = Connection {
            ends: [
                End {
                    node: from,
                    life,
                    state: EndState::Dialling(dial),
                },
                End {
                    node: to,
                    life: to_life,
                    state: EndState::Open(accepted),
                },
            ],
            flows: Default::default(),
        };
        connection.flows[0].last_at = at;
        self.connections.borrow_mut().insert(number, connection);
        world.at(at, move |world| world.network.connected(world, number));
        self.collect_end(world, number, 1);
    }

    /// The answer to an attempt to connect arrives.
    fn connected(&self, world: &Rc<World>, key: u64) {
        let dial = {
            let mut connections = self.connections.borrow_mut();
            let Some(connection) = connections.get_mut(&key) else {
                return;
            };
            match std::mem::replace(&mut connection.ends[0].state, EndState::Gone) {
                EndState::Dialling(dial) if !dial.is_abandoned() => dial,
                _ => {
                    drop(connections);
                    return self.send(world, key, 1, Packet::Close);
                }
            }
        };
        let remote = dial.accept();
        remote.set_room(IN_FLIGHT_BYTES_MAX);
        self.ends.borrow_mut().insert(remote.number(), (key, 0));
        if let Some(connection) = self.connections.borrow_mut().get_mut(&key) {
            connection.ends[0].state = EndState::Open(remote);
        }
        self.note(world, key, "connected");
    }

    fn note(&self, world: &World, key: u64, what: &str) {
        if world.trace.has(Detail::All) {
            let connections = self.connections.borrow();
            let Some(connection) = connections.get(&key) else {
                return;
            };
            let [from, to] = [0, 1].map(|end| world.name_of(connection.ends[end].node));
            world.note(Detail::All, "", || {
                format!("connection {key} from {from} to {to}: {what}")
            });
        }
    }

    /// Takes what the stream of one end has done.
    fn collect_end(&self, world: &Rc<World>, key: u64, end: usize) {
        let other = 1 - end;
        let (bytes, ending, room) = {
            let connections = self.connections.borrow();
            let Some(connection) = connections.get(&key) else {
                return;
            };
            let EndState::Open(remote) = &connection.ends[end].state else {
                return;
            };
            remote.begin_look();
            let ending = match (remote.is_shut_down(), remote.has_finished()) {
                (true, _) => Some(Packet::Close),
                (false, true) => Some(Packet::Finish),
                (false, false) => None,
            };
            let used = connection.flows[end].bytes + remote.unread();
            (
                remote.received(),
                ending,
                IN_FLIGHT_BYTES_MAX.saturating_sub(used),
            )
        };
        if !bytes.is_empty() {
            self.send(world, key, other, Packet::Bytes(bytes));
        }
        if let Some(ending) = ending {
            self.send(world, key, other, ending);
        }
        self.set_room(key, other, room);
    }

    /// Lets one end send so many bytes more.
    fn set_room(&self, key: u64, end: usize, room: usize) {
        let mut remote = None;
        if let Some(connection) = self.connections.borrow_mut().get_mut(&key)
            && !connection.flows[1 - end].is_silent
            && let EndState::Open(_) = &connection.ends[end].state
        {
            remote = Some(std::mem::replace(&mut connection.ends[end].state, EndState::Gone));
        }
        let Some(EndState::Open(remote)) = remote else {
            return;
        };
        // A writer is called, so nothing is borrowed.
        remote.set_room(room);
        if let Some(connection) = self.connections.borrow_mut().get_mut(&key) {
            connection.ends[end].state = EndState::Open(remote);
        }
    }

    /// Sends a packet to one end of a connection.
    fn send(&self, world: &Rc<World>, key: u64, to: usize, packet: Packet) {
        let mut connections = self.connections.borrow_mut();
        let Some(connection) = connections.get_mut(&key) else {
            return;
        };
        let arrival = self.arrival(connection.ends[1 - to].node, connection.ends[to].node);
        let flow = &mut connection.flows[to];
        let (is_wanted, ended) = match packet {
            Packet::Bytes(_) => (flow.ended == Ended::Not, flow.ended),
            Packet::Finish => (flow.ended == Ended::Not, Ended::Finished),
            Packet::Close => (flow.ended < Ended::Closed, Ended::Closed),
            Packet::Reset(_) => (true, Ended::Closed),
        };
        if !is_wanted {
            return;
        }
        flow.ended = ended;
        if let Packet::Bytes(bytes) = &packet {
            flow.bytes += bytes.len();
        }
        if flow.is_silent {
            return;
        }
        let at = arrival.max(flow.last_at);
        flow.last_at = at;
        flow.packets.push_back((at, packet));
        drop(connections);
        world.at(at, move |world| world.network.deliver(world, key, to));
    }

    /// The next packet arrives at one end of a connection.
    fn deliver(&self, world: &Rc<World>, key: u64, to: usize) {
        let (packet, state) = {
            let mut connections = self.connections.borrow_mut();
            let Some(connection) = connections.get_mut(&key) else {
                return;
            };
            let flow = &mut connection.flows[to];
            if flow.is_silent {
                // It became silent while this was on the way.
                return;
            }
            // One that was delayed further has another event.
            if flow.packets.front().is_none_or(|(at, _)| *at > manual::time()) {
                return;
            }
            let Some((_, packet)) = flow.packets.pop_front() else {
                return;
            };
            if let Packet::Bytes(bytes) = &packet {
                flow.bytes -= bytes.len();
            }
            let state = std::mem::replace(&mut connection.ends[to].state, EndState::Gone);
            (packet, state)
        };
        let size = match &packet {
            Packet::Bytes(bytes) => bytes.len() as u64,
            _ => 1 << 32,
        };
        world.trace.count(manual::time(), key << 33 ^ size);
        match state {
            EndState::Open(remote) => {
                // Wakers and writers are called, so nothing is borrowed.
                let is_gone = match packet {
                    Packet::Bytes(bytes) => {
                        remote.send_bytes(bytes);
                        false
                    }
                    Packet::Finish => {
                        remote.finish();
                        false
                    }
                    Packet::Close => {
                        remote.close();
                        false
                    }
                    Packet::Reset(cause) => {
                        remote.fail(cause);
                        true
                    }
                };
                if !is_gone && let Some(connection) = self.connections.borrow_mut().get_mut(&key) {
                    connection.ends[to].state = EndState::Open(remote);
                }
            }
            EndState::Gone => {
                // Nobody knows the connection here. A machine that is off does not even say so.
                let node = self.connections.borrow().get(&key).map(|it| it.ends[to].node);
                if let (Packet::Bytes(bytes), Some(node)) = (packet, node) {
                    if !world.is_off(node) {
                        self.send(world, key, 1 - to, Packet::Reset(io::ErrorKind::ConnectionReset));
                    } else if let Some(connection) = self.connections.borrow_mut().get_mut(&key) {
                        // Not acknowledged: the sender sends it again until the machine is back.
                        connection.flows[to].bytes += bytes.len();
                    }
                }
            }
            dialling @ EndState::Dialling(_) => {
                if let Some(connection) = self.connections.borrow_mut().get_mut(&key) {
                    connection.ends[to].state = dialling;
                }
            }
        }
        self.remove_if_over(key);
    }

    /// Forgets a connection that is over at both ends.
    fn remove_if_over(&self, key: u64) {
        let mut connections = self.connections.borrow_mut();
        let is_over = |end: &End| match &end.state {
            EndState::Dialling(_) => false,
            EndState::Open(remote) => remote.is_shut_down(),
            EndState::Gone => true,
        };
        let Some(connection) = connections.get(&key) else {
            return;
        };
        if connection.ends.iter().all(is_over) && connection.flows.iter().all(|flow| flow.packets.is_empty())
        {
            let connection = connections.remove(&key);
            for end in connection.iter().flat_map(|connection| &connection.ends) {
                if let EndState::Open(remote) = &end.state {
                    self.ends.borrow_mut().remove(&remote.number());
                }
            }
        }
    }
}
