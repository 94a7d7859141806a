//! How a dialler connects, and how it retries, as the engine does it.

use skyring_codec::Millis;
use skyring_codec::link::Dialect;

use super::clock::Event;
use super::dialler::Stage;
use super::network::Side;
use super::transfer::output_of;
use super::world::World;

/// How long one attempt to connect may take, in milliseconds.
const CONNECT_MS_MAX: Millis = 3_000;

/// The pause after the first failed attempt; it doubles with each further one.
const RETRY_MS_MIN: Millis = 50;

/// The longest pause between two attempts.
const RETRY_MS_MAX: Millis = 2_000;

impl World {
    pub(super) fn connect_if_needed(&mut self, id: usize) {
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        if dialler.link.is_idle() {
            dialler.stage = Stage::Idle;
            if dialler.is_retired {
                self.end_dialler(id);
            }
            return;
        }
        dialler.stage = Stage::Connecting;
        dialler.attempt += 1;
        let attempt = dialler.attempt;
        let place = &self.nodes[dialler.place];
        let takes = match place.is_unreachable {
            true => CONNECT_MS_MAX,
            false => self.random.up_to(self.settings.latency_ms_max),
        };
        let event = Event::Connected { dialler: id, attempt };
        self.clock.schedule(self.clock.now() + takes, event);
    }

    /// An attempt to connect has succeeded or failed.
    pub(super) fn connected(&mut self, id: usize, attempt: u64) {
        let now = self.clock.now();
        let Some(dialler) = &self.diallers[id] else { return };
        if dialler.attempt != attempt || dialler.stage != Stage::Connecting {
            return;
        }
        let place = dialler.place;
        let target = &self.nodes[place];
        if !target.is_alive || target.not_listening_until > now {
            return self.fail_attempt(id, "connection refused");
        }
        // Ends the calls that have expired meanwhile, so that they are not sent.
        self.take_events(id);
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        let processes = [dialler.process, self.nodes[place].process];
        let latency = self.random.up_to(self.settings.latency_ms_max);
        let pieces = self.random.pick(&self.settings.pieces);
        let buffer = self.settings.buffer_bytes_max;
        let connection = self.network.connect(id, processes, latency, pieces, buffer);
        dialler.stage = Stage::Up { connection };
        dialler.is_ready = false;
        dialler.has_said_goodbye = false;
        dialler.is_flush_scheduled = false;
        let dialled = match dialler.dialect {
            Dialect::Skynet => {
                dialler.link.connected();
                Ok(())
            }
            Dialect::Native => {
                let node = &self.nodes[dialler.process.node];
                let hello = node.hello(&mut self.random, dialler.channel, dialler.channels);
                let allows_skynet = self.settings.nodes[place].dialect == Dialect::Skynet;
                let access = self.settings.access(dialler.process.node, allows_skynet);
                dialler.link.set_access(access);
                let dialled = dialler.link.dial(now, &hello);
                dialler.hello = output_of(&dialler.link, usize::MAX);
                dialled
            }
        };
        if dialler.dialect == Dialect::Skynet {
            self.ready(id, Dialect::Skynet, None);
        }
        self.accept(connection);
        self.note(|_| format!("dialler {id} is connected to node {place}: connection {connection}"));
        if let Err(error) = dialled {
            self.ledger.fail(|| format!("dialler {id}: {error}"));
        }
        self.drive(id);
    }

    fn fail_attempt(&mut self, id: usize, why: &str) {
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        dialler.failures += 1;
        dialler.stage = Stage::Pausing;
        let longest = (RETRY_MS_MIN << (dialler.failures - 1).min(10)).min(RETRY_MS_MAX);
        let attempt = dialler.attempt;
        self.note(|_| format!("dialler {id} is not connected: {why}"));
        let pause = self.random.between(longest / 2..=longest);
        let event = Event::Retry { dialler: id, attempt };
        self.clock.schedule(self.clock.now() + pause, event);
        if self.random.chance(self.settings.withdrawals) {
            self.withdraw_calls(id);
        }
    }

    /// The peer is marked down: queued calls are withdrawn.
    fn withdraw_calls(&mut self, id: usize) {
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        dialler.is_withdrawing = true;
        let all = self.settings.are_withdrawn_all;
        dialler.link.withdraw(|token| all || token % 2 == 0);
        self.ledger.counts.withdrawals += 1;
        self.note(|_| format!("dialler {id} withdraws its queued calls"));
        self.take_events(id);
        if let Some(dialler) = &mut self.diallers[id] {
            dialler.is_withdrawing = false;
        }
    }

    /// The pause after a failed attempt is over.
    pub(super) fn retry(&mut self, id: usize, attempt: u64) {
        if let Some(dialler) = &self.diallers[id]
            && dialler.stage == Stage::Pausing
            && dialler.attempt == attempt
        {
            self.connect_if_needed(id);
        }
    }

    /// Closes the connection, and connects again if there is something to send.
    pub(super) fn lose_connection(&mut self, id: usize, why: &str) {
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        let Stage::Up { connection } = dialler.stage else {
            return;
        };
        self.note(|_| format!("dialler {id} closes connection {connection}: {why}"));
        self.close_side(connection, Side::Dialler);
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        let was_ready = std::mem::replace(&mut dialler.is_ready, false);
        if was_ready {
            dialler.down_since = self.clock.now();
        }
        dialler.stage = Stage::Idle;
        dialler.link.disconnected();
        if dialler.link.has_output() || dialler.link.has_partial_input() {
            self.ledger
                .fail(|| format!("dialler {id} keeps bytes of a connection that broke"));
        }
        self.take_events(id);
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        if was_ready || dialler.is_retired {
            dialler.failures = 0;
            self.connect_if_needed(id);
        } else {
            self.fail_attempt(id, "it did not answer the hello");
        }
        self.drive(id);
    }

    /// Closes one side of a connection.
    pub(super) fn close_side(&mut self, connection: usize, side: Side) {
        let written = self.network.incoming_bytes(connection, side.other()) as u64;
        let kept = self.random.up_to(written) as usize;
        self.network.close(&mut self.clock, connection, side, kept);
    }
}
