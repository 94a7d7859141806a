//! The session of an inbound channel: it outlives its connection, and a later connection resumes it.
//!
//! When the connection of a channel with a session breaks, the [`Inbound`] stays, detached: the answers to its
//! requests still find it by its key, and are retained. A new connection whose hello names the session gets an
//! [`Inbound`] of its own first, which transfers the connection to the session's [`Inbound`] and ends.
//!
//! Invariants: of the tasks that have served one [`Inbound`], only the one whose stream it uses reads, writes, or
//! ends it; a detached one is not among its listener's clients.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use skyring_codec::Millis;
use skyring_codec::link::{CalleeLink, SESSION_KEPT_MS_MAX};
use skyring_codec::native::Hello;

use crate::cluster::accepting::admission::Admission;
use crate::cluster::accepting::inbound::handshake::agree_on_channels;
use crate::cluster::accepting::inbound::state::{Detached, Inbound, Progress};
use crate::cluster::shared;
use crate::core::ShardCore;
use crate::core::timers::Timer;
use crate::rt;
use crate::rt::stream::Stream;
use crate::tls::Shell;

impl Inbound {
    /// Whether its session can resume on the connection of `incoming`.
    pub(in crate::cluster) fn can_resume(&self, incoming: &CalleeLink) -> bool {
        self.connection.link.borrow().can_resume(incoming)
    }

    /// Whether its session belongs to a peer that has proved the cluster secret, or need not.
    pub(in crate::cluster) fn is_session_proved(&self) -> bool {
        self.connection.link.borrow().is_session_proved()
    }

    /// Whether its session has resumed since the hello of `incoming` was written.
    pub(in crate::cluster) fn is_outdated(&self, incoming: &CalleeLink) -> bool {
        self.connection.link.borrow().is_outdated(incoming)
    }

    /// Transfers the connection to the holder of its session.
    pub(super) fn transfer_to(
        &self,
        shard: &Rc<ShardCore>,
        stream: Rc<Stream>,
        hello: &Hello,
        holder: Rc<Inbound>,
    ) {
        let link = self.take_link();
        self.end_wait(shard);
        let shell = self.connection.forget();
        let admission = self.peer.borrow_mut().admission.take();
        if let Some(admission) = admission {
            holder.resume(shard, link, (stream, shell), hello, self.address(), admission);
        }
    }

    /// Resumes the session on another connection; the connection before, if it still seems open, ends.
    pub(in crate::cluster) fn resume(
        self: Rc<Self>,
        shard: &Rc<ShardCore>,
        link: CalleeLink,
        (stream, shell): (Rc<Stream>, Option<Box<Shell>>),
        hello: &Hello,
        peer: SocketAddr,
        admission: Arc<Admission>,
    ) {
        self.connection.detach();
        let channels = agree_on_channels(admission.offer.channels, hello.channels);
        let answer = shared::answer(shard, &admission.offer, hello.channel, channels);
        let resumed = self.connection.link.borrow_mut().resume(link, &answer);
        if resumed.is_err() {
            // The caller has checked that it can resume, so this session has ended, and the peer begins a new one.
            self.discard(shard);
            self.set_attached(shard);
            return shard.cluster().remove_inbound(self.key.get());
        }
        self.set_attached(shard);
        {
            let mut current = self.peer.borrow_mut();
            current.address = peer;
            current.node.clone_from(&hello.node);
            self.forget_permit();
            current.admission = Some(admission);
        }
        let progress = self.progress.get();
        self.progress.set(Progress {
            at: shard.now(),
            is_unfinished: false,
            ..progress
        });
        self.is_active.set(true);
        self.await_proof(shard);
        shard.node.metrics.sessions_resumed.add(1);
        self.begin(shard, stream, shell);
        if shard.cluster().is_draining() {
            self.send_goodbye(shard);
        }
    }

    /// Detaches the session from its ended connection; returns false when there is no session to resume.
    pub(super) fn detach(&self, shard: &Rc<ShardCore>) -> bool {
        let is_stopping = shard.stopping.get() || shard.cluster().is_draining();
        let is_resumable = !is_stopping && self.connection.link.borrow_mut().disconnected();
        if is_resumable {
            let cluster = shard.cluster();
            let place = cluster.add_detached(self.key.get(), self.is_session_proved());
            {
                let mut peer = self.peer.borrow_mut();
                peer.admission = None;
                peer.detached = Some(Detached {
                    since: shard.now(),
                    place,
                });
            }
            cluster.end_surplus_detached(shard);
            self.count_held(shard);
        }
        is_resumable
    }

    fn set_attached(&self, shard: &ShardCore) {
        let detached = self.peer.borrow_mut().detached.take();
        if let Some(detached) = detached {
            shard.cluster().remove_detached(detached.place);
        }
    }

    /// Attaches a stream, and spawns the task that serves it.
    pub(in crate::cluster) fn begin(
        self: &Rc<Self>,
        shard: &Rc<ShardCore>,
        stream: Rc<Stream>,
        shell: Option<Box<Shell>>,
    ) {
        self.connection.attach(Rc::clone(&stream), shell);
        // A transferred connection still has to send its answer to the hello.
        self.connection.flush_later(shard);
        rt::spawn(Rc::clone(self).run(Rc::clone(shard), stream));
    }

    /// Ends a session, attached or detached.
    pub(in crate::cluster) fn end_session(&self, shard: &ShardCore) {
        self.discard(shard);
        if self.detached_since().is_some() {
            self.set_attached(shard);
            shard.node.metrics.sessions_dropped.add(1);
            shard.cluster().remove_inbound(self.key.get());
        }
    }

    /// Ends the session if it is detached for too long.
    pub(super) fn sweep_detached(&self, shard: &ShardCore) {
        if let Some(since) = self.detached_since()
            && shard.now().saturating_sub(since) > SESSION_KEPT_MS_MAX
        {
            self.end_session(shard);
        }
    }

    /// Runs the timers of its link, and arms the timer for the next deadline.
    pub(in crate::cluster) fn tick(&self, shard: &Rc<ShardCore>) {
        let next = {
            let mut link = self.connection.link.borrow_mut();
            link.tick(shard.now());
            if link.has_output() {
                drop(link);
                self.connection.flush_later(shard);
                link = self.connection.link.borrow_mut();
            }
            link.next_deadline()
        };
        if let Some(deadline) = next
            && deadline < self.armed.get()
        {
            self.armed.set(deadline);
            shard.set_timer(deadline, Timer::Inbound(self.key.get()));
        }
    }

    /// Handles the expiry of the shard's timer.
    pub(in crate::cluster) fn deadline(&self, shard: &Rc<ShardCore>) {
        self.armed.set(Millis::MAX);
        self.tick(shard);
    }

    /// Drops the answers that are retained for a resumption, because the sum of held bytes is over its limit.
    pub(in crate::cluster) fn drop_retained(&self) {
        self.connection.link.borrow_mut().trim_retained(0);
        self.release_memory();
    }
}
