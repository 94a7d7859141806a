//! A simulation that a test drives by hand.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use super::network::Ending;
use super::node::{CLOCK_RATE, LocalFuture, Setup, SimulatedNode};
use super::test_node::TestNode;
use super::trace::{Detail, TraceEntry};
use super::world::{STEPS_MAX, Step, World};
use crate::config::ClusterMap;
use crate::core::ShardCore;
use crate::core::request::ReplyTo;
use crate::core::tap::{self, Seen};
use crate::error::Error;
use crate::node::{Node, NodeBuilder};
use crate::rt::manual;
use crate::service::caller::Caller;

/// How long a node may take to start.
const START_TIME_MAX: Duration = Duration::from_secs(600);

/// Bytes of a message that a trace shows.
const SHOWN_BYTES_MAX: usize = 120;

thread_local! {
    static IS_SIMULATED: Cell<bool> = const { Cell::new(false) };
}

/// Ends the simulation of its thread when it is dropped.
pub(super) struct Guard {
    pub(super) world: Rc<World>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        tap::observe(None);
        let count = self.world.nodes.borrow().len();
        for index in 0..count {
            self.world.end(index, Ending::Closed);
        }
        self.world.clear();
        manual::reset();
        manual::leave();
        IS_SIMULATED.set(false);
    }
}

/// A cluster in one thread and in virtual time. A clone is the same simulation; it ends with its last clone, and a thread has
/// one at a time.
///
/// Nothing happens by itself: time passes in [`advance`](Self::advance), and while one of its methods waits for something.
#[derive(Clone)]
pub struct Simulation {
    pub(super) guard: Rc<Guard>,
}

impl Simulation {
    /// A cluster without nodes. The seed decides the delays of the network, which of the shards that have something to do
    /// runs first, and every random number of the engine.
    ///
    /// # Panics
    /// When this thread has a simulation already.
    pub fn new(seed: u64) -> Simulation {
        assert!(
            !IS_SIMULATED.replace(true),
            "this thread has a simulation already: drop it first"
        );
        manual::enter();
        manual::reset();
        let world = World::new(seed);
        Simulation {
            guard: Rc::new(Guard { world }),
        }
    }

    pub(super) fn world(&self) -> &Rc<World> {
        &self.guard.world
    }

