//! The state of a channel.
//!
//! Invariants: `phase` is the state of the connection, and only the channel's task sets it back to `Offline`; a
//! retired channel stays retired.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use skyring_codec::Millis;
use skyring_codec::link::{CallerLimits, CallerLink, HeartbeatLimits};

use crate::cluster::dialling::channel::backlog::Backlog;
use crate::cluster::dialling::channel::failure::Fault;
use crate::cluster::dialling::channel::figures::ChannelFigures;
use crate::cluster::dialling::channel::idle::Use;
use crate::cluster::dialling::channel::token::InFlight;
use crate::cluster::signs_of_life::SignOfLife;
use crate::config::{NodeAddress, WhenDown};
use crate::core::ShardCore;
use crate::core::connection::Connection;
use crate::core::slab::{Key, Slab};
use crate::error::Text;
use crate::log::Throttle;
use crate::rt::notify::Notify;

/// Time between two log lines about attempts that fail, in milliseconds.
const FAILURE_LOG_INTERVAL_MS: u64 = 60_000;

/// The state of a channel's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is none, or the handshake is not done.
    Offline,
    /// Requests are sent at once.
    Open,
    /// The peer has said goodbye: the connection only receives the answers in flight.
    Draining,
}

/// The purpose of a channel's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It connects when there is something to send.
    OnDemand,
    /// It always connects, to notice when the node is up.
    Probe,
    /// It connects only to finish its calls; then it ends.
    Retired,
}

/// The fields of a channel that change seldom.
pub(super) struct State {
    pub(super) address: NodeAddress,
    pub(super) purpose: Purpose,
    /// It connects although it has nothing to send, until this time or until it is connected.
    pub(super) connect_until: Millis,
    /// Why the node is down, while it is.
    pub(super) down_cause: Option<Text>,
    /// The fault that ended the connection, where its reader only sees the end.
    pub(super) fault: Option<Fault>,
    pub(super) last_failure: Option<Text>,
    /// The late replies of the link at the last check.
    pub(super) replies_late: u64,
    /// The dropped sends of the link at the last check.
    pub(super) sends_dropped: u64,
}

/// A channel; see the module.
pub(in crate::cluster) struct Channel {
    pub(in crate::cluster) node: Text,
    /// Its number among the peer's channels, from 1.
    pub(in crate::cluster) number: u32,
    pub(super) connection: Rc<Connection<CallerLink>>,
    pub(super) in_flight: RefCell<Slab<InFlight>>,
    pub(super) backlog: Backlog,
    /// The channels to the node's earlier addresses: what they have sent must be received first.
    pub(super) predecessors: RefCell<Vec<Rc<Channel>>>,
    /// Its key among the shard's channels.
    pub(super) key: Cell<Key>,
    /// What happens to its calls while the node is down, unless they say otherwise.
    pub(super) when_down: Cell<WhenDown>,
    /// When the node's process was heard last, on any connection; `None` without one in the native dialect.
    pub(super) sign_of_life: RefCell<Option<SignOfLife>>,
    /// The deadline that the shard's timer is set for.
    pub(super) armed: Cell<Millis>,
    pub(super) last_use: Cell<Use>,
    pub(super) phase: Cell<Phase>,
    pub(super) state: RefCell<State>,
    /// Wakes the task to connect: there is something to send, or a connection is requested.
    pub(super) connect_requested: Notify,
    /// Wakes the task to connect before its pause is over.
    pub(super) retry_now: Notify,
    pub(super) failure_log: Throttle,
    pub(super) figures: ChannelFigures,
}

/// The heartbeat of a connection, from the time after which a node is down: a ping after a quarter of that. A node is
/// suspect after half of it.
fn heartbeat_limits(down_after_ms: Millis) -> HeartbeatLimits {
    match down_after_ms {
        0 => HeartbeatLimits::OFF,
        _ => HeartbeatLimits {
            interval_ms: (down_after_ms / 4).max(1),
            silence_ms_max: down_after_ms,
            turn_ms: 0,
        },
    }
}

impl Channel {
    /// A channel that connects when it is first used. The caller sets its key and runs it.
    pub(in crate::cluster) fn new(
        shard: &ShardCore,
        node: Text,
        number: u32,
        address: NodeAddress,
        down_cause: Option<Text>,
        when_down: WhenDown,
    ) -> Rc<Channel> {
        let mut link = CallerLink::new(CallerLimits::default());
        link.watch(heartbeat_limits(shard.node.settings.down_after_ms));
        Rc::new(Channel {
            node,
            number,
            connection: Connection::new(link),
            in_flight: RefCell::default(),
            backlog: Backlog::default(),
            predecessors: RefCell::default(),
            key: Cell::new(Key::from_u64(0)),
            when_down: Cell::new(when_down),
            sign_of_life: RefCell::default(),
            armed: Cell::new(Millis::MAX),
            last_use: Cell::default(),
            phase: Cell::new(Phase::Offline),
            state: RefCell::new(State {
                address,
                purpose: Purpose::OnDemand,
                connect_until: 0,
                down_cause,
                fault: None,
                last_failure: None,
                replies_late: 0,
                sends_dropped: 0,
            }),
            connect_requested: Notify::default(),
            retry_now: Notify::default(),
            failure_log: Throttle::new(FAILURE_LOG_INTERVAL_MS),
            figures: ChannelFigures::default(),
        })
    }

    /// Sets its key among the shard's channels.
    pub(in crate::cluster) fn set_key(&self, key: Key) {
        self.key.set(key);
    }

    /// Sets what happens to its calls while the node is down, unless they say otherwise.
    pub(in crate::cluster) fn set_when_down(&self, when_down: WhenDown) {
        self.when_down.set(when_down);
    }

    /// The address that it connects to.
    pub(in crate::cluster) fn address(&self) -> NodeAddress {
        self.state.borrow().address.clone()
    }

    /// Whether there is a connection whose handshake is done.
    pub(in crate::cluster) fn is_connected(&self) -> bool {
        self.phase.get() != Phase::Offline
    }

    /// Whether requests are sent at once.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.phase.get() == Phase::Open
    }

    pub(super) fn purpose(&self) -> Purpose {
        self.state.borrow().purpose
    }

    pub(super) fn is_retired(&self) -> bool {
        self.state.borrow().purpose == Purpose::Retired
    }

    /// Has it connect only when the node has received what these channels, to earlier addresses of it, have sent.
    pub(in crate::cluster) fn set_predecessors(&self, channels: Vec<Rc<Channel>>) {
        self.predecessors.replace(channels);
    }

    /// Whether it is a channel to an earlier address of this node, which may not have received all.
    pub(in crate::cluster) fn precedes(&self, node: &Text) -> bool {
        self.is_retired() && self.node == *node && self.connection.link.borrow().has_unreceived()
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
