//! Everything there is in a run, and what happens to it.

use skyring_codec::Millis;

use super::acceptor::Acceptor;
use super::clock::{Clock, Event};
use super::dialler::Dialler;
use super::ledger::Ledger;
use super::network::{Network, Side};
use super::node::Node;
use super::random::Random;
use super::sessions::Fates;
use super::settings::Settings;
use super::trace::Trace;

/// How long after the last operation every call must have ended and all be idle, in milliseconds: longer
/// than any deadline, any pause between attempts and any silence.
const ENDING_MS_MAX: Millis = 250_000;

/// How long a run goes on when everything has been idle, in milliseconds: what is under way arrives, and is
/// acknowledged. Heartbeats go on meanwhile.
const SETTLING_MS: Millis = 1_000;

/// Events of a run at most; more would be a loop that makes no progress.
const EVENTS_MAX: u64 = 3_000_000;

/// A run; see the module.
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) random: Random,
    pub(super) clock: Clock,
    pub(super) network: Network,
    pub(super) nodes: Vec<Node>,
    /// By number; those of processes that have ended, and those that were done, are gone.
    pub(super) diallers: Vec<Option<Dialler>>,
    /// The same.
    pub(super) acceptors: Vec<Option<Acceptor>>,
    pub(super) ledger: Ledger,
    pub(super) fates: Fates,
    pub(super) trace: Trace,
}

impl World {
    pub(super) fn new(seed: u64, trace: Trace) -> World {
        let mut random = Random::new(seed);
        let settings = Settings::draw(&mut random);
        let nodes = settings.nodes.len();
        let mut world = World {
            settings,
            random,
            clock: Clock::default(),
            network: Network::default(),
            nodes: (0..nodes).map(|node| Node::new(node, nodes)).collect(),
            diallers: Vec::new(),
            acceptors: Vec::new(),
            ledger: Ledger::default(),
            fates: Fates::default(),
            trace,
        };
        world.note(|world| format!("{:?}", world.settings));
        for node in 0..nodes {
            world.clock.schedule(0, Event::Start { node });
        }
        let first = world.random.up_to(world.settings.disturbance_gap_ms_max);
        world.clock.schedule(first, Event::Disturb);
        world
    }

    /// Adds a line to the trace.
    pub(super) fn note(&self, line: impl FnOnce(&World) -> String) {
        self.trace.note(self.clock.now(), || line(self));
    }

    /// Whether operations and disturbances have ended.
    pub(super) fn is_ending(&self) -> bool {
        self.clock.now() >= self.settings.duration_ms
    }

    /// Runs to the end, or to the first violation.
    pub(super) fn run(&mut self) {
        let mut is_healed = false;
        let mut done_since = None;
        while self.ledger.violation().is_none() {
            if self.is_ending() && !is_healed {
                is_healed = true;
                self.heal_everything();
            }
            if is_healed && self.is_done() {
                let now = self.clock.now();
                match done_since {
                    None => {
                        done_since = Some(now);
                        self.clock.schedule(now + SETTLING_MS, Event::Settled);
                    }
                    Some(since) if now >= since + SETTLING_MS => return self.close(),
                    Some(_) => {}
                }
            }
            let Some(event) = self.clock.next() else {
                return self.hang("nothing is scheduled any more");
            };
            self.ledger.counts.events += 1;
            if self.clock.now() > self.settings.duration_ms + ENDING_MS_MAX {
                return self.hang("it is far too late");
            }
            if self.ledger.counts.events > EVENTS_MAX {
                return self.hang("there is no end of events");
            }
            self.happen(event);
        }
    }

    /// Whether all has ended that must end.
    fn is_done(&self) -> bool {
        let now = self.clock.now();
        // Whatever was kept from a side for a while has reached it by then, too; and nobody is away who has still to
        // take what came, such as an acknowledgement.
        self.ledger.waiting() == 0
            && self
                .nodes
                .iter()
                .all(|node| node.is_alive && node.paused_until <= now)
            && !self.network.is_held_up(now)
            && self.diallers.iter().flatten().all(Dialler::is_idle)
            && self.acceptors.iter().flatten().all(Acceptor::is_idle)
            && self.network.end_unseen().is_none()
    }