    /// Sets up a node; [`NodeSetup::start`] starts it.
    pub fn node(&self, name: &str) -> NodeSetup<'_> {
        NodeSetup {
            simulation: self,
            name: name.to_owned(),
            builder: Box::new(Node::builder),
            threads: None,
            is_open: true,
        }
    }

    /// The node with this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn get(&self, name: &str) -> TestNode {
        TestNode::of(self, self.index(name))
    }

    pub(super) fn index(&self, name: &str) -> usize {
        let nodes = self.world().nodes.borrow();
        match nodes.iter().position(|node| &*node.name == name) {
            Some(index) => index,
            None => panic!("the simulation has no node {name}"),
        }
    }

    /// The virtual time since the beginning.
    pub fn time(&self) -> Duration {
        manual::time()
    }

    /// Lets virtual time pass, with all that happens in it.
    ///
    /// # Panics
    /// When an invariant is violated.
    pub fn advance(&self, time: Duration) {
        let until = self.time() + time;
        while self.world().step(until) == Step::Moved {
            self.check();
        }
        self.check();
    }

    /// Lets virtual time pass until `is_so` holds, no longer than `time_max`; true if it does. It is asked after each
    /// step, and must not drive the simulation.
    ///
    /// # Panics
    /// When an invariant is violated.
    pub fn advance_until(&self, time_max: Duration, is_so: impl Fn() -> bool) -> bool {
        let until = self.time() + time_max;
        while !is_so() {
            if self.world().step(until) == Step::Reached {
                return is_so();
            }
            self.check();
        }
        true
    }

    /// Waits for a future of a node's first shard; `None` when it takes longer, when the node's process ends, and when
    /// something is violated.
    pub(super) fn wait<T>(
        &self,
        index: usize,
        time_max: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let node = self.world().node(index);
        let mut future = pin!(future);
        let until = self.time() + time_max;
        let life = self.world().life_of(index);
        loop {
            let place = {
                let life = node.life.borrow();
                life.as_ref().map(|life| life.shards[0].place)?
            };
            let mut context = TaskContext::from_waker(Waker::noop());
            if let Poll::Ready(value) = manual::within(place, || future.as_mut().poll(&mut context)) {
                return Some(value);
            }
            if self.world().step(until) == Step::Reached
                || self.world().violation.borrow().is_some()
                || self.world().life_of(index) != life
            {
                return None;
            }
        }
    }

    pub(super) fn check(&self) {
        if let Some(violation) = &*self.world().violation.borrow() {
            panic!(
                "{} does not hold after {:?}: {}",
                violation.what, violation.time, violation.why
            );
        }
    }

    /// Has `check` hold after each step from now on. It looks at what the test shares with its services, and must not
    /// drive the simulation.
    pub fn always(&self, what: &str, check: impl Fn() -> Result<(), String> + 'static) {
        self.world().add_invariant(what, check);
    }

    /// Breaks the connections between two nodes; what was on the way is lost.
    pub fn cut(&self, one: &str, other: &str) {
        let (one, other) = (self.index(one), self.index(other));
        self.world().cut(one, other);
    }

    /// Breaks the connections between two nodes at the first one only: the second believes that all is well.
    pub fn half_open(&self, broken: &str, unaware: &str) {
        let (broken, unaware) = (self.index(broken), self.index(unaware));
        self.world().half_open(broken, unaware);
    }

    /// Holds back everything between two nodes for a time, connections that are opened too. Nothing is lost.
    pub fn stall(&self, one: &str, other: &str, time: Duration) {
        let (one, other) = (self.index(one), self.index(other));
        self.world().stall(one, other, time);
        self.world().stall(other, one, time);
    }

    /// Holds back everything from one node to another for a time.
    pub fn silence(&self, from: &str, to: &str, time: Duration) {
        self.world().stall(self.index(from), self.index(to), time);
    }

    /// Has everything between two nodes take longer by `extra`, for a time.
    pub fn delay(&self, one: &str, other: &str, extra: Duration, time: Duration) {
        let (one, other) = (self.index(one), self.index(other));
        self.world().delay(one, other, extra, time);
        self.world().delay(other, one, extra, time);
    }

    /// Ends all stalls, silences and delays.
    pub fn heal(&self) {
        self.world().network.heal(self.world());
    }

    /// Has the trace hold what happens from now on: faults, messages to services, and log lines.
    pub fn trace_on(&self) {
        self.world().trace.set_detail(Detail::Events);
        self.observe();
    }

    /// The same, with each turn of a shard and each delivery of the network.
    pub fn trace_all(&self) {
        self.world().trace.set_detail(Detail::All);
        self.observe();
    }

    fn observe(&self) {
        let world = Rc::downgrade(self.world());
        tap::observe(Some(Rc::new(move |shard, seen| {
            if let Some(world) = world.upgrade() {
                note_message(&world, shard, seen);
            }
        })));
    }

    /// What the trace holds.
    pub fn trace(&self) -> Vec<TraceEntry> {
        self.world().trace.entries()
    }

    /// A number that stands for every turn and every delivery so far: two runs of a test with the same seed have the same,
    /// or something outside the simulation has decided what happened.
    pub fn fingerprint(&self) -> u64 {
        self.world().trace.fingerprint()
    }

    /// The steps so far: turns of shards, and passages of time.
    pub fn steps(&self) -> u64 {
        self.world().steps().min(STEPS_MAX)
    }
}

/// Writes a message into the trace.
fn note_message(world: &World, shard: &ShardCore, seen: &Seen<'_>) {
    let node = &*shard.node.settings.name;
    match seen {
        Seen::Request(request) => {
            let is_from_peer = matches!(request.reply_to, ReplyTo::Connection { .. });
            let from = match is_from_peer {
                true => "a peer".to_owned(),
                false => request.source.to_string(),
            };
            world.note(Detail::Events, node, || {
                format!("{from} -> {}: {}", request.target, shown(&request.payload))
            });
        }
        Seen::Remote {
            node: to,
            address,
            payload,
            reply_to,
        } => {
            let verb = if reply_to.session() == 0 { "sends" } else { "calls" };
            world.note(Detail::Events, node, || {
                format!("{verb} {to} {address}: {}", shown(payload))
            });
        }
        Seen::Reply(ReplyTo::Connection { session, .. }, result) if *session != 0 => {
            world.note(Detail::Events, node, || match result {
                Ok(payload) => format!("answers a peer: {}", shown(payload)),
                Err(error) => format!("answers a peer: error: {error}"),
            });
        }
        Seen::Reply(..) => {}
    }
}

