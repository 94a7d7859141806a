//! The world of a simulation: its nodes, their network, its time, and the order in which everything happens.
//!
//! One *step* is one pass of one shard over what it has to do, or the passage of time to the next event. At each moment the
//! seed selects which of the shards with something to do runs first, and each pass takes some microseconds, so the shards
//! of all nodes interleave in ever other ways.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use super::network::{Ending, Network};
use super::node::{Life, SimulatedNode, SimulatedShard, map_of};
use super::random::Random;
use super::trace::{Detail, Trace};
use crate::config::ClusterMap;
use crate::core::handle::Handle;
use crate::core::placement::hash_number;
use crate::rt::manual::{self, PlaceId};

/// How long a pass of a shard takes.
const PASS_TIME: Range<Duration> = Duration::from_micros(2)..Duration::from_micros(20);

/// How long a node that did not start waits for the next attempt, as a service manager does.
const START_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Steps of one run, so that services that keep each other busy for ever fail their test.
pub(super) const STEPS_MAX: u64 = 20_000_000;

type Event = Box<dyn FnOnce(&Rc<World>)>;

/// Something that must hold after each step.
struct Invariant {
    name: String,
    check: Box<dyn Fn() -> Result<(), String>>,
}

/// An invariant that did not hold, or an operation that panicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) what: String,
    pub(super) why: String,
    pub(super) time: Duration,
}

/// What one step was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A shard ran, or time passed to the next event.
    Moved,
    /// Nothing happens before the limit, which the time is now.
    Reached,
}

pub(super) struct World {
    pub(super) seed: u64,
    schedule: RefCell<Random>,
    pub(super) nodes: RefCell<Vec<Rc<SimulatedNode>>>,
    pub(super) network: Network,
    events: RefCell<BTreeMap<(Duration, u64), Event>>,
    next_event: Cell<u64>,
    pub(super) trace: Trace,
    invariants: RefCell<Vec<Invariant>>,
    pub(super) violation: RefCell<Option<Violation>>,
    steps: Cell<u64>,
    /// The nodes whose map a fault has changed.
    pub(super) has_other_map: RefCell<BTreeSet<usize>>,
}

impl World {
    pub(super) fn new(seed: u64) -> Rc<World> {
        let random = Random::new(seed);
        Rc::new(World {
            seed,
            schedule: RefCell::new(random.stream("schedule")),
            nodes: RefCell::default(),
            network: Network::new(random.stream("network")),
            events: RefCell::default(),
            next_event: Cell::new(0),
            trace: Trace::default(),
            invariants: RefCell::default(),
            violation: RefCell::default(),
            steps: Cell::new(0),
            has_other_map: RefCell::default(),
        })
    }

    /// Has something happen at a time.
    pub(super) fn at(&self, time: Duration, event: impl FnOnce(&Rc<World>) + 'static) {
        let number = self.next_event.replace(self.next_event.get() + 1);
        let time = time.max(manual::time());
        self.events.borrow_mut().insert((time, number), Box::new(event));
    }

    pub(super) fn note(&self, detail: Detail, node: &str, text: impl FnOnce() -> String) {
        self.trace.note(detail, manual::time(), node, text);
    }

    /// True once in so many times.
    pub(super) fn is_one_in(&self, times: u64) -> bool {
        self.schedule.borrow_mut().one_in(times)
    }

    /// Drops what it would still do or check.
    pub(super) fn clear(&self) {
        let dropped = (self.events.take(), self.invariants.take());
        drop(dropped);
    }

    /// How many steps it has made.
    pub(super) fn steps(&self) -> u64 {
        self.steps.get()
    }

    // ---- nodes ----

    pub(super) fn node(&self, index: usize) -> Rc<SimulatedNode> {
        Rc::clone(&self.nodes.borrow()[index])
    }

    pub(super) fn name_of(&self, index: usize) -> String {
        self.nodes.borrow()[index].name.to_string()
    }

