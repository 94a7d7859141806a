//! What processes do of their own accord: calls, sends, other names, other maps.

use skyring_codec::Millis;

use super::clock::Event;
use super::messages::{Answer, FILL_BYTES_MAX, HEADER_BYTES, Kind, Order, Target};
use super::node::{Entry, NAMES};
use super::settings::Operation;
use super::world::World;

/// Messages of a run at most; processes do nothing more then.
const MESSAGES_MAX: u64 = 250;

/// Bytes of long messages in a run at most: they cost the most time.
const LONG_BYTES_MAX: u64 = 800_000;

impl World {
    /// A process does what it does at a time, and will again.
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
            // Whoever may have to wait for ever does not ask for it.
            1 if time.is_some() => Answer::Never,
            _ => Answer::Bytes(self.fill_bytes() as u32),
        };
        let order = Order {
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
        self.request(id, order, kind, order.pack(fill_bytes), time);
    }

    /// The time that a call has; None for as long as it takes.
    fn time_of_call(&mut self) -> Option<Millis> {
        let has_deadline = self.random.chance(self.settings.deadlines);
        has_deadline.then(|| self.random.up_to(self.settings.deadline_ms_max))
    }

    /// How long a message is, beside its header.
    fn fill_bytes(&mut self) -> usize {
        if self.random.chance(self.settings.long_messages) && self.ledger.counts.long_bytes < LONG_BYTES_MAX {
            // Around the lengths where one dialect or the other begins to say it in another way.
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

    /// The map says of a node that it is elsewhere, or where it was.
    fn move_peer(&mut self, node: usize) {
        let peer = self.any_peer(node);
        let place = self.any_peer(node);
        if self.nodes[node].map[peer] == Entry::Disabled {
            return;
        }
        self.ledger.counts.nodes_moved += 1;
        self.note(|_| format!("node {node}: its map has node {peer} at the place of node {place}"));
        self.nodes[node].map[peer] = Entry::At(place);
        self.entry_changed(node, peer);
    }

    /// The map turns a node off, or on again.
    fn toggle_peer(&mut self, node: usize) {
        let peer = self.any_peer(node);
        let entry = match self.nodes[node].map[peer] {
            Entry::At(_) => Entry::Disabled,
            Entry::Disabled => Entry::At(peer),
        };
        self.ledger.counts.nodes_disabled += 1;
        self.note(|_| format!("node {node}: its map says of node {peer} {entry:?}"));
        self.nodes[node].map[peer] = entry;
        self.entry_changed(node, peer);
    }

    /// What the engine does when an entry has changed.
    fn entry_changed(&mut self, node: usize, peer: usize) {
        let channels = &self.nodes[node].channels;
        let of_peer = channels.iter().filter(|((to, _), _)| *to == peer);
        let own: Vec<usize> = of_peer.map(|(_, id)| *id).collect();
        let entry = self.nodes[node].map[peer];
        let diallers = || own.iter().filter_map(|id| self.diallers[*id].as_ref());
        match entry {
            Entry::At(place) if diallers().all(|dialler| dialler.place == place) => {}
            Entry::At(place) if !diallers().any(|dialler| dialler.is_met()) => {
                // Nothing was sent to the old place that is not known to be lost: go to the new one.
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
                    self.end_now(id);
                }
            }
        }
    }
}
