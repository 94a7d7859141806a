//! What happens to the node, and what is measured meanwhile.

use std::collections::VecDeque;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use skyring_codec::Millis;

use super::super::Cluster;
use super::others::{Others, address, name};
use crate::cluster::membership::detector::NodeState;
use crate::config::ClusterMap;

/// Virtual time between two exchanges of bytes: how long a byte is on its way, at most.
const STEP_MS: Millis = 10;

/// Virtual time between two looks at the states of all nodes.
const LOOK_MS: Millis = 50;

/// How many nodes a second begin to connect to the node when all start: as many as the node itself connects to.
const STARTS_PER_S: usize = 500;

/// How long the node is left alone.
const IDLE_MS: Millis = 10_000;

/// How long half of the nodes are cut off.
const PARTED_MS: Millis = 10_000;

/// With connections that are made when they are used: how long that is watched, how many others the node begins to use
/// a second, and as many others it, and after which time without use a connection is closed.
const USED_MS: Millis = 90_000;
const USES_PER_S: u64 = 1;
const IDLE_CLOSE_MS: Millis = 30_000;

/// The shortest pauses between attempts to reach a lost node, as `connecting` has them.
const PAUSES_MS: [Millis; 5] = [25, 50, 100, 200, 400];

/// What was measured in a full mesh.
#[derive(Debug, Clone, Default)]
pub(super) struct MeshFigures {
    pub(super) nodes: usize,
    pub(super) up: usize,
    pub(super) connections: usize,
    pub(super) met_s: f64,
    /// Bytes of a connection until all have met, in both directions: its handshake, and its heartbeat meanwhile.
    pub(super) connect_bytes: f64,
    /// Frames of the node a second when nothing happens, sent and received.
    pub(super) frames_per_s: f64,
    pub(super) bytes_per_s: f64,
    /// Processor time of the engine meanwhile, of a second.
    pub(super) idle_processor_percent: f64,
    pub(super) lost: usize,
    pub(super) known_down: usize,
    pub(super) known_down_s: f64,
    pub(super) attempts_per_s: f64,
    pub(super) attempts_per_lost_node: f64,
    pub(super) attempts_bound: f64,
    pub(super) parted_processor_percent: f64,
    pub(super) up_again: usize,
    pub(super) met_again_s: f64,
}

/// What was measured with connections that are made when they are used.
#[derive(Debug, Clone, Default)]
pub(super) struct UseFigures {
    /// In the middle.
    pub(super) connections: f64,
    pub(super) connects_per_s: f64,
    pub(super) frames_per_s: f64,
    pub(super) bytes_per_s: f64,
    pub(super) processor_percent: f64,
    pub(super) calls_failed: usize,
}

/// A native frame without a payload.
const FRAME_BYTES: f64 = 24.0;

