//! Disturbances of connections and of processes.

use skyring_codec::Millis;

use super::clock::Event;
use super::ledger::Process;
use super::network::{FOREVER, Side};
use super::settings::Disturbance;
use super::world::World;

/// How much later one side of a connection may detect that it was cut, in milliseconds.
const LATE_MS_MAX: Millis = 8_000;

/// How long a connection may be silent before the silence ends or the connection is cut, in milliseconds.
const SILENCE_MS_MAX: Millis = 20_000;

/// How long a connection may stall, and a process pause, in milliseconds.
const PAUSE_MS_MAX: Millis = 6_000;

/// How long a node may be without a process, in milliseconds.
const DOWN_MS_MAX: Millis = 5_000;

/// The same, in rare cases: longer than either end keeps a session.
const DOWN_LONG_MS_MAX: Millis = 100_000;

impl World {
    /// Applies a disturbance, and schedules the next one.
    pub(super) fn disturb(&mut self) {
        if self.is_ending() {
            return;
        }
        if let Some(disturbance) = self.random.pick_weighted(&self.settings.disturbances) {
            self.apply(disturbance);
        }
        let gap = self.random.up_to(self.settings.disturbance_gap_ms_max);
        self.clock.schedule(self.clock.now() + 1 + gap, Event::Disturb);
    }

    fn apply(&mut self, disturbance: Disturbance) {
        let now = self.clock.now();
        match disturbance {
            Disturbance::Cut => {
                if let Some(connection) = self.any_connection() {
                    self.count_coverage(disturbance, &[connection]);
                    self.cut(connection, [now, now]);
                }
            }
            Disturbance::HalfOpen => {
                if let Some(connection) = self.any_connection() {
                    self.count_coverage(disturbance, &[connection]);
                    let late = now + self.random.up_to(LATE_MS_MAX);
                    let seen = if self.random.chance(500) {
                        [now, late]
                    } else {
                        [late, now]
                    };
                    self.cut(connection, seen);
                }
            }
            Disturbance::Stall => {
                if let Some(connection) = self.any_connection() {
                    self.count_coverage(disturbance, &[connection]);
                    let until = now + self.random.up_to(PAUSE_MS_MAX);
                    self.ledger.counts.stalls += 1;
                    self.hold(connection, until);
                    self.clock.schedule(until, Event::EndDisturbance { connection });
                }
            }
            Disturbance::Silence => {
                if let Some(connection) = self.any_connection() {
                    self.count_coverage(disturbance, &[connection]);
                    self.ledger.counts.silences += 1;
                    self.hold(connection, FOREVER);
                    let until = now + self.random.up_to(SILENCE_MS_MAX);
                    if self.random.chance(500) {
                        self.clock.schedule(until, Event::EndDisturbance { connection });
                    } else {
                        // Both kernels detect it in the end, at different times.
                        let late = until + self.random.up_to(LATE_MS_MAX);
                        self.cut(connection, [until, late]);
                    }
                }
            }
            Disturbance::Crash => self.crash(),
            Disturbance::Pause => self.pause(),
            Disturbance::NotListening => {
                self.count_coverage(disturbance, &[]);
                self.stop_listening();
            }
            Disturbance::Goodbye => self.goodbye(),
            Disturbance::Intrusion => {
                self.count_coverage(disturbance, &[]);
                self.intrude();
            }
            Disturbance::SessionDrop => {
                if let Some(acceptor) = self.any_session() {
                    self.count_coverage(disturbance, &[]);
                    self.drop_session(acceptor);
                }
            }
        }
    }

    /// Counts the messages in flight on the connections that a disturbance affects.
    fn count_coverage(&mut self, disturbance: Disturbance, connections: &[usize]) {
        let in_flight = self.network.in_flight(connections);
        self.ledger.counts.coverage.count(disturbance, in_flight);
    }

    /// The connections of a process that were not cut.
    fn connections_of(&self, process: Process) -> Vec<usize> {
        let mut connections = self.network.whole();
        connections.retain(|id| {
            let connection = self.network.get(*id);
            Side::BOTH
                .into_iter()
                .any(|side| connection.process(side) == process)
        });
        connections
    }

    fn any_connection(&mut self) -> Option<usize> {
        let whole = self.network.whole();
        (!whole.is_empty()).then(|| self.random.pick(&whole))
    }

    /// A process accepts no connections for a while; in rare cases for longer than sessions are kept, and then it
    /// loses its connections as well.
    fn stop_listening(&mut self) {
        let (node, now) = (self.any_node(), self.clock.now());
        let is_long = self.random.chance(100);
        let until = now + self.down_ms(is_long);
        self.nodes[node].not_listening_until = until;
        self.note(|_| format!("node {node} accepts no connections until {until}"));
        if is_long {
            for connection in self.network.whole() {
                if self.network.get(connection).process(Side::Acceptor).node == node {
                    self.cut(connection, [now, now]);
                }
            }
        }
    }

