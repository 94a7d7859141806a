//! What goes wrong with the connections between nodes.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::super::world::World;
use super::{Connection, End, EndState, Ending, LATENCY, Network, Packet};
use crate::rt::manual;

/// How long the other host may acknowledge nothing before the kernel gives the connection up.
const UNACKNOWLEDGED_TIME_MAX: Duration = Duration::from_secs(60);

impl Network {
    /// The connections for which `is_meant` holds, which gets the nodes of both ends.
    fn keys(&self, is_meant: impl Fn(&Connection) -> bool) -> Vec<u64> {
        let connections = self.connections.borrow();
        let meant = connections.iter().filter(|(_, connection)| is_meant(connection));
        meant.map(|(key, _)| *key).collect()
    }

    fn keys_between(&self, one: usize, other: usize) -> Vec<u64> {
        self.keys(|connection| {
            let nodes = [connection.ends[0].node, connection.ends[1].node];
            nodes == [one, other] || nodes == [other, one]
        })
    }

    /// Breaks one end of a connection, if it is open.
    fn break_end(&self, world: &Rc<World>, key: u64, end: usize, cause: io::ErrorKind) {
        let state = match self.connections.borrow_mut().get_mut(&key) {
            Some(connection) => std::mem::replace(&mut connection.ends[end].state, EndState::Gone),
            None => return,
        };
        match state {
            EndState::Open(remote) => remote.fail(cause),
            EndState::Dialling(dial) => dial.refuse(),
            EndState::Gone => return,
        }
        self.note(world, key, "broken");
    }

    /// Breaks every connection between two nodes at both ends; what was on the way is lost.
    pub(in crate::testing) fn cut(&self, world: &Rc<World>, one: usize, other: usize) {
        for key in self.keys_between(one, other) {
            if let Some(connection) = self.connections.borrow_mut().get_mut(&key) {
                for flow in &mut connection.flows {
                    flow.is_silent = true;
                }
            }
            for end in [0, 1] {
                self.break_end(world, key, end, io::ErrorKind::ConnectionReset);
            }
            self.connections.borrow_mut().remove(&key);
        }
    }

    /// Breaks every connection between two nodes for the first one only: the second believes that all is well until it
    /// sends.
    pub(in crate::testing) fn half_open(&self, world: &Rc<World>, broken: usize, unaware: usize) {
        for key in self.keys_between(broken, unaware) {
            let mut end = None;
            if let Some(connection) = self.connections.borrow_mut().get_mut(&key) {
                for flow in &mut connection.flows {
                    flow.is_silent = true;
                }
                end = connection.ends.iter().position(|end| end.node == broken);
            }
            if let Some(end) = end {
                self.break_end(world, key, end, io::ErrorKind::ConnectionReset);
                self.give_up_later(world, key);
            }
        }
    }

    /// The kernel of an end whose peer is silent gives the connection up.
    fn give_up_later(&self, world: &Rc<World>, key: u64) {
        let at = manual::time() + UNACKNOWLEDGED_TIME_MAX;
        world.at(at, move |world| {
            for end in [0, 1] {
                world.network.break_end(world, key, end, io::ErrorKind::TimedOut);
            }
            world.network.connections.borrow_mut().remove(&key);
        });
    }

    /// Delays everything that one node sends to another until then; nothing is lost.
    pub(in crate::testing) fn stall(&self, from: usize, to: usize, until: Duration) {
        let mut links = self.links.borrow_mut();
        let link = links.entry((from, to)).or_default();
        link.stalled_until = link.stalled_until.max(until);
    }

    /// Has everything that one node sends to another take longer until then.
    pub(in crate::testing) fn delay(&self, from: usize, to: usize, extra: Duration, until: Duration) {
        let mut links = self.links.borrow_mut();
        let link = links.entry((from, to)).or_default();
        (link.extra, link.extra_until) = (extra, until);
    }

    /// Ends all stalls and delays; what they held back arrives.
    pub(in crate::testing) fn heal(&self, world: &Rc<World>) {
        self.links.borrow_mut().clear();
        let now = manual::time();
        for (key, connection) in &mut *self.connections.borrow_mut() {
            for to in [0, 1] {
                let flow = &mut connection.flows[to];
                if flow.last_at > now + LATENCY.end {
                    flow.last_at = now + LATENCY.end;
                    let key = *key;
                    for (at, _) in &mut flow.packets {
                        *at = (*at).min(flow.last_at);
                        world.at(*at, move |world| world.network.deliver(world, key, to));
                    }
                }
            }
        }
    }

    /// Ends the connections of a process that has ended.
    pub(in crate::testing) fn end_process(&self, world: &Rc<World>, node: usize, life: u64, ending: Ending) {
        let is_of_process = |end: &End| end.node == node && end.life == life;
        for key in self.keys(|connection| connection.ends.iter().any(is_of_process)) {
            for end in [0, 1] {
                let was_open = {
                    let mut connections = self.connections.borrow_mut();
                    let Some(connection) = connections.get_mut(&key) else {
                        continue;
                    };
                    if !is_of_process(&connection.ends[end]) {
                        continue;
                    }
                    if ending == Ending::Silent {
                        connection.flows[1 - end].is_silent = true;
                    }
                    let state = std::mem::replace(&mut connection.ends[end].state, EndState::Gone);
                    !matches!(state, EndState::Gone)
                };
                match ending {
                    _ if !was_open => {}
                    Ending::Closed => self.send(world, key, 1 - end, Packet::Close),
                    Ending::Reset => {
                        self.send(world, key, 1 - end, Packet::Reset(io::ErrorKind::ConnectionReset));
                    }
                    Ending::Silent => self.give_up_later(world, key),
                }
            }
            self.remove_if_over(key);
        }
    }

    /// A machine is on again: it resets the connections of its earlier processes when it hears of them, which it does when
    /// the other end sends something again.
    pub(in crate::testing) fn machine_is_back(&self, world: &Rc<World>, node: usize) {
        let lost = self.keys(|connection| {
            connection
                .ends
                .iter()
                .any(|end| end.node == node && matches!(end.state, EndState::Gone))
        });
        for key in lost {
            let mut other = None;
            if let Some(connection) = self.connections.borrow_mut().get_mut(&key)
                && let Some(end) = connection.ends.iter().position(|end| end.node == node)
            {
                for flow in &mut connection.flows {
                    flow.is_silent = false;
                    flow.packets.clear();
                }
                // What was sent meanwhile is sent again by the other kernel.
                other = (connection.flows[end].bytes > 0).then_some(1 - end);
            }
            if let Some(other) = other {
                self.send(world, key, other, Packet::Reset(io::ErrorKind::ConnectionReset));
            }
        }
    }
}
