//! The form of a scenario's file.

use serde::Deserialize;

/// A whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) seed: u32,
    #[serde(default)]
    pub(super) client: Client,
    pub(super) nodes: Vec<NodePart>,
    pub(super) operations: Vec<OperationPart>,
    pub(super) phases: Vec<PhasePart>,
    #[serde(default)]
    pub(super) faults: Vec<FaultPart>,
    #[serde(default)]
    pub(super) objectives: Vec<ObjectivePart>,
}

/// The calling node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Client {
    pub(super) threads: u32,
    pub(super) channels: u32,
    pub(super) spin_us: u32,
}

impl Default for Client {
    fn default() -> Client {
        Client {
            threads: 1,
            channels: 1,
            spin_us: 0,
        }
    }
}

fn one() -> u32 {
    1
}

/// A node that is called: a process that answers every call with its values.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodePart {
    pub(super) name: String,
    #[serde(default = "one")]
    pub(super) threads: u32,
    #[serde(default)]
    pub(super) spin_us: u32,
}

/// One of the things that the callers do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperationPart {
    pub(super) name: String,
    pub(super) kind: OperationKind,
    /// How often it is chosen, beside the others.
    #[serde(default = "unit")]
    pub(super) weight: f64,
    /// The nodes that it goes to: all without it. The key selects one of several.
    pub(super) nodes: Option<Vec<String>>,
    pub(super) size: NumberDistribution,
    pub(super) keys: Option<KeyDistribution>,
    pub(super) timeout_ms: Option<u32>,
}

fn unit() -> f64 {
    1.0
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OperationKind {
    Call,
    Send,
}

/// How numbers are drawn: `{ fixed = 64 }`, `{ uniform = { min = 1, max = 9 } }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum NumberDistribution {
    Fixed(f64),
    Uniform {
        min: f64,
        max: f64,
    },
    Exponential {
        mean: f64,
        max: Option<f64>,
    },
    Lognormal {
        median: f64,
        sigma: f64,
        max: Option<f64>,
    },
    Choice(Vec<Choice>),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Choice {
    pub(super) value: f64,
    pub(super) weight: f64,
}

/// How keys are drawn.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum KeyDistribution {
    Uniform { count: u32 },
    Zipf { count: u32, exponent: f64 },
}

/// A part of the time with one load.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PhasePart {
    pub(super) name: String,
    pub(super) seconds: f64,
    /// An open loop: operations a second.
    pub(super) rate: Option<f64>,
    /// Most operations in flight of an open loop.
    pub(super) in_flight: Option<u32>,
    /// A closed loop: so many callers.
    pub(super) callers: Option<u32>,
    /// How long a caller pauses after each operation, in ms.
    pub(super) think_ms: Option<NumberDistribution>,
}

/// Something that goes wrong in a phase, for a while.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultPart {
    pub(super) phase: String,
    pub(super) at_seconds: f64,
    pub(super) seconds: f64,
    pub(super) node: String,
    /// SIGKILL, and a restart when the time is over.
    #[serde(default)]
    pub(super) kill: bool,
    /// SIGSTOP, and SIGCONT when the time is over.
    #[serde(default)]
    pub(super) pause: bool,
    /// Connections stay open and carry nothing.
    #[serde(default)]
    pub(super) stall: bool,
    #[serde(default)]
    pub(super) cuts_per_second: f64,
    /// Cuts are resets.
    #[serde(default)]
    pub(super) reset: bool,
    #[serde(default)]
    pub(super) delay_ms: u32,
    pub(super) trickle_bytes: Option<u32>,
}

/// What must hold at the end of a phase.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ObjectivePart {
    pub(super) phase: String,
    /// Of one operation; without it of all calls.
    pub(super) operation: Option<String>,
    /// As in `p99=1ms`.
    pub(super) latency: Option<String>,
    /// Part of the operations that may fail, 0 to 1.
    pub(super) errors_max: Option<f64>,
    /// Fewest answered operations a second.
    pub(super) rate_min: Option<f64>,
}
