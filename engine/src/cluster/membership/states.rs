//! The state of other nodes on one shard, the monitors, and on the first shard the detector.
//!
//! The first shard's [`Detector`] decides, and sends each change to all shards. While a node is down its channels
//! refuse calls, and only the first channel keeps connecting; its first success lets all others connect.

use std::cell::{Cell, RefCell};

use rustc_hash::{FxHashMap, FxHashSet};
use skyring_codec::Millis;

use crate::cluster::membership::detector::{Detector, NodeChange, NodeEvent, NodeState};
use crate::cluster::membership::monitor::Monitors;
use crate::cluster::rate_limit::RateLimit;
use crate::config::NodeAddress;
use crate::error::Text;

/// Attempts to connect that one shard begins in a second, so that a long break does not end with a storm of
/// connections.
pub const CONNECTS_PER_SECOND_MAX: u32 = 500;

/// How many attempts may begin at once.
pub const CONNECTS_AT_ONCE_MAX: u32 = 100;

/// The state of other nodes on one shard.
pub(in crate::cluster) struct States {
    /// The last event of each node.
    pub(super) events: RefCell<FxHashMap<Text, NodeEvent>>,
    /// The address that the state of each node is about.
    pub(super) addresses: RefCell<FxHashMap<Text, NodeAddress>>,
    pub(super) monitors: Monitors,
    /// The rate limit of attempts to connect.
    connects: RateLimit,
    // Only the first shard uses the fields below.
    pub(super) detector: RefCell<Detector>,
    /// When the detector's timer expires.
    pub(super) armed: Cell<Millis>,
    /// The monitored nodes: the node stays connected to them without calls.
    pub(super) monitored: RefCell<FxHashSet<Text>>,
}

impl States {
    pub(in crate::cluster) fn new(down_after_ms: Millis) -> States {
        States {
            events: RefCell::default(),
            addresses: RefCell::default(),
            monitors: Monitors::default(),
            connects: RateLimit::new(CONNECTS_PER_SECOND_MAX, CONNECTS_AT_ONCE_MAX),
            detector: RefCell::new(Detector::new(down_after_ms)),
            armed: Cell::new(Millis::MAX),
            monitored: RefCell::default(),
        }
    }

    /// The state of a node.
    pub(in crate::cluster) fn state(&self, node: &str) -> NodeState {
        let events = self.events.borrow();
        events
            .get(node)
            .map_or(NodeState::Unknown, |event| event.change.state())
    }

    /// The last event of a node.
    pub(in crate::cluster) fn event(&self, node: &str) -> Option<NodeEvent> {
        self.events.borrow().get(node).cloned()
    }

    /// Why a node is down; `None` when it is not.
    pub(in crate::cluster) fn down_cause(&self, node: &str) -> Option<Text> {
        let events = self.events.borrow();
        let event = events.get(node)?;
        (event.change == NodeChange::Down).then(|| Text::clone(&event.cause))
    }

    /// Reserves an attempt to connect; returns how long the channel must wait before it, in milliseconds.
    pub(in crate::cluster) fn reserve_connect_ms(&self, now: Millis) -> Millis {
        self.connects.reserve(now)
    }
}
