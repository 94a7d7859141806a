//! Faults: what goes wrong in a run, drawn from its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::node::CLOCK_RATE;
use super::random::Random;
use super::world::World;
use crate::config::{ClusterMap, NodeEntry};
use crate::rt::manual;

/// Most faults of a run, unless [`Faults::at_most`] says otherwise.
const FAULTS_MAX: u64 = 6;

/// How long most faults last at most; one in four lasts longer.
const SHORT: Duration = Duration::from_millis(200);

/// How long the others last at most.
const LONG: Duration = Duration::from_secs(4);

/// Half of the faults come so soon after an operation has begun that they may meet it.
const SOON: Duration = Duration::from_millis(4);

/// The longest additional delay.
const DELAY_MAX: Duration = Duration::from_millis(300);

/// How often is looked whether a node that stops has stopped, to start it again.
const STOPPED_LOOK: Duration = Duration::from_millis(50);

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// The connections of two nodes break; what was on the way is lost.
    Cut,
    /// The same, and one of the two does not notice.
    HalfOpen,
    /// Everything between two nodes is held back for a time.
    Stall,
    /// Everything from one node to another is held back for a time.
    Silence,
    /// Everything between two nodes takes longer for a time.
    Delay,
    /// A process is killed, and started again later.
    Kill,
    /// A machine is switched off, and on again later.
    SwitchOff,
    /// A node stops in order, and is started again later.
    Restart,
    /// A process does nothing for a time.
    Pause,
    /// A clock runs faster or slower for the rest of the faults' time.
    Clock,
    /// A node's map has another node turned off for a time.
    Reload,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [FaultKind; 11] = [
        FaultKind::Cut,
        FaultKind::HalfOpen,
        FaultKind::Stall,
        FaultKind::Silence,
        FaultKind::Delay,
        FaultKind::Kill,
        FaultKind::SwitchOff,
        FaultKind::Restart,
        FaultKind::Pause,
        FaultKind::Clock,
        FaultKind::Reload,
    ];

    /// Whether it concerns two nodes.
    fn needs_two(self) -> bool {
        use FaultKind::{Cut, Delay, HalfOpen, Reload, Silence, Stall};
        matches!(self, Cut | HalfOpen | Stall | Silence | Delay | Reload)
    }
}

/// Which faults the runs of a scenario have.
#[derive(Debug, Clone)]
pub struct Faults {
    kinds: BTreeSet<FaultKind>,
    most: u64,
    spared: BTreeSet<String>,
}

impl Faults {
    /// Every kind, up to six faults in a run.
    pub fn all() -> Faults {
        Faults::only(&FaultKind::ALL)
    }

    /// None.
    pub fn none() -> Faults {
        Faults::only(&[])
    }

    /// These kinds, up to six faults in a run.
    pub fn only(kinds: &[FaultKind]) -> Faults {
        Faults {
            kinds: kinds.iter().copied().collect(),
            most: FAULTS_MAX,
            spared: BTreeSet::new(),
        }
    }

    /// All but this kind.
    #[must_use]
    pub fn without(mut self, kind: FaultKind) -> Faults {
        self.kinds.remove(&kind);
        self
    }

    /// At most so many faults in a run.
    #[must_use]
    pub fn at_most(mut self, most: u64) -> Faults {
        self.most = most;
        self
    }

    /// No fault of the process, the machine, the clock or the map of this node; its connections are not spared.
    #[must_use]
    pub fn sparing(mut self, node: &str) -> Faults {
        self.spared.insert(node.to_owned());
        self
    }

    /// The faults of a run with these nodes, within `time`; `operations` are the times at which operations begin.
    pub(super) fn plan(
        &self,
        random: &mut Random,
        nodes: &[String],
        time: Duration,
        operations: &[Duration],
    ) -> Vec<Fault> {
        let kinds: Vec<FaultKind> = self.kinds.iter().copied().collect();
        let count = random.below(self.most + 1);
        let mut faults = Vec::new();
        for _ in 0..count {
            let Some(kind) = random.pick(&kinds).copied() else {
                break;
            };
            let at = match random.pick(operations) {
                Some(begins) if random.one_in(2) => *begins + random.duration(Duration::ZERO..SOON),
                _ => random.duration(Duration::ZERO..time),
            };
            let long = if random.one_in(4) { LONG } else { SHORT };
            let lasts = random.duration(Duration::from_millis(1)..long);
            let extra = random.duration(Duration::from_millis(1)..DELAY_MAX);
            let rate = CLOCK_RATE / 2 + random.below(u64::from(CLOCK_RATE)) as u32;
            let first = random.below(nodes.len() as u64) as usize;
            let other = first + 1 + random.below(nodes.len().saturating_sub(1) as u64) as usize;
            let other = other % nodes.len().max(1);
            let is_spared = !kind.needs_two() || kind == FaultKind::Reload;
            if (is_spared && self.spared.contains(&nodes[first])) || (kind.needs_two() && first == other) {
                continue;
            }
            faults.push(Fault {
                kind,
                at,
                first,
                other,
                lasts,
                extra,
                rate,
                names: [nodes[first].clone(), nodes[other].clone()],
            });
        }
        faults.sort_by_key(|fault| fault.at);
        faults
    }
}

