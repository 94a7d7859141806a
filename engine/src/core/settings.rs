//! The settings of a node, from its config.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::{NodeAddress, Otlp, Security, WhenDown};

/// The choice of the dialect of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DialectChoice {
    /// The native dialect with Skyring nodes, the skynet dialect with all others.
    #[default]
    Auto,
    /// Only the skynet dialect, as if this were a Skynet node.
    Skynet,
}

/// The settings of a node, from its config.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// Default timeout of a call to another node, in milliseconds; 0 = no limit.
    pub(crate) call_timeout_ms: u64,
    /// How long another node may show no sign of life before it is marked down, in milliseconds; 0 = for ever.
    pub(crate) down_after_ms: u64,
    /// After how long without a message a channel is closed, in milliseconds; 0 = never.
    pub(crate) idle_close_ms: u64,
    /// Its name in the cluster map; empty when it has none.
    pub(crate) name: String,
    /// How many channels to open to each peer, and to accept from each peer; `None`: the peer's number, else 1.
    pub(crate) channels: Option<u32>,
    /// What happens to calls to nodes that are down, where the map says nothing.
    pub(crate) when_down: WhenDown,
    /// The choice of its dialect.
    pub(crate) dialect: DialectChoice,
    /// Whom it talks to; `None`: everybody.
    pub(crate) security: Option<Security>,
    /// Most connections of one listener from one source.
    pub(crate) clients_per_source_max: usize,
    /// Most connections that one source may open in a second.
    pub(crate) accepts_per_second_max: u32,
    /// How long a stop waits for the calls of peers that are in flight, in milliseconds.
    pub(crate) stop_timeout_ms: u64,
    /// One of so many calls that begin no trace otherwise is traced; 0 = none.
    pub(crate) trace_every: u32,
    /// A traced call that takes as long or longer is logged, in milliseconds; 0 = none.
    pub(crate) slow_call_ms: u64,
    /// Where it exports its spans.
    pub(crate) otlp: Option<Otlp>,
    /// The file of the cluster map.
    pub(crate) map_file: Option<PathBuf>,
    /// Where to listen for the node's own name, instead of where the map has it.
    pub(crate) listen: Option<NodeAddress>,
    /// Every key of the config, with its value as the bytes of a text.
    pub(crate) environment: BTreeMap<String, Vec<u8>>,
}
