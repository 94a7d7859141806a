//! The wait of an inbound connection for the proof of who its peer is, by a certificate or by the cluster secret, and
//! what happens without one.

use std::rc::Rc;

use skyring_codec::native::Unproved;

use crate::cluster::accepting::inbound::state::Inbound;
use crate::cluster::accepting::inbound::sweep::PACKAGE_TIME_MS_MAX;
use crate::cluster::accepting::incidents::Incident;
use crate::core::ShardCore;
use crate::metrics::{Counter, Metrics};

impl Inbound {
    /// Begins to wait for the proof, if it is awaited. Makes space for it if too many connections wait.
    pub(in crate::cluster) fn await_proof(&self, shard: &Rc<ShardCore>) {
        if !self.connection.link.borrow().awaits_proof() {
            return self.return_permit();
        }
        self.end_wait(shard);
        self.waiting_since.set(Some(shard.now()));
        let cluster = shard.cluster();
        let crowded = cluster.waiting.enter(self.key.get(), self.address().ip());
        let Some(crowded) = crowded.and_then(|key| cluster.inbound_with(key)) else {
            return;
        };
        shard.node.metrics.connections_unproved_crowded.add(1);
        cluster.incidents.log(shard, Incident::Crowded, || {
            format!(
                "{} is closed before its peer has proved who it is: too many connections of its address wait",
                crowded.address()
            )
        });
        crowded.end_wait(shard);
        crowded.disconnect(shard);
    }

    /// Its peer has proved who it is, or need not.
    pub(super) fn return_permit(&self) {
        if let Some(admission) = &self.peer.borrow().admission {
            admission.return_permit();
        }
    }

    /// Ends the wait: the proof has come, or the connection ends or moves.
    pub(super) fn end_wait(&self, shard: &ShardCore) {
        if self.waiting_since.take().is_some() {
            shard.cluster().waiting.leave(self.key.get());
        }
    }

    /// Ends the connection if the proof is overdue; returns whether it did.
    pub(super) fn sweep_waiting(&self, shard: &Rc<ShardCore>) -> bool {
        let is_overdue = |since| shard.now().saturating_sub(since) > PACKAGE_TIME_MS_MAX;
        if !self.waiting_since.get().is_some_and(is_overdue) {
            return false;
        }
        let metrics = &shard.node.metrics;
        let (counter, what) = match self.connection.is_handshaking() {
            true => (&metrics.connections_tls_late, "finish the TLS handshake"),
            false => (&metrics.connections_unproved_late, "prove who it is"),
        };
        counter.add(1);
        shard.cluster().incidents.log(shard, Incident::Late, || {
            let seconds = PACKAGE_TIME_MS_MAX / 1000;
            format!("{} did not {what} within {seconds} s", self.address())
        });
        self.end_wait(shard);
        self.disconnect(shard);
        true
    }

    /// Counts and logs why a peer has not proved the secret.
    pub(super) fn count_unproved(&self, shard: &Rc<ShardCore>, reason: Unproved) {
        counter(&shard.node.metrics, reason).add(1);
        shard
            .cluster()
            .incidents
            .log(shard, Incident::Unproved(reason), || {
                format!("{} is denied: {reason}", self.address())
            });
    }
}

/// The counter of connections that ended for this reason.
fn counter(metrics: &Metrics, reason: Unproved) -> &Counter {
    match reason {
        Unproved::NoProof => &metrics.connections_without_secret,
        Unproved::OtherSecret => &metrics.connections_other_secret,
        Unproved::Changed => &metrics.connections_hello_changed,
        Unproved::OtherHandshake => &metrics.connections_hello_replayed,
        Unproved::Reflected => &metrics.connections_proof_reflected,
        Unproved::SkynetDialect => &metrics.connections_skynet_denied,
        Unproved::TooLong => &metrics.connections_hello_too_long,
        Unproved::EarlyFrame => &metrics.connections_frame_early,
        Unproved::Plain => &metrics.connections_without_tls,
        Unproved::Tls => &metrics.connections_tls_unexpected,
        Unproved::OtherName => &metrics.connections_certificate_other_name,
    }
}
