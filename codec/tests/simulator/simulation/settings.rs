//! The settings of a run, drawn from its seed. Most runs leave out some kinds of disturbance, so that the others
//! coincide more often.

use std::sync::Arc;

use skyring_codec::Millis;
use skyring_codec::link::{Access, CalleeLimits, CallerLimits, Dialect, HeartbeatLimits};
use skyring_codec::native::{SECRET_BYTES_MIN, Secrets};

use super::network::Pieces;
use super::random::Random;

/// A kind of disturbance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disturbance {
    /// A connection is cut; the bytes in flight may be lost, from any byte on.
    Cut,
    /// The same, but one side detects it much later.
    HalfOpen,
    /// No bytes pass for a while.
    Stall,
    /// No bytes pass any more, in one direction or in both, without an error.
    Silence,
    /// A process ends and restarts.
    Crash,
    /// A process is stopped for a while.
    Pause,
    /// A process accepts no connections for a while.
    NotListening,
    /// An acceptor sends goodbye and closes.
    Goodbye,
    /// An acceptor drops a session that has no connection, or the answers that it retains.
    SessionDrop,
    /// Somebody without the cluster secret connects to a process, or answers it.
    Intrusion,
}

impl Disturbance {
    pub(super) const ALL: [Disturbance; 10] = [
        Disturbance::Cut,
        Disturbance::HalfOpen,
        Disturbance::Stall,
        Disturbance::Silence,
        Disturbance::Crash,
        Disturbance::Pause,
        Disturbance::NotListening,
        Disturbance::Goodbye,
        Disturbance::SessionDrop,
        Disturbance::Intrusion,
    ];

    /// Whether it affects connections: one, or all of a process.
    pub(super) fn affects_connections(self) -> bool {
        !matches!(
            self,
            Disturbance::NotListening | Disturbance::SessionDrop | Disturbance::Intrusion
        )
    }
}

/// An action of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Call,
    Send,
    /// A name gets another handle, or none.
    Register,
    /// The map moves a node to the address of another node, or back.
    Move,
    /// The map disables or enables a node.
    Toggle,
}

/// Settings of a node, the same for each of its processes.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeSettings {
    pub(super) dialect: Dialect,
    /// Channels to each other node.
    pub(super) channels: u32,
    /// Its cluster secrets, as the fill bytes of each; all nodes of a run have the first one, or none has any.
    pub(super) secrets: &'static [u8],
}

/// The settings of a run.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) nodes: Vec<NodeSettings>,
    /// How long operations and disturbances continue.
    pub(super) duration_ms: Millis,
    pub(super) operation_gap_ms_max: Millis,
    /// Operations in one burst.
    pub(super) burst_max: u64,
    pub(super) operations: Vec<(Operation, u64)>,
    pub(super) disturbance_gap_ms_max: Millis,
    pub(super) disturbances: Vec<(Disturbance, u64)>,
    pub(super) latency_ms_max: Millis,
    pub(super) buffer_bytes_max: usize,
    pub(super) pieces: Vec<Pieces>,
    /// Short writes per thousand writes.
    pub(super) short_writes: u64,
    /// Failed attempts to connect, per thousand, after which the peer is marked down and queued calls are withdrawn.
    pub(super) withdrawals: u64,
    /// Long messages per thousand messages.
    pub(super) long_messages: u64,
    /// The longest time that a service takes.
    pub(super) takes_ms_max: u64,
    /// Idempotent calls per thousand calls.
    pub(super) idempotent: u64,
    /// Calls with a deadline per thousand calls.
    pub(super) deadlines: u64,
    pub(super) deadline_ms_max: Millis,
    pub(super) heartbeat: HeartbeatLimits,
    pub(super) caller_limits: CallerLimits,
    /// A node that is down loses all of its calls; else every second one waits until it is up again.
    pub(super) are_withdrawn_all: bool,
    pub(super) callee_limits: CalleeLimits,
    /// Requests of one connection that are handled at a time; at this number the connection is not read.
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
            secrets: &[],
        });
        let nodes = nodes.collect();
        let is_watched = random.chance(600);
        let interval_ms = random.pick(&[100, 500, 500]);
        let heartbeat = HeartbeatLimits {
            interval_ms,
            silence_ms_max: interval_ms * random.between(2..=5),
            turn_ms: 0,
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
            // At least 100 KB/s, so that long messages arrive before the run must end.
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
            withdrawals: random.pick(&[0, 0, 300]),
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
            are_withdrawn_all: true,
            callee_limits,
            handled_max: random.pick(&[2, 20, 1_000]),
        }
    }
}

impl Settings {
    /// Gives all nodes a cluster secret in every second run. Drawn by a generator of its own, so that the runs without one
    /// are what they were before there were secrets.
    pub(super) fn draw_secrets(&mut self, seed: u64) {
        let mut random = Random::new(seed ^ 0x5ec7_e75e_c7e7);
        if random.chance(500) {
            return;
        }
        for node in &mut self.nodes {
            // Some are about to exchange it for another one.
            node.secrets = random.pick(&[&b"a"[..], b"a", b"ab", b"ba"]);
        }
        self.disturbances.push((Disturbance::Intrusion, 10));
    }

    /// Sizes of the first step in which waiting messages leave, so small that many runs take several. Drawn by a generator
    /// of its own, as for secrets.
    pub(super) fn draw_release(&mut self, seed: u64) {
        let mut random = Random::new(seed ^ 0x4e1e_a5e0_0e1e);
        self.caller_limits.released_at_once_min = random.pick(&[1, 2, 5, 256]);
        self.are_withdrawn_all = random.chance(500);
        self.heartbeat.turn_ms = random.pick(&[0, self.heartbeat.interval_ms / 4]);
    }

    /// The access of a link of a node, if it has a secret.
    pub(super) fn access(&self, node: usize, allows_skynet: bool) -> Option<Access> {
        let secrets = self.nodes[node].secrets.iter();
        let secrets = secrets.map(|fill| vec![*fill; SECRET_BYTES_MIN].into());
        let secrets = Arc::new(Secrets::new(secrets.collect()).ok()?);
        Some(Access {
            secrets: Some(secrets),
            allows_skynet,
            ..Access::default()
        })
    }
}

/// Leaves out each kind in a third of the runs.
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
            (Disturbance::NotListening, 2),
            (Disturbance::Goodbye, 2),
            (Disturbance::SessionDrop, 1),
        ],
    )
}

/// The default limits, or limits that a run exceeds.
fn limits(random: &mut Random) -> (CallerLimits, CalleeLimits) {
    let (mut caller, mut callee) = (CallerLimits::default(), CalleeLimits::default());
    // Most runs have sessions that outlive connections.
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
