//! Node configs and cluster maps: Lua-syntax files in, typed and checked values out.
//!
//! Both kinds of file are evaluated by a real Lua interpreter, in an environment that cannot reach the system:
//! no `os`, `io`, `require`, `load` or `debug`. Invariants:
//!
//! - Evaluation ends. Steps, memory, wall-clock time, file size, include depth and include count are bounded,
//!   each by a named constant.
//! - Every failure is a [`ConfigError`] that prints as one line: what, where, and what to do.
//! - Nothing is ignored in silence: a value of the wrong type, a node the map does not know, or an address
//!   without a port is an error; an unknown `__option` of a map is a warning, and so is an unknown key of a config
//!   that looks like a misspelt one.
//! - A file is bytes: comments, and values that are only handed on, may be in any encoding. Names are UTF-8.
//! - Only this module names the Lua interpreter; its types never leave `evaluate.rs`.
//!
//! A file sets values by assigning globals (`thread = 8`), by returning a table (`return { thread = 8 }`), or
//! both; where both name a key, the returned value wins. `include "other"` evaluates another file into the same
//! globals; its path is relative to the file that includes it.

mod address;
mod admin;
mod check;
mod conceal;
mod discovery;
mod error;
mod evaluate;
mod group;
mod harbor;
mod keys;
mod known;
mod logging;
mod map;
mod network;
mod node;
mod otlp;
mod permissions;
mod runtime;
mod secret;
mod security;
mod service;
mod source;
mod supervision;
mod when_down;

pub use address::NodeAddress;
pub use admin::{ADMIN_TOKEN_BYTES_MAX, ADMIN_TOKEN_BYTES_MIN, Admin};
pub use check::{Checked, check};
pub use discovery::{
    Discovery, Dns, ETCD_SERVERS_MAX, Etcd, EtcdEndpoint, GRACE_S_DEFAULT, LEASE_S_DEFAULT, PERIOD_S_DEFAULT,
    Password,
};
pub use error::{ConfigError, ConfigErrorKind};
pub use group::{GROUP_MEMBERS_MAX, Group, HEDGE_MS_MAX, Policy, region};
pub use logging::{LogFormat, LogLevel, LogSource, LogTime};
pub(crate) use map::is_zone;
pub use map::{ClusterMap, NODE_NAME_BYTES_MAX, NodeEntry, ZONE_BYTES_MAX};
pub use network::{Network, NetworkExpected};
pub use node::{
    ACCEPTS_PER_SECOND_DEFAULT, CALL_TIMEOUT_MS_DEFAULT, CLIENTS_PER_SOURCE_DEFAULT, DOWN_AFTER_MS_DEFAULT,
    NodeConfig, SPIN_US_MAX, STOP_TIMEOUT_MS_DEFAULT, THREADS_MAX,
};
pub use otlp::Otlp;
pub(crate) use permissions::{CallingNode, Permissions};
pub use permissions::{RULE_CALLERS_MAX, RULES_MAX};
pub use runtime::{RUNTIME_VARIABLE, Runtime, RuntimeVariableError, UnknownRuntime};
pub use security::{SKYNET_NETWORKS_MAX, Security};
pub use service::{
    RESTART_DELAY_MS_DEFAULT, RESTART_DELAY_MS_MAX_DEFAULT, RestartConfig, SERVICE_NAME_BYTES_MAX,
    ServiceConfig, SupervisionConfig,
};
pub use supervision::{Escalation, Restart, Strategy, UnknownWord};
pub use when_down::{WhenDown, WhenDownExpected};
