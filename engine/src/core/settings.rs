//! What a node was configured with and keeps.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Which dialect a node speaks where it may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DialectChoice {
    /// The native dialect with Skyring nodes, the skynet dialect with all others.
    #[default]
    Auto,
    /// Only the skynet dialect, as if this were a Skynet node.
    Skynet,
}

/// What a node was configured with and keeps.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// Time for a call to another node unless the call says otherwise, in milliseconds; 0 = no limit.
    pub(crate) call_timeout_ms: u64,
    /// How long another node may show no sign of life before it is called down, in milliseconds; 0 = for ever.
    pub(crate) down_after_ms: u64,
    /// Its name in the cluster map; empty when it has none.
    pub(crate) name: String,
    /// How many channels to have to each peer, and to let each peer have; `None`: what the peer says, else 1.
    pub(crate) channels: Option<u32>,
    /// Which dialect it speaks.
    pub(crate) dialect: DialectChoice,
    /// Most connections of one listener from one source.
    pub(crate) clients_per_source_max: usize,
    /// Most connections that one source may open in a second.
    pub(crate) accepts_per_second_max: u32,
    /// How long a stop waits for the calls of peers that are under way, in milliseconds.
    pub(crate) stop_timeout_ms: u64,
    /// Where the cluster map came from.
    pub(crate) map_file: Option<PathBuf>,
    /// Every key of the config, as text.
    pub(crate) environment: BTreeMap<String, String>,
}
