//! What a run is like: drawn from its seed, each run another mixture. Most runs leave some kinds of trouble
//! out, so that those that are there meet each other more often.

use skyring_codec::Millis;
use skyring_codec::link::{CalleeLimits, CallerLimits, Dialect, HeartbeatLimits};

use super::network::Pieces;
use super::random::Random;

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disturbance {
    /// A connection is cut; what is under way may be lost, from any byte on.
    Cut,
    /// The same, but one side learns of it much later.
    HalfOpen,
    /// Nothing passes for a while.
    Stall,
    /// Nothing passes any more, in one direction or in both, and nobody says so.
    Silence,
    /// A process ends and starts again.
    Crash,
    /// A process does nothing for a while.
    Pause,
    /// A process accepts no connections for a while.
    Deafness,
    /// An acceptor says goodbye and closes.
    Goodbye,
    /// An acceptor drops a session that has no connection, or answers that it keeps for one.
    Forgetting,
}

impl Disturbance {
    pub(super) const ALL: [Disturbance; 9] = [
        Disturbance::Cut,
        Disturbance::HalfOpen,
        Disturbance::Stall,
        Disturbance::Silence,
        Disturbance::Crash,
        Disturbance::Pause,
        Disturbance::Deafness,
        Disturbance::Goodbye,
        Disturbance::Forgetting,
    ];

    /// Whether it always touches a connection, or all of a process.
    pub(super) fn is_about_connections(self) -> bool {
        !matches!(self, Disturbance::Deafness | Disturbance::Forgetting)
    }
}

/// What a process does of its own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Call,
    Send,
    /// A name gets another handle, or none.
    Register,
    /// Another node, or the same anew, takes the place of one in the map.
    Move,
    /// The map turns a node off, or on again.
    Toggle,
}

/// What a node is, whichever of its processes runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeSettings {
    pub(super) dialect: Dialect,
    /// Channels that it uses to each other node.
    pub(super) channels: u32,
}

/// What a run is like.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) nodes: Vec<NodeSettings>,
    /// How long operations and disturbances go on.
    pub(super) duration_ms: Millis,
    pub(super) operation_gap_ms_max: Millis,
    /// Operations at a time.
    pub(super) burst_max: u64,
    pub(super) operations: Vec<(Operation, u64)>,
    pub(super) disturbance_gap_ms_max: Millis,
    pub(super) disturbances: Vec<(Disturbance, u64)>,
    pub(super) latency_ms_max: Millis,
    pub(super) buffer_bytes_max: usize,
    pub(super) pieces: Vec<Pieces>,
    /// Writes in a thousand that the socket takes only some bytes of.
    pub(super) short_writes: u64,
    /// Failed attempts to connect in a thousand after which the peer is judged to be down.
    pub(super) verdicts: u64,
    /// Messages in a thousand that are long.
    pub(super) long_messages: u64,
    /// How long a service takes at most.
    pub(super) takes_ms_max: u64,
    /// Calls in a thousand that may run twice.
    pub(super) idempotent: u64,
    /// Calls in a thousand that have a deadline.
    pub(super) deadlines: u64,
    pub(super) deadline_ms_max: Millis,
    pub(super) heartbeat: HeartbeatLimits,
    pub(super) caller_limits: CallerLimits,
    pub(super) callee_limits: CalleeLimits,
    /// Requests of one connection that are handled at a time; past it, it is not read.
    pub(super) handled_max: usize,
}