    /// The node of a place, and its process.
    pub(super) fn node_of(&self, place: PlaceId) -> Option<(usize, u64)> {
        let nodes = self.nodes.borrow();
        nodes.iter().find_map(|node| {
            let life = node.life.borrow();
            let life = life.as_ref()?;
            let is_its = life.shards.iter().any(|shard| shard.place == place);
            is_its.then_some((node.index, life.number))
        })
    }

    /// The process of a node, if it runs.
    pub(super) fn life_of(&self, node: usize) -> Option<u64> {
        let nodes = self.nodes.borrow();
        let life = nodes.get(node)?.life.borrow();
        life.as_ref().map(|life| life.number)
    }

    /// Whether the machine of a node is off.
    pub(super) fn is_off(&self, node: usize) -> bool {
        self.nodes
            .borrow()
            .get(node)
            .is_some_and(|node| node.is_off.get())
    }

    pub(super) fn map(&self) -> ClusterMap {
        let nodes = self.nodes.borrow();
        let open = nodes.iter().filter(|node| node.setup.is_open);
        map_of(open.map(|node| (node.index, &*node.name)))
    }

    /// Adds a node, which the others learn of, and starts it.
    pub(super) fn add(self: &Rc<Self>, node: SimulatedNode) {
        let index = node.index;
        self.nodes.borrow_mut().push(Rc::new(node));
        let map = self.map();
        let running: Vec<SimulatedShard> = {
            let nodes = self.nodes.borrow();
            let first = |node: &Rc<SimulatedNode>| Some(node.life.borrow().as_ref()?.shards[0].clone());
            nodes.iter().filter_map(first).collect()
        };
        for shard in running {
            let map = map.clone();
            manual::within(shard.place, || {
                let core = shard.as_core();
                core.cluster().reload(&core, map, Handle::NONE);
            });
        }
        self.start(index);
    }

    /// Starts a node that does not run.
    pub(super) fn start(self: &Rc<Self>, index: usize) {
        let node = self.node(index);
        if node.life.borrow().is_some() {
            return;
        }
        let number = node.lives.get();
        self.note(Detail::Events, &node.name, || match number {
            0 => "starts".to_owned(),
            _ => "starts again".to_owned(),
        });
        node.paused_until.set(Duration::ZERO);
        if node.is_off.replace(false) {
            self.network.machine_is_back(self, index);
        }
        let life = Life::start(self, &node, self.map());
        *node.life.borrow_mut() = Some(life);
    }

    /// Ends the process of a node at once.
    pub(super) fn end(self: &Rc<Self>, index: usize, ending: Ending) {
        let node = self.node(index);
        node.is_off.set(node.is_off.get() || ending == Ending::Silent);
        let life = node.life.borrow_mut().take();
        if let Some(life) = life {
            life.end(self, index, ending);
        }
    }

    // ---- invariants ----

    pub(super) fn add_invariant(&self, name: &str, check: impl Fn() -> Result<(), String> + 'static) {
        self.invariants.borrow_mut().push(Invariant {
            name: name.to_owned(),
            check: Box::new(check),
        });
    }

    /// Records the first violation.
    pub(super) fn violated(&self, what: &str, why: String) {
        let mut violation = self.violation.borrow_mut();
        if violation.is_none() {
            let time = manual::time();
            self.note(Detail::Events, "", || format!("VIOLATED {what}: {why}"));
            *violation = Some(Violation {
                what: what.to_owned(),
                why,
                time,
            });
        }
    }

    fn check(&self) {
        let invariants = self.invariants.borrow();
        for invariant in &*invariants {
            if let Err(why) = (invariant.check)() {
                self.violated(&invariant.name, why);
                return;
            }
        }
    }

    // ---- steps ----