/// The values of a message as text, cut to a bound.
fn shown(payload: &crate::core::payload::Payload) -> String {
    let values = payload.values();
    let mut text = match values {
        Ok(values) => {
            let shown: Vec<String> = values.iter().map(ToString::to_string).collect();
            shown.join(", ")
        }
        Err(_) => format!("{} bytes", payload.0.len()),
    };
    if text.len() > SHOWN_BYTES_MAX {
        let end = (0..=SHOWN_BYTES_MAX)
            .rev()
            .find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
    text
}

/// Sets up a node of a [`Simulation`].
#[must_use = "a node is added by `start`"]
pub struct NodeSetup<'a> {
    simulation: &'a Simulation,
    name: String,
    builder: Box<dyn Fn() -> NodeBuilder>,
    threads: Option<usize>,
    is_open: bool,
}

impl NodeSetup<'_> {
    /// How many shards the node has; 1 without this.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// The node as in production: its kinds, services, supervision, groups, timeouts and secrets. It is asked at each
    /// start. What belongs to the machine has no effect: processors, the runtime, the log's destination, sources of maps.
    /// The addresses of the simulation's nodes are merged into its map.
    pub fn builder(mut self, builder: impl Fn() -> NodeBuilder + 'static) -> Self {
        self.builder = Box::new(builder);
        self
    }

    /// A node that does not listen, and that the others do not know.
    pub fn closed(mut self) -> Self {
        self.is_open = false;
        self
    }

    /// Adds the node and starts it, and waits until it has started. `start` runs at each start of the node's process: it
    /// launches the services and gives them their names. Only then the node listens.
    ///
    /// # Errors
    /// The error of `start`. When a later start fails, the process ends, and is started again after half a second.
    ///
    /// # Panics
    /// When the simulation has a node with this name.
    pub fn start<F>(self, start: impl Fn(Caller) -> F + 'static) -> Result<TestNode, Error>
    where
        F: Future<Output = Result<(), Error>> + 'static,
    {
        let simulation = self.simulation;
        let node = self.begin(start);
        let started = node.life_started();
        simulation.advance_until(START_TIME_MAX, || started.borrow().is_some());
        let result = started.borrow_mut().take();
        *started.borrow_mut() = Some(Ok(()));
        match result {
            Some(result) => result.map(|()| node),
            None => Err(Error::Timeout {
                target: "the start of a node".into(),
                timeout_ms: START_TIME_MAX.as_millis() as u64,
            }),
        }
    }

    fn begin<F>(self, start: impl Fn(Caller) -> F + 'static) -> TestNode
    where
        F: Future<Output = Result<(), Error>> + 'static,
    {
        let world = self.simulation.world();
        let index = {
            let nodes = world.nodes.borrow();
            assert!(
                nodes.iter().all(|node| *node.name != *self.name),
                "the simulation has a node {} already",
                self.name
            );
            nodes.len()
        };
        let (builder, threads) = (self.builder, self.threads);
        let builder = move || match threads {
            Some(threads) => builder().threads(threads),
            None => builder(),
        };
        world.add(SimulatedNode {
            name: self.name.as_str().into(),
            index,
            setup: Setup {
                builder: Box::new(builder),
                start: Box::new(move |caller| Box::pin(start(caller)) as LocalFuture<Result<(), Error>>),
                is_open: self.is_open,
            },
            life: RefCell::default(),
            lives: Cell::new(0),
            paused_until: Cell::default(),
            is_off: Cell::new(false),
            clock_rate: Cell::new(CLOCK_RATE),
        });
        TestNode::of(self.simulation, index)
    }
}

impl Simulation {
    /// Merges a change into the map of one node, as a reload does there.
    pub(super) fn reload(&self, index: usize, map: ClusterMap) {
        self.world().reload(index, map);
    }
}
