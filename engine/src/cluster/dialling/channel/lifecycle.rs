//! The life of a channel: its task, its timer, and its end.

use std::rc::Rc;

use skyring_codec::Millis;

use crate::cluster::dialling::channel::connecting::Attempt;
use crate::cluster::dialling::channel::failure::{Ended, Failure, Fault, FaultKind};
use crate::cluster::dialling::channel::state::{Channel, Purpose};
use crate::cluster::membership::detector::Evidence;
use crate::config::NodeAddress;
use crate::core::ShardCore;
use crate::core::timers::Timer;
use crate::log::Level;
use crate::rt;

impl Channel {
    /// Connects although there is nothing to send, and keeps trying until this time.
    pub(in crate::cluster) fn connect_until(&self, until: Millis) {
        {
            let mut state = self.state.borrow_mut();
            state.connect_until = state.connect_until.max(until);
        }
        self.connect_requested.wake();
    }

    /// Changes the address for the next attempt. Only while there is no connection; an open one serves its calls.
    pub(in crate::cluster) fn set_address(&self, address: NodeAddress) {
        self.state.borrow_mut().address = address;
        self.retry_now.wake();
    }

    /// Lets the channel finish its calls and then end.
    pub(in crate::cluster) fn retire(&self, shard: &Rc<ShardCore>) {
        self.state.borrow_mut().purpose = Purpose::Retired;
        self.reroute_backlog(shard);
        // Writes the sends that wait for the end of the turn: no reply to them would trigger the next check.
        self.connection.write_now();
        self.shut_down_if_done();
        self.retry_now.wake();
        self.connect_requested.wake();
    }

    pub(super) fn shut_down_if_done(&self) {
        if self.is_done() {
            self.shutdown_gracefully();
        }
    }

    /// Whether the connection has nothing more to send or receive.
    pub(super) fn is_done(&self) -> bool {
        self.is_drained() || self.is_retired() && self.connection.link.borrow().is_idle()
    }

    /// Says goodbye, which ends the session, and ends the connection once all is written.
    pub(super) fn shutdown_gracefully(&self) {
        self.connection.link.borrow_mut().goodbye();
        self.connection.shutdown_after_writing();
    }

    /// Fails all calls, and ends the channel.
    pub(in crate::cluster) fn end(&self, shard: &Rc<ShardCore>, failure: Failure<'_>) {
        self.shutdown_gracefully();
        self.connection.link.borrow_mut().close();
        let _ = self.handle_events(shard, failure);
        self.fail_backlog(shard, &failure);
        self.state.borrow_mut().purpose = Purpose::Retired;
        self.connection.shutdown();
        self.retry_now.wake();
        self.connect_requested.wake();
    }

    pub(super) fn arm(&self, shard: &ShardCore, deadline: Millis) {
        if deadline < self.armed.get() {
            self.armed.set(deadline);
            shard.set_timer(deadline, Timer::Channel(self.key.get()));
        }
    }

    /// Handles the expiry of the shard's timer.
    pub(in crate::cluster) fn deadline(&self, shard: &Rc<ShardCore>) {
        self.armed.set(Millis::MAX);
        self.hear_elsewhere();
        // Before a ping is written, which would be something that waits.
        self.close_if_unused(shard);
        self.expire_backlog(shard);
        if let Err(fault) = self.handle_events(shard, Failure::Broken(&self.last_cause())) {
            // The reader sees only the end, and takes its cause from here.
            self.state.borrow_mut().fault = Some(fault);
            self.connection.shutdown();
        } else if self.connection.link.borrow().has_output() {
            self.connection.flush_later(shard);
        }
        self.arm_next(shard);
        self.shut_down_if_done();
    }

    /// Arms the timer for the next deadline of the link or the backlog.
    pub(super) fn arm_next(&self, shard: &ShardCore) {
        let next = self.connection.link.borrow().next_deadline();
        let waiting = self.backlog.next_deadline();
        let idle = self.idle_deadline(shard);
        if let Some(next) = next.into_iter().chain(waiting).chain(idle).min() {
            self.arm(shard, next.max(shard.now() + 1));
        }
    }

    /// The attempt whose handshake ended with a fault; counts a refusal.
    fn attempt_of(&self, shard: &ShardCore, fault: &Fault) -> Attempt {
        let metrics = &shard.node.metrics;
        let counter = match fault.kind() {
            FaultKind::Denied => &metrics.connects_denied,
            FaultKind::Unproved => &metrics.connects_unproved,
            FaultKind::Misled => &metrics.connects_misled,
            FaultKind::Break | FaultKind::Silence => {
                let cause = format!("{}, before it answered the hello", fault.cause);
                return Attempt::Failed(self.cause_at(&self.address(), &cause));
            }
        };
        counter.add(1);
        let cause = self.cause_at(&self.address(), &fault.cause);
        Attempt::Denied(format!("denied: {cause}").into())
    }

    fn must_connect(&self, now: Millis) -> bool {
        let state = self.state.borrow();
        state.purpose == Purpose::Probe || state.connect_until > now
    }

    /// Connects when there is something to send, serves the connection until it breaks, and repeats this until the
    /// channel is retired and idle.
    pub(in crate::cluster) async fn run(self: Rc<Self>, shard: Rc<ShardCore>) {
        let mut failures = 0u32;
        loop {
            let must_connect = self.must_connect(shard.update_now());
            if self.connection.link.borrow().is_idle() && (self.is_retired() || !must_connect) {
                if self.is_retired() {
                    break;
                }
                self.connect_requested.wait().await;
                continue;
            }
            if self.is_waiting_for_node() {
                self.retry_now.wait().await;
                continue;
            }
            self.wait_for_predecessors(&shard).await;
            self.wait_for_rate_limit(&shard).await;
            let began = rt::now();
            self.report(&shard, Evidence::Dialling);
            let (node, number, address) = (&self.node, self.number, self.address());
            shard.log_cluster(
                Level::Debug,
                format_args!("channel {number} to {node} connects to {address}"),
            );
            match self.connect(&shard).await {
                Ok((stream, address)) => match self.serve(&shard, Rc::new(stream), address).await {
                    Ended::Drained => failures = 0,
                    Ended::Lost(fault) => {
                        failures = 0;
                        if !self.is_retired() && !shard.stopping.get() {
                            let cause = &fault.cause;
                            shard.node.metrics.connections_lost.add(1);
                            shard.log_cluster(
                                Level::Warning,
                                format!("cluster node {} lost: {cause}", self.node),
                            );
                            self.report(&shard, fault.evidence());
                        }
                    }
                    Ended::HandshakeFailed(_) if self.is_retired() || shard.stopping.get() => {}
                    Ended::HandshakeFailed(fault) => {
                        failures += 1;
                        let failure = self.attempt_of(&shard, &fault);
                        self.pause_after_failure(&shard, failures, began, failure).await;
                    }
                },
                Err(cause) => {
                    failures += 1;
                    let failure = Attempt::Failed(cause);
                    self.pause_after_failure(&shard, failures, began, failure).await;
                }
            }
        }
        shard.cluster().remove_channel(self.key.get());
    }
}
