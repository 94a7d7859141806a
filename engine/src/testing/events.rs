//! What goes wrong in a simulation, and its end.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::network::Ending;
use super::trace::Detail;
use super::world::World;
use crate::api::node_service::NodeService;
use crate::config::ClusterMap;
use crate::core::handle::Handle;
use crate::core::node::NodeShared;
use crate::rt::manual;
use crate::service::caller::Caller;

/// How long the shards of a node that stops have after its services have stopped.
const SHARDS_STOP_AFTER: Duration = Duration::from_millis(300);

/// How often a stop looks whether the shards have drained.
const DRAIN_LOOK: Duration = Duration::from_millis(1);

impl World {
    pub(super) fn cut(self: &Rc<Self>, one: usize, other: usize) {
        self.note_pair("cut", one, other);
        self.network.cut(self, one, other);
    }

    pub(super) fn half_open(self: &Rc<Self>, broken: usize, unaware: usize) {
        self.note_pair("cut, which the second does not notice,", broken, unaware);
        self.network.half_open(self, broken, unaware);
    }

    pub(super) fn stall(&self, from: usize, to: usize, time: Duration) {
        self.note_pair(&format!("stall for {time:?}"), from, to);
        self.network.stall(from, to, manual::time() + time);
    }

    pub(super) fn delay(&self, from: usize, to: usize, extra: Duration, time: Duration) {
        self.note_pair(&format!("delay of {extra:?} for {time:?}"), from, to);
        self.network.delay(from, to, extra, manual::time() + time);
    }

    fn note_pair(&self, what: &str, one: usize, other: usize) {
        self.note(Detail::Events, "", || {
            format!("{what} between {} and {}", self.name_of(one), self.name_of(other))
        });
    }

    /// Ends a process at once.
    pub(super) fn kill(self: &Rc<Self>, index: usize) {
        // A machine resets connections whose bytes the process has not read.
        let ending = match self.is_one_in(2) {
            true => Ending::Reset,
            false => Ending::Closed,
        };
        self.end_noted(index, ending, "is killed");
    }

    /// Ends a process with its machine.
    pub(super) fn switch_off(self: &Rc<Self>, index: usize) {
        self.end_noted(index, Ending::Silent, "is switched off");
    }

    fn end_noted(self: &Rc<Self>, index: usize, ending: Ending, what: &str) {
        if self.life_of(index).is_some() {
            self.note(Detail::Events, &self.name_of(index), || what.to_owned());
            self.end(index, ending);
        }
    }

    /// Has a process do nothing for a time.
    pub(super) fn pause(&self, index: usize, time: Duration) {
        let node = self.node(index);
        self.note(Detail::Events, &node.name, || format!("pauses for {time:?}"));
        let until = manual::time() + time;
        node.paused_until.set(node.paused_until.get().max(until));
    }

    /// Has the clock of a node run differently.
    pub(super) fn set_clock_rate(&self, index: usize, rate: u32) {
        let node = self.node(index);
        self.note(Detail::Events, &node.name, || {
            format!("its clock counts {rate} microseconds in a second")
        });
        node.clock_rate.set(rate);
        if let Some(life) = &*node.life.borrow() {
            for shard in &life.shards {
                manual::set_clock_rate(shard.place, rate);
            }
        }
    }

    /// Merges a change into the map of a node.
    pub(super) fn reload(&self, index: usize, map: ClusterMap) {
        let node = self.node(index);
        self.note(Detail::Events, &node.name, || "reloads its map".to_owned());
        let shard = node.life.borrow().as_ref().map(|life| life.shards[0].clone());
        if let Some(shard) = shard {
            manual::within(shard.place, || {
                let core = shard.as_core();
                core.cluster().reload(&core, map, Handle::NONE);
            });
        }
    }

    /// Stops a process in order: what `Node::stop` does from its thread, a task does here.
    pub(super) fn stop(self: &Rc<Self>, index: usize) {
        let node = self.node(index);
        let Some((shards, parts, tester, number)) = node.life.borrow().as_ref().map(|life| {
            let tester = life.tester.clone();
            (
                life.shards.clone(),
                Rc::new(life.parts.clone()),
                tester,
                life.number,
            )
        }) else {
            return;
        };
        self.note(Detail::Events, &node.name, || "stops".to_owned());
        let own = &shards[NodeService::shard(shards.len())];
        manual::within(own.place, || NodeService::note_stop(&own.as_core()));
        parts.cluster.close_listeners();
        for shard in &shards {
            manual::within(shard.place, || {
                let core = shard.as_core();
                core.cluster().drain(&core);
            });
        }
        let world = Rc::downgrade(self);
        let stopping = async move {
            let node: &NodeShared = &tester.shard.node;
            let time_max = Duration::from_millis(node.settings.stop_timeout_ms);
            drain(&tester, &parts.cluster.shards_drained, shards.len(), time_max).await;
            node.is_stopping.store(true, Ordering::Relaxed);
            tester.stop_services(time_max).await;
            tester.sleep(SHARDS_STOP_AFTER).await;
            if let Some(world) = world.upgrade() {
                world.at(manual::time(), move |world| {
                    if world.life_of(index) == Some(number) {
                        world.note(Detail::Events, &world.name_of(index), || "has stopped".to_owned());
                        world.end(index, Ending::Closed);
                    }
                });
            }
        };
        let first = node
            .life
            .borrow()
            .as_ref()
            .map(|life| (life.shards[0].place, life.tester.clone()));
        if let Some((place, tester)) = first {
            manual::within(place, || tester.spawn(stopping));
        }
    }
}

async fn drain(tester: &Caller, drained: &std::sync::atomic::AtomicUsize, shards: usize, time_max: Duration) {
    let mut waited = Duration::ZERO;
    while drained.load(Ordering::Acquire) < shards && waited < time_max {
        tester.sleep(DRAIN_LOOK).await;
        waited += DRAIN_LOOK;
    }
}
