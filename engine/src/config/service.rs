//! A service that a config names, and how it is started again.

use super::supervision::{Escalation, Restart, Strategy};

/// The longest name of a service, in bytes.
pub const SERVICE_NAME_BYTES_MAX: usize = 255;

/// A service the node starts, from the `services` table of its config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceConfig {
    /// What kind of service it is: the first word of the value.
    pub kind: String,
    /// The rest of the value, without the space before it; empty if there is none.
    pub arguments: String,
    /// Whether the word `keyed` stands before the kind: one instance on each shard, and a message goes to that
    /// of its key.
    pub keyed: bool,
    /// How it is started again after its end.
    pub restart: RestartConfig,
}

/// How a service is started again after its end, from the table of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartConfig {
    /// `restart`: when. Default: never.
    pub restart: Restart,
    /// `restart_delay_ms`: the delay before the first restart, which doubles with each further one. Default:
    /// [`RESTART_DELAY_MS_DEFAULT`].
    pub delay_ms: u32,
    /// `restart_delay_ms_max`: the longest delay. Default: [`RESTART_DELAY_MS_MAX_DEFAULT`].
    pub delay_ms_max: u32,
    /// `stop_timeout_ms`: how long the service may take to stop, where its supervisor stops it. Default: that of the
    /// node.
    pub stop_timeout_ms: Option<u32>,
}

/// The delay before the first restart of a service, unless its config says otherwise, in milliseconds.
pub const RESTART_DELAY_MS_DEFAULT: u32 = 50;

/// The longest delay before a restart, unless its config says otherwise, in milliseconds.
pub const RESTART_DELAY_MS_MAX_DEFAULT: u32 = 10_000;

impl Default for RestartConfig {
    fn default() -> RestartConfig {
        RestartConfig {
            restart: Restart::Never,
            delay_ms: RESTART_DELAY_MS_DEFAULT,
            delay_ms_max: RESTART_DELAY_MS_MAX_DEFAULT,
            stop_timeout_ms: None,
        }
    }
}

/// How the services of a config are supervised: its key `supervision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupervisionConfig {
    /// `strategy`: which services are started again when one has ended. Default: only that one.
    pub strategy: Strategy,
    /// `restarts_max`: how many restarts within the period are normal. Default: 5.
    pub restarts_max: u32,
    /// `period_ms`: the period, in milliseconds. Default: 10 s.
    pub period_ms: u32,
    /// `escalation`: what the node does after one more. Default: it stops.
    pub escalation: Escalation,
}

impl Default for SupervisionConfig {
    fn default() -> SupervisionConfig {
        SupervisionConfig {
            strategy: Strategy::default(),
            restarts_max: 5,
            period_ms: 10_000,
            escalation: Escalation::default(),
        }
    }
}