/// One fault of a run.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    /// When, after the set-up.
    pub(super) at: Duration,
    first: usize,
    other: usize,
    lasts: Duration,
    extra: Duration,
    rate: u32,
    names: [String; 2],
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, other] = &self.names;
        let lasts = self.lasts;
        match self.kind {
            FaultKind::Cut => write!(formatter, "cut between {first} and {other}"),
            FaultKind::HalfOpen => write!(
                formatter,
                "cut between {first} and {other}, which does not notice"
            ),
            FaultKind::Stall => write!(formatter, "stall between {first} and {other} for {lasts:?}"),
            FaultKind::Silence => write!(formatter, "silence from {first} to {other} for {lasts:?}"),
            FaultKind::Delay => {
                write!(
                    formatter,
                    "delay of {:?} between {first} and {other} for {lasts:?}",
                    self.extra
                )
            }
            FaultKind::Kill => write!(formatter, "kill of {first}, for {lasts:?}"),
            FaultKind::SwitchOff => write!(formatter, "{first} switched off, for {lasts:?}"),
            FaultKind::Restart => write!(formatter, "stop of {first}, for {lasts:?} at least"),
            FaultKind::Pause => write!(formatter, "pause of {first} for {lasts:?}"),
            FaultKind::Clock => write!(formatter, "clock of {first} at {} us a second", self.rate),
            FaultKind::Reload => write!(formatter, "map of {first} without {other} for {lasts:?}"),
        }
    }
}

impl Fault {
    /// Has it happen now.
    pub(super) fn inject(&self, world: &Rc<World>) {
        let Fault {
            first,
            other,
            lasts,
            extra,
            rate,
            ..
        } = *self;
        match self.kind {
            FaultKind::Cut => world.cut(first, other),
            FaultKind::HalfOpen => world.half_open(first, other),
            FaultKind::Stall => {
                world.stall(first, other, lasts);
                world.stall(other, first, lasts);
            }
            FaultKind::Silence => world.stall(first, other, lasts),
            FaultKind::Delay => {
                world.delay(first, other, extra, lasts);
                world.delay(other, first, extra, lasts);
            }
            FaultKind::Kill => {
                world.kill(first);
                world.start_after(first, lasts);
            }
            FaultKind::SwitchOff => {
                world.switch_off(first);
                world.start_after(first, lasts);
            }
            FaultKind::Restart => {
                world.stop(first);
                world.start_after(first, lasts);
            }
            FaultKind::Pause => world.pause(first, lasts),
            FaultKind::Clock => world.set_clock_rate(first, rate),
            FaultKind::Reload => {
                let name = world.name_of(other);
                let mut off = ClusterMap::new();
                off.nodes.insert(name, NodeEntry::Disabled);
                world.reload(first, off);
                world.has_other_map.borrow_mut().insert(first);
                world.at(manual::time() + lasts, move |world| {
                    if world.has_other_map.borrow_mut().remove(&first) {
                        world.reload(first, world.map());
                    }
                });
            }
        }
    }
}

impl World {
    /// Starts a node after a time, or as soon after it as its process has ended.
    pub(super) fn start_after(self: &Rc<Self>, index: usize, time: Duration) {
        let before = self.life_of(index);
        self.at(manual::time() + time, move |world| match world.life_of(index) {
            None => world.start(index),
            // It is still stopping, or was started by another fault.
            running if running == before => world.start_after(index, STOPPED_LOOK),
            Some(_) => {}
        });
    }

    /// Ends what goes wrong: nodes run, the network is as it should be, clocks are right.
    pub(super) fn mend(self: &Rc<Self>) {
        self.network.heal(self);
        let count = self.nodes.borrow().len();
        for index in 0..count {
            let node = self.node(index);
            node.paused_until.set(Duration::ZERO);
            if node.clock_rate.get() != CLOCK_RATE {
                self.set_clock_rate(index, CLOCK_RATE);
            }
            if self.life_of(index).is_none() {
                self.start(index);
            }
            if self.has_other_map.borrow_mut().remove(&index) {
                self.reload(index, self.map());
            }
        }
    }
}

/// How often each kind of fault happened.
pub(super) fn count(faults: &[Fault], counts: &mut BTreeMap<FaultKind, u64>) {
    for fault in faults {
        *counts.entry(fault.kind).or_default() += 1;
    }
}
