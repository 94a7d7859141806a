//! The actions of processes: calls, sends, and changes of names and maps.

use skyring_codec::Millis;

use super::clock::Event;
use super::messages::{Answer, Command, FILL_BYTES_MAX, HEADER_BYTES, Kind, Target};
use super::node::{Entry, NAMES};
use super::settings::Operation;
use super::world::World;

/// The most messages of a run; processes stop then.
const MESSAGES_MAX: u64 = 250;

/// The most bytes of long messages in a run: they cost the most time.
const LONG_BYTES_MAX: u64 = 800_000;

impl World {
    /// A process acts, and schedules its next actions.
    pub(super) fn operate(&mut self, node: usize, generation: u32) {
        let place = &self.nodes[node];
        let is_same = place.is_alive && place.process.generation == generation;
        if !is_same || self.is_ending() || self.ledger.next_message() >= MESSAGES_MAX {
            return;
        }
        for _ in 0..=self.random.below(self.settings.burst_max) {
            match self.random.pick_weighted(&self.settings.operations) {
                Some(Operation::Call) => self.message(node, true),
                Some(Operation::Send) => self.message(node, false),
                Some(Operation::Register) => self.register(node),
                Some(Operation::Move) => self.move_peer(node),
                Some(Operation::Toggle) => self.toggle_peer(node),
                None => {}
            }
        }
        let gap = self.random.up_to(self.settings.operation_gap_ms_max);
        let event = Event::Operate { node, generation };
        self.clock.schedule(self.clock.now() + gap, event);
    }

    /// Any other node.
    fn any_peer(&mut self, node: usize) -> usize {
        let others = self.nodes.len() as u64 - 1;
        (node + 1 + self.random.below(others) as usize) % self.nodes.len()
    }

    fn message(&mut self, node: usize, is_call: bool) {
        let peer = self.any_peer(node);
        let Entry::At(place) = self.nodes[node].map[peer] else {
            return;
        };
        let channel = 1 + self.random.below(self.settings.nodes[node].channels.into()) as u32;
        let time = self.time_of_call();
        let fill_bytes = self.fill_bytes();
        let takes_ms = if self.random.chance(600) {
            0
        } else {
            self.random.up_to(self.settings.takes_ms_max)
        };
        let answer = match self.random.below(20) {
            0 => Answer::Error,
            // A call without a deadline would never end.
            1 if time.is_some() => Answer::Never,
            _ => Answer::Bytes(self.fill_bytes() as u32),
        };
        let command = Command {
            message: self.ledger.next_message(),
            target: match self.random.chance(400) {
                true => Target::Handle,
                false => Target::Name(self.random.below(NAMES.into()) as u8),
            },
            answer,
            takes_ms: takes_ms as u16,
        };
        let id = self.dialler_of(node, peer, channel, place);
        let kind = match is_call {
            false => Kind::Send,
            true if self.random.chance(self.settings.idempotent) => Kind::IdempotentCall,
            true => Kind::Call,
        };
        self.request(id, command, kind, command.pack(fill_bytes), time);
    }

    /// The time of a call until its deadline; None for no deadline.
    fn time_of_call(&mut self) -> Option<Millis> {
        let has_deadline = self.random.chance(self.settings.deadlines);
        has_deadline.then(|| self.random.up_to(self.settings.deadline_ms_max))
    }

    /// Bytes of the filling of a message.
    fn fill_bytes(&mut self) -> usize {
        if self.random.chance(self.settings.long_messages) && self.ledger.counts.long_bytes < LONG_BYTES_MAX {
            // Around the lengths at which a dialect changes its encoding.
            let long = self
                .random
                .pick(&[512, 32_768, 65_536, FILL_BYTES_MAX as u64 - 64]);
            let bytes = (long - HEADER_BYTES as u64)
                .saturating_add(self.random.below(64))
                .saturating_sub(32);
            self.ledger.counts.long_bytes += bytes;
            return bytes as usize;
        }
        self.random.up_to(600) as usize
    }

    /// A name gets another handle, or none for a while.
    fn register(&mut self, node: usize) {
        let number = self.random.below(NAMES.into()) as u8;
        let is_there = self.random.chance(800);
        let handle = self.nodes[node].register(number, is_there);
        self.ledger.counts.names_moved += 1;
        self.note(|_| format!("node {node}: name {number} is at {handle:?}"));
    }

    // ---- the map ----

    /// The map moves a node to another address, or back.
    fn move_peer(&mut self, node: usize) {
        let peer = self.any_peer(node);
        let place = self.any_peer(node);
        if self.nodes[node].map[peer] == Entry::Disabled {
            return;
        }
        self.ledger.counts.nodes_moved += 1;
        self.note(|_| format!("node {node}: its map has node {peer} at the address of node {place}"));
        self.nodes[node].map[peer] = Entry::At(place);
        self.entry_changed(node, peer);
    }

    /// The map disables or enables a node.
    fn toggle_peer(&mut self, node: usize) {
        let peer = self.any_peer(node);
        let entry = match self.nodes[node].map[peer] {
            Entry::At(_) => Entry::Disabled,
            Entry::Disabled => Entry::At(peer),
        };
        self.ledger.counts.nodes_disabled += 1;
        self.note(|_| format!("node {node}: its map has node {peer} as {entry:?}"));
        self.nodes[node].map[peer] = entry;
        self.entry_changed(node, peer);
    }

    /// Applies a changed entry, as the engine does.
    fn entry_changed(&mut self, node: usize, peer: usize) {
        let channels = &self.nodes[node].channels;
        let of_peer = channels.iter().filter(|((to, _), _)| *to == peer);
        let own: Vec<usize> = of_peer.map(|(_, id)| *id).collect();
        let entry = self.nodes[node].map[peer];
        let diallers = || own.iter().filter_map(|id| self.diallers[*id].as_ref());
        match entry {
            Entry::At(place) if diallers().all(|dialler| dialler.place == place) => {}
            Entry::At(place) if !diallers().any(|dialler| dialler.is_ready()) => {
                // No connection to the old address is ready, so no call is in flight: connect to the new one.
                for id in own {
                    self.set_place(id, place);
                }
            }
            Entry::At(_) => {
                self.nodes[node].channels.retain(|(to, _), _| *to != peer);
                for id in own {
                    self.retire(id);
                }
            }
            Entry::Disabled => {
                self.nodes[node].channels.retain(|(to, _), _| *to != peer);
                for id in own {
                    self.turn_off(id);
                }
            }
        }
    }
}
