//! A channel to a peer, from the dialling side: the calls that this node makes there.
//!
//! One task per channel connects when there is something to send, reads replies until the connection
//! breaks, and connects again, with growing pauses, as long as anybody waits. There is one connect under
//! way at a time. What was not sent waits for the next connection in its order. What was sent and not
//! answered does so too when the peer keeps a session for the channel, and else fails when the connection
//! breaks.

mod connecting;
mod events;
mod requests;
mod room;
mod serving;
mod watching;

pub(crate) use events::Loss;
pub(crate) use requests::Outgoing;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use skyring_codec::Millis;
use skyring_codec::link::{CallerLimits, CallerLink};

use self::room::Room;
use self::serving::{Ended, Fault};
use self::watching::heartbeat_limits;
use crate::cluster::connection::Connection;
use crate::cluster::detector::Evidence;
use crate::config::NodeAddress;
use crate::error::Text;
use crate::log::Throttle;
use crate::rt::notify::Notify;
use crate::service::handle::{Address, Handle};
use crate::shard::envelope::ReplyTo;
use crate::shard::slab::{Key, Slab};
use crate::shard::{Shard, Timer};

/// Time between two log lines about attempts that fail, in milliseconds.
const FAILURE_LOG_INTERVAL_MS: u64 = 60_000;

/// A call that waits for its reply from the peer, for somebody who is no waiter of this shard.
struct Pending {
    reply_to: ReplyTo,
    address: Address,
    timeout_ms: u64,
}

/// A channel; see the module.
pub(crate) struct Channel {
    pub(crate) node: Text,
    /// Which of the peer's channels it is, from 1 on.
    pub(crate) number: u32,
    address: RefCell<NodeAddress>,
    connection: Rc<Connection<CallerLink>>,
    pending: RefCell<Slab<Pending>>,
    room: Room,
    /// Its key among the shard's channels, once it has one.
    key: Cell<Key>,
    /// The deadline that the shard's timer is set for.
    armed: Cell<Millis>,
    connected: Cell<bool>,
    /// What is accepted can be sent at once: a connection is up, and the peer has not said goodbye on it.
    is_open: Cell<bool>,
    /// The peer has said goodbye on the connection that is up.
    is_left: Cell<bool>,
    /// Why the node is down, while it is.
    closed: RefCell<Option<Text>>,
    /// It connects although it has nothing to send.
    is_probe: Cell<bool>,
    /// What ended the connection, where its reader will only see the end.
    fault: RefCell<Option<Fault>>,
    /// It takes no more calls, and ends when those it has are done.
    retired: Cell<bool>,
    /// It connects although it has nothing to send, until this time or until it is connected.
    wanted_until: Cell<Millis>,
    /// There is something to send, or it is wanted.
    demanded: Notify,
    /// Connect now instead of after the pause.
    hurried: Notify,
    last_failure: RefCell<Option<Text>>,
    failure_log: Throttle,
    /// Replies that the link had found nobody waiting for when it was looked at last.
    replies_late: Cell<u64>,
    /// Sends that the link had dropped when it was looked at last.
    sends_dropped: Cell<u64>,
}

impl Channel {
    /// A channel that connects when it is first used. The caller gives it its key and runs it.
    pub(crate) fn new(shard: &Shard, node: Text, number: u32, address: NodeAddress) -> Rc<Channel> {
        let mut link = CallerLink::new(CallerLimits::default());
        link.watch(heartbeat_limits(shard.node.settings.down_after_ms));
        Rc::new(Channel {
            closed: RefCell::new(shard.cluster.down_cause(&node)),
            is_open: Cell::new(false),
            is_left: Cell::new(false),
            is_probe: Cell::new(false),
            fault: RefCell::new(None),
            node,
            number,
            wanted_until: Cell::new(0),
            address: RefCell::new(address),
            connection: Connection::new(link),
            pending: RefCell::default(),
            room: Room::default(),
            key: Cell::new(Key::from_u64(0)),
            armed: Cell::new(Millis::MAX),
            connected: Cell::new(false),
            retired: Cell::new(false),
            demanded: Notify::default(),
            hurried: Notify::default(),
            last_failure: RefCell::new(None),
            failure_log: Throttle::new(FAILURE_LOG_INTERVAL_MS),
            replies_late: Cell::new(0),
            sends_dropped: Cell::new(0),
        })
    }

    /// Tells the channel its key.
    pub(crate) fn set_key(&self, key: Key) {
        self.key.set(key);
    }

    /// Where it connects to.
    pub(crate) fn address(&self) -> NodeAddress {
        self.address.borrow().clone()
    }

