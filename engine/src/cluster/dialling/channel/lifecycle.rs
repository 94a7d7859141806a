//! The life of a channel: its task, its timer, and its end.

use std::rc::Rc;
use std::time::Instant;

use skyring_codec::Millis;

use crate::cluster::dialling::channel::failure::{Ended, Failure};
use crate::cluster::dialling::channel::state::{Channel, Purpose};
use crate::cluster::membership::detector::Evidence;
use crate::config::NodeAddress;
use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::timers::Timer;

impl Channel {
    /// Has it connect although it has nothing to send, and go on trying until then.
    pub(in crate::cluster) fn connect_until(&self, until: Millis) {
        {
            let mut state = self.state.borrow_mut();
            state.wanted_until = state.wanted_until.max(until);
        }
        self.demanded.wake();
    }

    /// Connects elsewhere from now on. Only while no connection is up; one that is serves its calls.
    pub(in crate::cluster) fn set_address(&self, address: NodeAddress) {
        self.state.borrow_mut().address = address;
        self.hurried.wake();
    }

    /// Lets the channel finish what it has and then end.
    pub(in crate::cluster) fn retire(&self, shard: &Rc<ShardCore>) {
        self.state.borrow_mut().purpose = Purpose::Retired;
        self.reroute_backlog(shard);
        // Sends that wait for the end of the turn: no reply will come after which to look again.
        self.connection.write_now();
        self.shut_down_if_done();
        self.hurried.wake();
        self.demanded.wake();
    }

    pub(super) fn shut_down_if_done(&self) {
        if self.is_done() {
            self.leave();
        }
    }

    /// Whether the connection has nothing to bring or to take any more.
    pub(super) fn is_done(&self) -> bool {
        self.is_drained() || self.is_retired() && self.connection.link.borrow().is_idle()
    }

    /// Ends the connection, and tells the peer that no other goes on with its session.
    pub(super) fn leave(&self) {
        self.connection.link.borrow_mut().goodbye();
        self.connection.shutdown_after_writing();
    }

    /// Fails everything that waits, and ends.
    pub(in crate::cluster) fn end(&self, shard: &Rc<ShardCore>, failure: Failure<'_>) {
        self.leave();
        self.connection.link.borrow_mut().close();
        let _ = self.take_events(shard, failure);
        self.fail_backlog(shard, &failure);
        self.state.borrow_mut().purpose = Purpose::Retired;
        self.connection.shutdown();
        self.hurried.wake();
        self.demanded.wake();
    }

    pub(super) fn arm(&self, shard: &ShardCore, deadline: Millis) {
        if deadline < self.armed.get() {
            self.armed.set(deadline);
            shard.set_timer(deadline, Timer::Channel(self.key.get()));
        }
    }

    /// The shard's timer went off.
    pub(in crate::cluster) fn deadline(&self, shard: &Rc<ShardCore>) {
        self.armed.set(Millis::MAX);
        self.expire_backlog(shard);
        if let Err(fault) = self.take_events(shard, Failure::Broken(&self.last_cause())) {
            // The reader sees the end, and takes this for its cause.
            self.state.borrow_mut().fault = Some(fault);
            self.connection.shutdown();
        } else if self.connection.link.borrow().has_output() {
            self.connection.flush_later(shard);
        }
        self.arm_next(shard);
        self.shut_down_if_done();
    }

    /// Sets the timer for the link's next deadline.
    pub(super) fn arm_next(&self, shard: &ShardCore) {
        let next = self.connection.link.borrow().next_deadline();
        let waiting = self.backlog.next_deadline();
        if let Some(next) = next.into_iter().chain(waiting).min() {
            self.arm(shard, next.max(shard.now() + 1));
        }
    }

    fn is_wanted(&self, now: Millis) -> bool {
        let state = self.state.borrow();
        state.purpose == Purpose::Probe || state.wanted_until > now
    }

    /// Connects when there is something to send, serves the connection until it breaks, and so on until
    /// the channel is retired and idle.
    pub(in crate::cluster) async fn run(self: Rc<Self>, shard: Rc<ShardCore>) {
        let mut failures = 0u32;
        loop {
            let is_wanted = self.is_wanted(shard.update_now());
            if self.connection.link.borrow().is_idle() && (self.is_retired() || !is_wanted) {
                if self.is_retired() {
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
                    Ended::Drained => failures = 0,
                    Ended::Lost(fault) => {
                        failures = 0;
                        if !self.is_retired() && !shard.stopping.get() {
                            let cause = &fault.cause;
                            shard.node.metrics.connections_lost.add(1);
                            shard.log(Handle::NONE, format!("cluster node {} lost: {cause}", self.node));
                            self.report(&shard, fault.evidence());
                        }
                    }
                    Ended::HandshakeFailed(_) if self.is_retired() || shard.stopping.get() => {}
                    Ended::HandshakeFailed(cause) => {
                        failures += 1;
                        let cause = format!("{cause}, before it answered the hello");
                        let cause = self.cause_at(&self.address(), &cause);
                        self.pause_after_failure(&shard, failures, began, cause).await;
                    }
                },
                Err(cause) => {
                    failures += 1;
                    self.pause_after_failure(&shard, failures, began, cause).await;
                }
            }
        }
        shard.cluster().remove_channel(self.key.get());
    }
}
