//! What this shard knows of other nodes, and what follows from it: which calls fail at once, who probes, who is
//! told.
//!
//! The first shard's [`Detector`] decides and tells all shards, this one included. While a node is down its
//! channels take no calls, and the first channel alone goes on connecting; its first success lets all others
//! connect.

use std::cell::{Cell, RefCell};

use rustc_hash::{FxHashMap, FxHashSet};
use skyring_codec::Millis;

use crate::cluster::membership::detector::{Detector, NodeChange, NodeEvent, NodeState};
use crate::cluster::membership::monitor::Monitors;
use crate::cluster::rate_limit::RateLimit;
use crate::config::NodeAddress;
use crate::error::Text;

/// Connects that one shard begins in a second, so that the end of a long break is no storm.
pub const CONNECTS_PER_SECOND_MAX: u32 = 500;

/// How many of them may begin at once.
pub const CONNECTS_AT_ONCE_MAX: u32 = 100;

/// One shard's knowledge of other nodes.
pub(in crate::cluster) struct States {
    /// The last that was told of each node.
    pub(super) known: RefCell<FxHashMap<Text, NodeEvent>>,
    /// Where each node was that something is known of.
    pub(super) places: RefCell<FxHashMap<Text, NodeAddress>>,
    pub(super) monitors: Monitors,
    /// When the next connect may begin.
    connects: RateLimit,
    // What follows is the first shard's alone.
    pub(super) detector: RefCell<Detector>,
    /// When the detector's timer goes off.
    pub(super) armed: Cell<Millis>,
    /// The nodes that are monitored: they are connected to although nobody calls them.
    pub(super) kept: RefCell<FxHashSet<Text>>,
}

impl States {
    pub(in crate::cluster) fn new(down_after_ms: Millis) -> States {
        States {
            known: RefCell::default(),
            places: RefCell::default(),
            monitors: Monitors::default(),
            connects: RateLimit::new(CONNECTS_PER_SECOND_MAX, CONNECTS_AT_ONCE_MAX),
            detector: RefCell::new(Detector::new(down_after_ms)),
            armed: Cell::new(Millis::MAX),
            kept: RefCell::default(),
        }
    }

    /// What is known of a node.
    pub(in crate::cluster) fn state(&self, node: &str) -> NodeState {
        let known = self.known.borrow();
        known
            .get(node)
            .map_or(NodeState::Unknown, |event| event.change.state())
    }

    /// Why a node is down; `None` when it is not.
    pub(in crate::cluster) fn down_cause(&self, node: &str) -> Option<Text> {
        let known = self.known.borrow();
        let event = known.get(node)?;
        (event.change == NodeChange::Down).then(|| Text::clone(&event.cause))
    }

    /// How long a channel waits before it may begin to connect, in milliseconds.
    pub(in crate::cluster) fn connect_wait_ms(&self, now: Millis) -> Millis {
        self.connects.wait_for_turn(now)
    }
}
