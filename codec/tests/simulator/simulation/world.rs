//! The state of a run, and its event loop.

use skyring_codec::Millis;

use super::acceptor::Acceptor;
use super::clock::{Clock, Event};
use super::dialler::Dialler;
use super::impostor::Recording;
use super::ledger::Ledger;
use super::network::{Network, Side};
use super::node::Node;
use super::random::Random;
use super::sessions::SessionRecords;
use super::settings::Settings;
use super::trace::Trace;

/// How long after the last operation every call must have ended and every link must be idle, in milliseconds:
/// longer than any deadline, any pause between attempts and any silence.
const ENDING_MS_MAX: Millis = 250_000;

/// How long a run continues after everything is idle, in milliseconds: bytes in flight arrive and are
/// acknowledged. Heartbeats continue meanwhile.
const SETTLING_MS: Millis = 1_000;

/// The most events of a run; more indicate a loop without progress.
const EVENTS_MAX: u64 = 3_000_000;

/// A run; see the module documentation.
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) random: Random,
    pub(super) clock: Clock,
    pub(super) network: Network,
    pub(super) nodes: Vec<Node>,
    /// By number; None for those that were closed or whose process has ended.
    pub(super) diallers: Vec<Option<Dialler>>,
    /// By number, as the diallers.
    pub(super) acceptors: Vec<Option<Acceptor>>,
    pub(super) ledger: Ledger,
    pub(super) session_records: SessionRecords,
    /// Handshakes that an impostor has recorded.
    pub(super) recordings: Vec<Recording>,
    pub(super) trace: Trace,
}

impl World {
    pub(super) fn new(seed: u64, trace: Trace) -> World {
        let mut random = Random::new(seed);
        let mut settings = Settings::draw(&mut random);
        settings.draw_secrets(seed);
        settings.draw_release(seed);
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
            session_records: SessionRecords::default(),
            recordings: Vec::new(),
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
        let mut has_ended_disturbances = false;
        let mut done_since = None;
        while self.ledger.violation().is_none() {
            if self.is_ending() && !has_ended_disturbances {
                has_ended_disturbances = true;
                self.end_disturbances();
            }
            if has_ended_disturbances && self.is_done() {
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
                return self.fail_stuck("nothing is scheduled any more");
            };
            self.ledger.counts.events += 1;
            if self.clock.now() > self.settings.duration_ms + ENDING_MS_MAX {
                return self.fail_stuck("the run did not end in time");
            }
            if self.ledger.counts.events > EVENTS_MAX {
                return self.fail_stuck("too many events");
            }
            self.handle_event(event);
        }
    }

    /// Whether every call has ended and every link is idle.
    fn is_done(&self) -> bool {
        let now = self.clock.now();
        // Delayed bytes must have arrived too, and no process may be paused or down that still has to read, for
        // example an acknowledgement.
        self.ledger.waiting() == 0
            && self
                .nodes
                .iter()
                .all(|node| node.is_alive && node.paused_until <= now)
            && !self.network.is_delayed(now)
            && self.diallers.iter().flatten().all(Dialler::is_idle)
            && self.acceptors.iter().flatten().all(Acceptor::is_idle)
            && self.network.unnoticed_end().is_none()
    }

    fn fail_stuck(&mut self, why: &str) {
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
        left.extend(self.network.unnoticed_end());
        self.ledger.fail(|| format!("{why}: {}", left.join(", ")));
    }

    /// The node at which an event takes place; it may be paused.
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
            | Event::DropSession { acceptor } => {
                let acceptor = self.acceptors[acceptor].as_ref()?;
                Some(acceptor.process.node)
            }
            Event::CloseAfterGoodbye { connection } => {
                Some(self.network.get(connection).process(Side::Acceptor).node)
            }
            Event::Disturb | Event::Start { .. } | Event::EndDisturbance { .. } | Event::Settled => None,
        }
    }

    fn handle_event(&mut self, event: Event) {
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
            Event::DropSession { acceptor } => self.drop_session_if_old(acceptor),
            Event::CloseAfterGoodbye { connection } => self.close_after_goodbye(connection),
            Event::EndDisturbance { connection } => self.network.end_disturbance(&mut self.clock, connection),
            Event::Settled => {}
        }
    }

    /// Starts the process of a node.
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

    /// Closes every link and checks that no call, timer, output or memory is left.
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
