//! One turn of a shard.

use std::rc::Rc;
use std::time::Instant;

use crate::core::Router;
use crate::core::ShardCore;
use crate::core::clock::is_turn_over;
use crate::core::envelope::Envelope;
use crate::rt;
use crate::shard::Shard;

impl Shard {
    /// Handles the messages of other threads, and pushes the staged messages to other shards; returns true when work
    /// is left.
    pub(super) fn turn(&self, shard: &Rc<ShardCore>) -> bool {
        let started = rt::now();
        let figures = &shard.figures;
        figures.turns.set(figures.turns.get() + 1);
        shard.update_now();
        let mut more = self.handle_from_others(shard, started);
        more |= self.drain_run_queue(shard, started);
        more |= self.push_staged(shard);
        while let Some(connection) = shard.pop_unflushed() {
            connection.flush(shard);
        }
        more
    }

    /// Whether other threads have messages for this shard.
    pub(super) fn has_messages(&self, shard: &ShardCore) -> bool {
        !shard.node.injectors[shard.index].is_empty() || !self.mesh.is_empty(shard.index)
    }

    fn handle_from_others(&self, shard: &Rc<ShardCore>, started: Instant) -> bool {
        let injector = &shard.node.injectors[shard.index];
        loop {
            let mut took = false;
            if let Some(job) = injector.pop() {
                job(shard);
                took = true;
            }
            // One batch of each shard in rotation, so that no shard starves another.
            for from in 0..shard.shards() {
                if let Some(batch) = self.mesh.pop(from, shard.index) {
                    for envelope in batch {
                        self.handle_envelope(shard, envelope);
                    }
                    took = true;
                }
            }
            if !took {
                return false;
            }
            if is_turn_over(started) {
                return self.has_messages(shard);
            }
        }
    }

    fn handle_envelope(&self, shard: &Rc<ShardCore>, envelope: Envelope) {
        match envelope {
            Envelope::Request(mut request) => self.deliver(shard, &mut request),
            Envelope::Reply { reply_to, result } => self.reply(shard, reply_to, result),
            Envelope::Remote(request) => self.cluster.request(shard, *request),
            Envelope::Job(job) | Envelope::SocketCommand(job) => job(shard),
            Envelope::Delivery(delivery) => self.deliver_event_here(shard, delivery),
            Envelope::Handled { socket, bytes } => self.sockets.event_handled(shard, socket, bytes as usize),
        }
    }

    /// Pushes the staged messages to the other shards; returns true when a queue was full.
    fn push_staged(&self, shard: &ShardCore) -> bool {
        let crossed = self.crossed.take();
        if crossed > 0 {
            let figures = &shard.figures;
            figures
                .messages_crossed
                .set(figures.messages_crossed.get() + crossed);
            shard.node.metrics.messages_crossed.add(crossed);
        }
        let mut left = false;
        for (to, staged) in self.staged.iter().enumerate() {
            let mut staged = staged.borrow_mut();
            while !staged.is_empty() {
                let batch = staged.next_batch();
                if let Err(batch) = self.mesh.push(shard.index, to, batch) {
                    staged.put_back(batch);
                    left = true;
                    break;
                }
                shard.node.injectors[to].bell().ring();
            }
        }
        left
    }
}