struct Simulation {
    cluster: Cluster,
    others: Others,
    /// Processor time of the engine so far.
    processor: Duration,
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl Simulation {
    /// `idle_close_ms`: when the node closes connections that it does not use; 0 = never.
    fn new(nodes: usize, idle_close_ms: Millis) -> Simulation {
        let mut map = ClusterMap::new();
        for place in 0..nodes - 1 {
            map = map
                .with(&name(place), &address(place).to_string())
                .expect("an address");
        }
        Simulation {
            cluster: Cluster::with(1, map, |settings| settings.idle_close_ms = idle_close_ms),
            others: Others::new(nodes - 1),
            processor: Duration::ZERO,
        }
    }

    fn now(&self) -> Millis {
        self.cluster.shard().now()
    }

    fn step(&mut self) {
        let before = thread_time();
        self.cluster.pass(STEP_MS);
        self.processor += thread_time() - before;
        self.others.exchange(&self.cluster);
        let before = thread_time();
        self.cluster.settle();
        self.processor += thread_time() - before;
        // The requests of others; there are no services.
        self.cluster.handed.take();
    }

    fn pass(&mut self, time_ms: Millis) {
        let until = self.now() + time_ms;
        while self.now() < until {
            self.step();
        }
    }

    /// Passes time until `is_done`; returns after how many seconds, `time_max_ms` at most.
    fn pass_until(&mut self, time_max_ms: Millis, is_done: impl Fn(&Simulation) -> bool) -> f64 {
        let began = self.now();
        while !is_done(self) && self.now() - began < time_max_ms {
            self.pass(LOOK_MS);
        }
        (self.now() - began) as f64 / 1_000.0
    }

    fn count(&self, places: std::ops::Range<usize>, state: NodeState) -> usize {
        places
            .filter(|place| self.cluster.state(&name(*place)) == state)
            .count()
    }

    /// Processor time of the engine in `work`, in percent of the virtual time that passes.
    fn processor_percent(&mut self, time_ms: Millis, work: impl FnOnce(&mut Simulation)) -> f64 {
        let before = self.processor;
        work(self);
        let spent = self.processor - before;
        spent.as_secs_f64() / (time_ms as f64 / 1_000.0) * 100.0
    }
}

/// Attempts that there may be in a time.
fn attempts_bound(time_ms: Millis) -> f64 {
    let mut attempts = 1;
    let mut spent = 0;
    let last = PAUSES_MS[PAUSES_MS.len() - 1];
    let mut pauses = PAUSES_MS.into_iter();
    loop {
        spent += pauses.next().unwrap_or(last);
        if spent > time_ms {
            return f64::from(attempts);
        }
        attempts += 1;
    }
}

/// A node that is connected to all others, and all others to it.
pub(super) fn full_mesh(nodes: usize) -> MeshFigures {
    let others = nodes - 1;
    let mut simulation = Simulation::new(nodes, 0);
    let mut figures = MeshFigures {
        nodes,
        ..MeshFigures::default()
    };
    for place in 0..others {
        let monitor = simulation
            .cluster
            .room()
            .monitor(simulation.cluster.shard(), name(place).as_str().into());
        // The node is watched as long as it runs, with or without its monitor.
        drop(monitor.expect("there is space for a monitor"));
    }
    let mut dialled = 0;
    let began = simulation.now();
    let all_up = |simulation: &Simulation| simulation.count(0..others, NodeState::Up) == others;
    while dialled < others || !(simulation.now().is_multiple_of(LOOK_MS) && all_up(&simulation)) {
        let due = 1 + (simulation.now() - began) as usize * STARTS_PER_S / 1_000;
        while dialled < due.min(others) {
            simulation.others.dial(&simulation.cluster, dialled);
            dialled += 1;
        }
        simulation.step();
        if simulation.now() - began > 120_000 {
            break;
        }
    }
    figures.met_s = (simulation.now() - began) as f64 / 1_000.0;
    figures.up = simulation.count(0..others, NodeState::Up);
    let traffic = simulation.others.traffic;
    figures.connections = simulation.others.connections();
    figures.connect_bytes = (traffic.bytes_sent + traffic.bytes_received) as f64 / figures.connections as f64;
    // Acknowledgements of the beginning.
    simulation.pass(2_000);

    let before = simulation.others.traffic;
    figures.idle_processor_percent =
        simulation.processor_percent(IDLE_MS, |simulation| simulation.pass(IDLE_MS));
    let traffic = simulation.others.traffic;
    let bytes = traffic.bytes_sent + traffic.bytes_received - before.bytes_sent - before.bytes_received;
    figures.bytes_per_s = bytes as f64 / (IDLE_MS as f64 / 1_000.0);
    figures.frames_per_s = figures.bytes_per_s / FRAME_BYTES;

    let lost = 0..others / 2;
    figures.lost = lost.len();
    simulation.others.part(lost.clone());
    let attempts = simulation.others.attempts;
    figures.parted_processor_percent = simulation.processor_percent(PARTED_MS, |simulation| {
        let all_down =
            |simulation: &Simulation| simulation.count(lost.clone(), NodeState::Down) == lost.len();
        figures.known_down_s = simulation.pass_until(PARTED_MS, all_down);
        let left = PARTED_MS.saturating_sub((figures.known_down_s * 1_000.0) as Millis);
        simulation.pass(left);
    });
    figures.known_down = simulation.count(lost.clone(), NodeState::Down);
    let attempts = (simulation.others.attempts - attempts) as f64;
    figures.attempts_per_s = attempts / (PARTED_MS as f64 / 1_000.0);
    figures.attempts_per_lost_node = attempts / lost.len() as f64;
    figures.attempts_bound = attempts_bound(PARTED_MS);
    simulation.others.heal(&simulation.cluster);
    figures.met_again_s = simulation.pass_until(120_000, all_up);
    figures.up_again = simulation.count(0..others, NodeState::Up);
    figures
}

/// Takes the first connection whose time is over.
fn take_due(used: &mut VecDeque<(Millis, usize)>, now: Millis) -> Option<usize> {
    let (at, place) = *used.front()?;
    if at > now {
        return None;
    }
    used.pop_front();
    Some(place)
}

/// A node that calls others now and then, one after the other, as others call it; connections are closed when they were
/// not used for a while.
pub(super) fn on_use(nodes: usize) -> UseFigures {
    let others = nodes - 1;
    let mut simulation = Simulation::new(nodes, IDLE_CLOSE_MS);
    let mut figures = UseFigures::default();
    let mut theirs: VecDeque<(Millis, usize)> = VecDeque::new();
    let (mut calls, mut connections) = (Vec::new(), Vec::new());
    let (mut place, mut due) = (0, 0);
    let processor = simulation.processor;
    let began = simulation.now();
    let mut measured_from = None;
    while simulation.now() - began < USED_MS {
        let now = simulation.now();
        if now - began >= due {
            due += 1_000 / USES_PER_S;
            // Not in their order, and not those that call the node.
            place = (place + others * 5 / 8 + 1) % others;
            calls.push(simulation.cluster.call(&name(place), "hello"));
            let caller = (place + others / 2) % others;
            simulation.others.dial(&simulation.cluster, caller);
            simulation.others.send(&simulation.cluster, caller);
            theirs.retain(|(_, used)| *used != caller);
            theirs.push_back((now + IDLE_CLOSE_MS, caller));
        }
        while let Some(used) = take_due(&mut theirs, now) {
            simulation.others.hang_up(used);
        }
        simulation.step();
        // From here on as many are closed as are made.
        if now - began >= IDLE_CLOSE_MS + 1_000 {
            let attempts = simulation.others.attempts;
            measured_from.get_or_insert((now, simulation.others.traffic, attempts, simulation.processor));
            connections.push(simulation.others.connections() as f64);
        }
    }
    let (from, before, attempts, processor) =
        measured_from.unwrap_or((began, simulation.others.traffic, 0, processor));
    let seconds = (simulation.now() - from) as f64 / 1_000.0;
    let traffic = simulation.others.traffic;
    let bytes = traffic.bytes_sent + traffic.bytes_received - before.bytes_sent - before.bytes_received;
    connections.sort_by(f64::total_cmp);
    figures.connections = connections[connections.len() / 2];
    // Of the node, and as many of others to it.
    figures.connects_per_s = 2.0 * (simulation.others.attempts - attempts) as f64 / seconds;
    figures.bytes_per_s = bytes as f64 / seconds;
    figures.frames_per_s = figures.bytes_per_s / FRAME_BYTES;
    figures.processor_percent = (simulation.processor - processor).as_secs_f64() / seconds * 100.0;
    simulation.pass(1_000);
    let outcomes = calls.into_iter().map(|call| simulation.cluster.outcome(call));
    figures.calls_failed = outcomes.filter(|outcome| !matches!(outcome, Some(Ok(_)))).count();
    figures
}