    /// Whether a connection is up.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.get()
    }

    /// Has it connect although it has nothing to send, and go on trying until then.
    pub(crate) fn connect_until(&self, until: Millis) {
        self.wanted_until.set(self.wanted_until.get().max(until));
        self.demanded.wake();
    }

    /// Connects elsewhere from now on. Only while no connection is up; one that is serves its calls.
    pub(crate) fn set_address(&self, address: NodeAddress) {
        *self.address.borrow_mut() = address;
        self.hurried.wake();
    }

    /// Lets the channel finish what it has and then end.
    pub(crate) fn retire(&self, shard: &Rc<Shard>) {
        self.retired.set(true);
        self.reroute_waiting(shard);
        // Sends that wait for the end of the turn: no reply will come after which to look again.
        self.connection.write_now();
        self.shut_down_if_done();
        self.hurried.wake();
        self.demanded.wake();
    }

    fn shut_down_if_done(&self) {
        if self.is_done() {
            self.leave();
        }
    }

    /// Whether the connection has nothing to bring or to take any more.
    fn is_done(&self) -> bool {
        self.is_left_done() || self.retired.get() && self.connection.link.borrow().is_idle()
    }

    /// Ends the connection, and tells the peer that no other goes on with its session.
    fn leave(&self) {
        self.connection.link.borrow_mut().goodbye();
        self.connection.shutdown_after_writing();
    }

    /// Fails everything that waits, and ends.
    pub(crate) fn end(&self, shard: &Rc<Shard>, loss: Loss<'_>) {
        self.leave();
        self.connection.link.borrow_mut().close();
        let _ = self.take_events(shard, loss);
        self.lose_waiting(shard, &loss);
        self.retired.set(true);
        self.connection.shutdown();
        self.hurried.wake();
        self.demanded.wake();
    }

    /// Why there is no connection.
    fn last_cause(&self) -> Text {
        let cause = self.last_failure.borrow().clone();
        cause.unwrap_or_else(|| Text::from("not connected in time"))
    }

    fn arm(&self, shard: &Shard, deadline: Millis) {
        if deadline < self.armed.get() {
            self.armed.set(deadline);
            shard.set_timer(deadline, Timer::Channel(self.key.get()));
        }
    }

    /// The shard's timer went off.
    pub(crate) fn deadline(&self, shard: &Rc<Shard>) {
        self.armed.set(Millis::MAX);
        self.expire_waiting(shard);
        if let Err(fault) = self.take_events(shard, Loss::Broken(&self.last_cause())) {
            // The reader sees the end, and takes this for its cause.
            *self.fault.borrow_mut() = Some(fault);
            self.connection.shutdown();
        } else if self.connection.link.borrow().has_output() {
            self.connection.flush_later(shard);
        }
        self.arm_next(shard);
        self.shut_down_if_done();
    }

    /// Sets the timer for the link's next deadline.
    fn arm_next(&self, shard: &Shard) {
        let next = self.connection.link.borrow().next_deadline();
        let waiting = self.room.next_deadline();
        if let Some(next) = next.into_iter().chain(waiting).min() {
            self.arm(shard, next.max(shard.now() + 1));
        }
    }

    /// Connects when there is something to send, serves the connection until it breaks, and so on until
    /// the channel is retired and idle.
    pub(crate) async fn run(self: Rc<Self>, shard: Rc<Shard>) {
        let mut failures = 0u32;
        loop {
            let is_wanted = self.is_probe.get() || self.wanted_until.get() > shard.update_now();
            if self.connection.link.borrow().is_idle() && (self.retired.get() || !is_wanted) {
                if self.retired.get() {
                    break;
                }
                self.demanded.wait().await;
                continue;
            }
            if self.waits_for_node() {
                self.hurried.wait().await;
                continue;
            }
            self.wait_for_turn(&shard).await;
            let began = Instant::now();
            self.report(&shard, Evidence::Dialling);
            match self.connect(&shard).await {
                Ok(stream) => match self.serve(&shard, Rc::new(stream)).await {
                    Ended::Left => failures = 0,
                    Ended::Lost(fault) => {
                        failures = 0;
                        if !self.retired.get() && !shard.stopping.get() {
                            let cause = &fault.cause;
                            shard.node.metrics.connections_lost.add(1);
                            shard.log(Handle::NONE, format!("cluster node {} lost: {cause}", self.node));
                            self.report(&shard, fault.evidence());
                        }
                    }
                    Ended::NotMet(_) if self.retired.get() || shard.stopping.get() => {}
                    Ended::NotMet(cause) => {
                        failures += 1;
                        let cause = format!("{cause}, before it answered the hello");
                        let cause = self.placed(&self.address(), &cause);
                        self.pause_after_failure(&shard, failures, began, cause).await;
                    }
                },
                Err(cause) => {
                    failures += 1;
                    self.pause_after_failure(&shard, failures, began, cause).await;
                }
            }
        }
        shard.cluster.remove_channel(self.key.get());
    }
}
