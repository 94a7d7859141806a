//! What a channel is made of.
//!
//! Invariants: `phase` says how far the connection is, and only the channel's task takes it back to `Offline`; a
//! channel that is retired stays so.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use skyring_codec::Millis;
use skyring_codec::link::{CallerLimits, CallerLink, HeartbeatLimits};

use crate::cluster::dialling::channel::backlog::Backlog;
use crate::cluster::dialling::channel::failure::Fault;
use crate::cluster::dialling::channel::token::InFlight;
use crate::config::NodeAddress;
use crate::core::ShardCore;
use crate::core::connection::Connection;
use crate::core::slab::{Key, Slab};
use crate::error::Text;
use crate::log::Throttle;
use crate::rt::notify::Notify;

/// Time between two log lines about attempts that fail, in milliseconds.
const FAILURE_LOG_INTERVAL_MS: u64 = 60_000;

/// How far the connection of a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is none, or the peer has not said yet what it speaks.
    Offline,
    /// What is accepted is sent at once.
    Open,
    /// The peer has said goodbye: the connection only brings the answers that are under way.
    Draining,
}

/// What a channel connects for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// When there is something to send.
    OnDemand,
    /// Always, so that it is noticed when the node is up.
    Probe,
    /// Only to finish what it has; then it ends.
    Retired,
}

/// What changes seldom in the life of a channel.
pub(super) struct State {
    pub(super) address: NodeAddress,
    pub(super) purpose: Purpose,
    /// It connects although it has nothing to send, until this time or until it is connected.
    pub(super) wanted_until: Millis,
    /// Why the node is down, while it is.
    pub(super) down_cause: Option<Text>,
    /// What ended the connection, where its reader will only see the end.
    pub(super) fault: Option<Fault>,
    pub(super) last_failure: Option<Text>,
    /// Replies that the link had found nobody waiting for when it was looked at last.
    pub(super) replies_late: u64,
    /// Sends that the link had dropped when it was looked at last.
    pub(super) sends_dropped: u64,
}

/// A channel; see the module.
pub(in crate::cluster) struct Channel {
    pub(in crate::cluster) node: Text,
    /// Which of the peer's channels it is, from 1 on.
    pub(in crate::cluster) number: u32,
    pub(super) connection: Rc<Connection<CallerLink>>,
    pub(super) in_flight: RefCell<Slab<InFlight>>,
    pub(super) backlog: Backlog,
    /// Its key among the shard's channels, once it has one.
    pub(super) key: Cell<Key>,
    /// The deadline that the shard's timer is set for.
    pub(super) armed: Cell<Millis>,
    pub(super) phase: Cell<Phase>,
    pub(super) state: RefCell<State>,
    /// There is something to send, or it is wanted.
    pub(super) demanded: Notify,
    /// Connect now instead of after the pause.
    pub(super) hurried: Notify,
    pub(super) failure_log: Throttle,
}

/// How a connection is watched, by how long a node may be away before it is called down: a ping after a
/// quarter of that. A node is suspect after half of it.
fn heartbeat_limits(down_after_ms: Millis) -> HeartbeatLimits {
    match down_after_ms {
        0 => HeartbeatLimits::OFF,
        _ => HeartbeatLimits {
            interval_ms: (down_after_ms / 4).max(1),
            silence_ms_max: down_after_ms,
        },
    }
}

impl Channel {
    /// A channel that connects when it is first used. The caller gives it its key and runs it.
    pub(in crate::cluster) fn new(
        shard: &ShardCore,
        node: Text,
        number: u32,
        address: NodeAddress,
        down_cause: Option<Text>,
    ) -> Rc<Channel> {
        let mut link = CallerLink::new(CallerLimits::default());
        link.watch(heartbeat_limits(shard.node.settings.down_after_ms));
        Rc::new(Channel {
            node,
            number,
            connection: Connection::new(link),
            in_flight: RefCell::default(),
            backlog: Backlog::default(),
            key: Cell::new(Key::from_u64(0)),
            armed: Cell::new(Millis::MAX),
            phase: Cell::new(Phase::Offline),
            state: RefCell::new(State {
                address,
                purpose: Purpose::OnDemand,
                wanted_until: 0,
                down_cause,
                fault: None,
                last_failure: None,
                replies_late: 0,
                sends_dropped: 0,
            }),
            demanded: Notify::default(),
            hurried: Notify::default(),
            failure_log: Throttle::new(FAILURE_LOG_INTERVAL_MS),
        })
    }

    /// Tells the channel its key.
    pub(in crate::cluster) fn set_key(&self, key: Key) {
        self.key.set(key);
    }

    /// Where it connects to.
    pub(in crate::cluster) fn address(&self) -> NodeAddress {
        self.state.borrow().address.clone()
    }

    /// Whether the handshake is done on a connection that is up.
    pub(in crate::cluster) fn is_connected(&self) -> bool {
        self.phase.get() != Phase::Offline
    }

    /// Whether what is accepted is sent at once.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.phase.get() == Phase::Open
    }

    pub(super) fn is_retired(&self) -> bool {
        self.state.borrow().purpose == Purpose::Retired
    }

    pub(super) fn is_down(&self) -> bool {
        self.state.borrow().down_cause.is_some()
    }

    /// Why there is no connection.
    pub(super) fn last_cause(&self) -> Text {
        let cause = self.state.borrow().last_failure.clone();
        cause.unwrap_or_else(|| Text::from("not connected in time"))
    }

    pub(super) fn set_last_failure(&self, cause: Text) {
        self.state.borrow_mut().last_failure = Some(cause);
    }
}