    /// How long a process is down or accepts no connections.
    fn down_ms(&mut self, is_long: bool) -> Millis {
        match is_long {
            true => self.random.between(DOWN_LONG_MS_MAX / 2..=DOWN_LONG_MS_MAX),
            false => self.random.up_to(DOWN_MS_MAX),
        }
    }

    fn any_node(&mut self) -> usize {
        self.random.below(self.nodes.len() as u64) as usize
    }

    /// Cuts a connection: each side detects it at its own time, and receives some of the bytes in flight.
    fn cut(&mut self, connection: usize, seen: [Millis; 2]) {
        self.ledger.counts.cuts += 1;
        for (side, seen) in Side::BOTH.into_iter().zip(seen) {
            let incoming = self.network.incoming_bytes(connection, side);
            let kept = match self.random.below(4) {
                0 => 0,
                1 => incoming,
                2 => incoming.saturating_sub(self.random.up_to(60) as usize),
                _ => self.random.up_to(incoming as u64) as usize,
            };
            self.note(|_| {
                format!("connection {connection} is cut: its {side:?} gets {kept} bytes of {incoming}, and sees it at {seen}")
            });
            self.network.cut(&mut self.clock, connection, side, kept, seen);
        }
    }

    /// Lets no bytes pass until then, in one direction or in both.
    fn hold(&mut self, connection: usize, until: Millis) {
        let sides = self
            .random
            .pick(&[&Side::BOTH[..], &Side::BOTH[..1], &Side::BOTH[1..]]);
        self.note(|_| format!("connection {connection}: no bytes reach its {sides:?} until {until}"));
        for side in sides {
            self.network.hold(connection, *side, until);
        }
    }

    /// A process ends, with its machine or without it, and restarts later.
    fn crash(&mut self) {
        let (node, now) = (self.any_node(), self.clock.now());
        if !self.nodes[node].is_alive {
            return;
        }
        self.ledger.counts.crashes += 1;
        let is_long = self.random.chance(20);
        let starts = now + 1 + self.down_ms(is_long);
        let is_machine = self.random.chance(300);
        self.note(|_| format!("node {node} ends, its machine too: {is_machine}; it starts at {starts}"));
        let process = self.nodes[node].process;
        self.count_coverage(Disturbance::Crash, &self.connections_of(process));
        self.nodes[node].is_alive = false;
        self.nodes[node].is_unreachable = is_machine;
        self.nodes[node].paused_until = 0;
        self.ledger.abandon(process);
        for dialler in &mut self.diallers {
            if dialler.as_ref().is_some_and(|dialler| dialler.process == process) {
                *dialler = None;
            }
        }
        for acceptor in &mut self.acceptors {
            if acceptor
                .as_ref()
                .is_some_and(|acceptor| acceptor.process == process)
            {
                *acceptor = None;
            }
        }
        for connection in self.network.select(|connection| connection.is_alive()) {
            for side in Side::BOTH {
                if self.network.get(connection).process(side) == process {
                    self.end_side(connection, side, if is_machine { starts } else { now });
                }
            }
        }
        self.clock.schedule(starts, Event::Start { node });
    }

    /// The process of one side of a connection has ended; the other side sees the end some time after `seen`.
    fn end_side(&mut self, connection: usize, side: Side, seen: Millis) {
        self.network.forget_side(&mut self.clock, connection, side);
        let other = side.other();
        if self.network.get(connection).is_open(other) {
            let incoming = self.network.incoming_bytes(connection, other) as u64;
            let kept = self.random.up_to(incoming) as usize;
            let seen = seen + self.random.up_to(self.settings.latency_ms_max);
            self.network.cut(&mut self.clock, connection, other, kept, seen);
        }
    }

    fn pause(&mut self) {
        let node = self.any_node();
        let now = self.clock.now();
        let place = &mut self.nodes[node];
        if place.is_alive && place.paused_until <= now {
            place.paused_until = now + self.random.up_to(PAUSE_MS_MAX);
            self.ledger.counts.pauses += 1;
            let until = place.paused_until;
            let process = place.process;
            self.count_coverage(Disturbance::Pause, &self.connections_of(process));
            self.note(|_| format!("node {node} is paused until {until}"));
        }
    }

    fn goodbye(&mut self) {
        let Some(connection) = self.any_connection() else {
            return;
        };
        self.ledger.counts.goodbyes += 1;
        self.count_coverage(Disturbance::Goodbye, &[connection]);
        let closes_after = self.random.up_to(PAUSE_MS_MAX);
        self.note(|_| {
            format!("connection {connection}: its acceptor sends goodbye, and closes after {closes_after} ms")
        });
        self.send_goodbye(connection, closes_after);
    }

    /// Ends the disturbances of connections. Processes that are down or paused return at their time.
    pub(super) fn end_disturbances(&mut self) {
        self.note(|_| "the disturbances end".to_owned());
        for connection in self.network.select(|connection| connection.is_alive()) {
            self.network.end_disturbance(&mut self.clock, connection);
        }
        // The end of the run is checked again when the last process has returned.
        let paused_until = self.nodes.iter().map(|node| node.paused_until).max();
        self.clock.schedule(paused_until.unwrap_or(0), Event::Settled);
    }
}