impl Settings {
    pub(super) fn draw(random: &mut Random) -> Settings {
        let skynet_nodes = random.pick(&[0, 0, 200, 500]);
        let nodes = (0..random.between(2..=5)).map(|_| NodeSettings {
            dialect: if random.chance(skynet_nodes) {
                Dialect::Skynet
            } else {
                Dialect::Native
            },
            channels: random.between(1..=2) as u32,
        });
        let nodes = nodes.collect();
        let is_watched = random.chance(600);
        let interval_ms = random.pick(&[100, 500, 500]);
        let heartbeat = HeartbeatLimits {
            interval_ms,
            silence_ms_max: interval_ms * random.between(2..=5),
        };
        let (caller_limits, callee_limits) = limits(random);
        let latency_ms_max = random.pick(&[0, 1, 20, 200]);
        let buffer_bytes_max = random.pick(&[300, 5_000, 200_000]);
        Settings {
            nodes,
            duration_ms: random.pick(&[500, 2_000, 8_000]),
            operation_gap_ms_max: random.pick(&[20, 100, 500]),
            burst_max: random.pick(&[1, 4, 12]),
            operations: operations(random),
            disturbance_gap_ms_max: random.pick(&[50, 300, 1_500]),
            disturbances: disturbances(random),
            latency_ms_max,
            // At least 100 KB/s, so that what is long arrives at all.
            buffer_bytes_max: buffer_bytes_max.max(latency_ms_max as usize * 100),
            pieces: random
                .pick(&[
                    &[Pieces::Whole][..],
                    &[Pieces::Single],
                    &[Pieces::Whole, Pieces::UpTo(40), Pieces::UpTo(3_000)],
                    &[Pieces::Whole, Pieces::UpTo(17), Pieces::Single],
                ])
                .to_vec(),
            short_writes: random.pick(&[0, 100, 600]),
            verdicts: random.pick(&[0, 0, 300]),
            long_messages: random.pick(&[0, 0, 30, 200]),
            takes_ms_max: random.pick(&[0, 10, 200, 3_000]),
            idempotent: random.pick(&[0, 200, 1_000]),
            deadlines: random.pick(&[300, 700, 1_000]),
            deadline_ms_max: random.pick(&[50, 1_000, 10_000]),
            heartbeat: if is_watched {
                heartbeat
            } else {
                HeartbeatLimits::OFF
            },
            caller_limits,
            callee_limits,
            handled_max: random.pick(&[2, 20, 1_000]),
        }
    }
}

/// Each kind left out of every third run.
fn mixed<T: Copy>(random: &mut Random, kinds: &[(T, u64)]) -> Vec<(T, u64)> {
    let mut mixture = Vec::new();
    for (kind, weight) in kinds {
        if random.chance(667) {
            mixture.push((*kind, *weight));
        }
    }
    mixture
}

fn operations(random: &mut Random) -> Vec<(Operation, u64)> {
    let mut operations = mixed(
        random,
        &[
            (Operation::Send, 30),
            (Operation::Register, 5),
            (Operation::Move, 2),
            (Operation::Toggle, 2),
        ],
    );
    operations.push((Operation::Call, 100));
    operations
}

fn disturbances(random: &mut Random) -> Vec<(Disturbance, u64)> {
    mixed(
        random,
        &[
            (Disturbance::Cut, 10),
            (Disturbance::HalfOpen, 4),
            (Disturbance::Stall, 6),
            (Disturbance::Silence, 3),
            (Disturbance::Crash, 3),
            (Disturbance::Pause, 3),
            (Disturbance::Deafness, 2),
            (Disturbance::Goodbye, 2),
            (Disturbance::Forgetting, 1),
        ],
    )
}

/// The usual limits, or such that runs go past them.
fn limits(random: &mut Random) -> (CallerLimits, CalleeLimits) {
    let (mut caller, mut callee) = (CallerLimits::default(), CalleeLimits::default());
    // With sessions that outlive connections, mostly.
    caller.is_resumed = random.chance(850);
    if random.chance(250) {
        callee.retained_bytes_max = random.pick(&[0, 300, 5_000]);
    }
    if random.chance(250) {
        caller.sessions_max = random.between(1..=20) as usize;
    }
    if random.chance(250) {
        caller.out_buffer_bytes_max = random.between(500..=100_000) as usize;
    }
    if random.chance(150) {
        caller.message_bytes_max = random.between(100..=50_000) as usize;
        caller.reassembly_bytes_max = random.between(40_000..=200_000) as usize;
    }
    if random.chance(150) {
        callee.message_bytes_max = random.between(100..=50_000) as usize;
        callee.reassembly_bytes_max = random.between(40_000..=200_000) as usize;
    }
    if random.chance(250) {
        callee.out_buffer_bytes_max = random.between(100..=10_000) as usize;
    }
    (caller, callee)
}