    fn hang(&mut self, why: &str) {
        let mut left: Vec<String> = self.ledger.first_waiting().into_iter().collect();
        let mut diallers = self.diallers.iter().flatten();
        if let Some(dialler) = diallers.find(|dialler| !dialler.is_idle()) {
            left.push(format!("dialler {} has bytes or events left", dialler.id));
        }
        let is_busy =
            |acceptor: &Option<Acceptor>| acceptor.as_ref().is_some_and(|acceptor| !acceptor.is_idle());
        if let Some(id) = self.acceptors.iter().position(is_busy) {
            left.push(format!("acceptor {id} has something left"));
        }
        left.extend(self.network.end_unseen());
        self.ledger.fail(|| format!("{why}: {}", left.join(", ")));
    }

    /// The node at which something happens, and which may be paused.
    fn node_of(&self, event: &Event) -> Option<usize> {
        match *event {
            Event::Operate { node, .. } => Some(node),
            Event::Connected { dialler, .. } | Event::Retry { dialler, .. } | Event::Deadline { dialler } => {
                let dialler = self.diallers[dialler].as_ref()?;
                Some(dialler.process.node)
            }
            Event::Readable { connection, side }
            | Event::Writable { connection, side }
            | Event::Flush { connection, side } => Some(self.network.get(connection).process(side).node),
            Event::Answer { acceptor, .. }
            | Event::Tick { acceptor }
            | Event::SendHeartbeat { acceptor }
            | Event::Forget { acceptor } => {
                let acceptor = self.acceptors[acceptor].as_ref()?;
                Some(acceptor.process.node)
            }
            Event::Leave { connection } => Some(self.network.get(connection).process(Side::Acceptor).node),
            Event::Disturb | Event::Start { .. } | Event::Heal { .. } | Event::Settled => None,
        }
    }

    fn happen(&mut self, event: Event) {
        if let Some(node) = self.node_of(&event) {
            let paused_until = self.nodes[node].paused_until;
            if paused_until > self.clock.now() {
                return self.clock.schedule(paused_until, event);
            }
        }
        match event {
            Event::Operate { node, generation } => self.operate(node, generation),
            Event::Disturb => self.disturb(),
            Event::Start { node } => self.start(node),
            Event::Connected { dialler, attempt } => self.connected(dialler, attempt),
            Event::Retry { dialler, attempt } => self.retry(dialler, attempt),
            Event::Deadline { dialler } => self.deadline(dialler),
            Event::Readable { connection, side } => {
                self.network.begin_read(connection, side);
                match side {
                    Side::Dialler => self.read_dialler(connection),
                    Side::Acceptor => self.read_acceptor(connection),
                }
            }
            Event::Writable { connection, side } | Event::Flush { connection, side } => match side {
                Side::Dialler => self.flush_dialler(connection),
                Side::Acceptor => self.flush_acceptor(connection),
            },
            Event::Answer {
                acceptor,
                session,
                message,
            } => self.answer(acceptor, session, message),
            Event::Tick { acceptor } => self.tick(acceptor),
            Event::SendHeartbeat { acceptor } => self.send_heartbeat(acceptor),
            Event::Forget { acceptor } => self.forget_if_old(acceptor),
            Event::Leave { connection } => self.leave(connection),
            Event::Heal { connection } => self.network.heal(&mut self.clock, connection),
            Event::Settled => {}
        }
    }

    /// A node's process starts.
    fn start(&mut self, node: usize) {
        let place = &mut self.nodes[node];
        if place.is_alive {
            return;
        }
        place.start(&mut self.random);
        let generation = place.process.generation;
        self.note(|_| format!("node {node} starts for the {generation}. time"));
        self.clock
            .schedule(self.clock.now(), Event::Operate { node, generation });
    }

    /// Nothing is left over, and after everything is closed there is nothing at all.
    fn close(&mut self) {
        for id in 0..self.diallers.len() {
            if let Some(leftover) = self.diallers[id].as_mut().and_then(|dialler| dialler.close()) {
                self.ledger
                    .fail(|| format!("dialler {id} has {leftover} left over"));
            }
        }
        for id in 0..self.acceptors.len() {
            if let Some(leftover) = self.acceptors[id].as_mut().and_then(Acceptor::close) {
                self.ledger
                    .fail(|| format!("acceptor {id} has {leftover} left over"));
            }
        }
        self.ledger.close();
    }
}