    /// Makes one step, none past `until`.
    pub(super) fn step(self: &Rc<Self>, until: Duration) -> Step {
        self.network.collect(self);
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        if steps > STEPS_MAX {
            self.violated(
                "the run ends",
                format!("after {STEPS_MAX} steps the services still keep each other busy"),
            );
            manual::set_time(until);
            return Step::Reached;
        }
        match self.find_ready() {
            Ok((node, shard)) => {
                self.run_shard(&node, &shard);
                Step::Moved
            }
            Err(ready_at) => self.pass_time(ready_at, until),
        }
    }

    /// A shard that can run now, or when the next one can.
    fn find_ready(&self) -> Result<(Rc<SimulatedNode>, SimulatedShard), Option<Duration>> {
        let time = manual::time();
        let mut ready = Vec::new();
        let mut ready_at: Option<Duration> = None;
        for node in &*self.nodes.borrow() {
            let life = node.life.borrow();
            let Some(life) = &*life else { continue };
            for shard in &life.shards {
                if manual::is_runnable(shard.place) {
                    let at = shard.busy_until.get().max(node.paused_until.get());
                    if at <= time {
                        ready.push((Rc::clone(node), shard.clone()));
                    } else {
                        ready_at = Some(ready_at.map_or(at, |earliest| earliest.min(at)));
                    }
                }
            }
        }
        let picked = match ready.len() {
            0 => return Err(ready_at),
            1 => 0,
            count => self.schedule.borrow_mut().below(count as u64) as usize,
        };
        Ok(ready.swap_remove(picked))
    }

    fn run_shard(self: &Rc<Self>, node: &SimulatedNode, shard: &SimulatedShard) {
        let time = manual::time();
        self.trace.count(
            time,
            hash_number(((node.index as u64) << 32) | shard.core.index as u64),
        );
        self.note(Detail::All, &node.name, || {
            format!("shard {} runs", shard.core.index)
        });
        let takes = self.schedule.borrow_mut().duration(PASS_TIME);
        shard.busy_until.set(time + takes);
        manual::pass(shard.place);
        self.network.collect(self);
        self.note_log(node);
        self.check();
        self.look_at_start(node);
    }

    fn note_log(&self, node: &SimulatedNode) {
        let life = node.life.borrow();
        if let Some(life) = &*life {
            let own = life.tester.handle().0;
            while let Some((source, text)) = life.log.pop() {
                if source == own {
                    continue;
                }
                self.note(Detail::Events, &node.name, || match source {
                    0 => text,
                    source => format!(":{source:08x} {text}"),
                });
            }
        }
    }

    /// A process that does not start ends, and a service manager starts it again.
    fn look_at_start(self: &Rc<Self>, node: &SimulatedNode) {
        let failed = {
            let life = node.life.borrow();
            let Some(life) = &*life else { return };
            // The first start is the test's business.
            let started = life.started.borrow();
            match &*started {
                Some(Err(error)) if life.number > 0 => Some((error.to_string(), life.number)),
                _ => None,
            }
        };
        if let Some((error, number)) = failed {
            self.note(Detail::Events, &node.name, || {
                format!("did not start, and tries again: {error}")
            });
            self.end(node.index, Ending::Closed);
            let index = node.index;
            self.at(manual::time() + START_AGAIN_AFTER, move |world| {
                if world.node(index).lives.get() == number + 1 {
                    world.start(index);
                }
            });
        }
    }

    fn pass_time(self: &Rc<Self>, ready_at: Option<Duration>, until: Duration) -> Step {
        let event_at = self.events.borrow().first_key_value().map(|(key, _)| key.0);
        let next = [ready_at, event_at, manual::next_wake()]
            .into_iter()
            .flatten()
            .min();
        let Some(next) = next.filter(|next| *next <= until) else {
            manual::set_time(until.max(manual::time()));
            return Step::Reached;
        };
        manual::set_time(next);
        loop {
            let event = {
                let mut events = self.events.borrow_mut();
                let first = events.first_entry().filter(|first| first.key().0 <= next);
                first.map(|first| first.remove())
            };
            match event {
                Some(event) => event(self),
                None => break,
            }
        }
        self.check();
        Step::Moved
    }
}
