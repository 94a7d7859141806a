//! The session of an accepted channel: it outlives its connection, and a later one goes on with it.
//!
//! When a connection breaks whose channel has a session, the [`Inbound`] stays, detached: the answers to its
//! requests still find it by its key, and are kept. A connection whose hello names the session is handed to it by the
//! one that was made for that connection, and that one goes.
//!
//! Invariants: of several tasks that serve one [`Inbound`] after another only the one whose stream it uses reads,
//! writes, or takes it apart; a detached one holds no place among its listener's clients.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use skyring_codec::Millis;
use skyring_codec::link::{CalleeLink, SESSION_KEPT_MS_MAX};
use skyring_codec::native::Hello;

use crate::cluster::accepting::admission::Admission;
use crate::cluster::accepting::inbound::handshake::agree_on_channels;
use crate::cluster::accepting::inbound::state::{Inbound, Progress};
use crate::cluster::shared;
use crate::core::ShardCore;
use crate::core::timers::Timer;
use crate::rt;
use crate::rt::stream::Stream;

impl Inbound {
    /// Whether its session can go on with the connection of `greeted`.
    pub(in crate::cluster) fn can_resume(&self, greeted: &CalleeLink) -> bool {
        self.connection.link.borrow().can_resume(greeted)
    }

    /// Whether its session has gone on since the hello of `greeted` was written.
    pub(in crate::cluster) fn is_outdated(&self, greeted: &CalleeLink) -> bool {
        self.connection.link.borrow().is_outdated(greeted)
    }

    /// Hands the connection to the one that has its session.
    pub(super) fn hand_over(
        &self,
        shard: &Rc<ShardCore>,
        stream: Rc<Stream>,
        hello: &Hello,
        holder: Rc<Inbound>,
    ) {
        let link = self.take_link();
        self.connection.forget();
        let admission = self.peer.borrow_mut().admission.take();
        if let Some(admission) = admission {
            holder.resume(shard, link, stream, hello, self.address(), admission);
        }
    }

    /// Goes on with another connection; the one before, if it still seems to be there, ends.
    pub(in crate::cluster) fn resume(
        self: Rc<Self>,
        shard: &Rc<ShardCore>,
        link: CalleeLink,
        stream: Rc<Stream>,
        hello: &Hello,
        peer: SocketAddr,
        admission: Arc<Admission>,
    ) {
        self.connection.detach();
        let channels = agree_on_channels(admission.channels, hello.channels);
        let answer = shared::hello(&shard.node, hello.channel, channels);
        let resumed = self.connection.link.borrow_mut().resume(link, &answer);
        if resumed.is_err() {
            // It was asked before whether it can; so this is over, and the peer begins anew.
            self.discard(shard);
            self.set_attached(shard);
            return shard.cluster().remove_inbound(self.key.get());
        }
        self.set_attached(shard);
        {
            let mut known = self.peer.borrow_mut();
            known.address = peer;
            known.admission = Some(admission);
        }
        let progress = self.progress.get();
        self.progress.set(Progress {
            at: shard.now(),
            is_unfinished: false,
            ..progress
        });
        self.is_active.set(true);
        shard.node.metrics.sessions_resumed.add(1);
        self.begin(shard, stream);
        if shard.cluster().is_draining() {
            self.send_goodbye(shard);
        }
    }

    /// The connection is over: whether there is a session to go on with.
    pub(super) fn detach(&self, shard: &Rc<ShardCore>) -> bool {
        let is_leaving = shard.stopping.get() || shard.cluster().is_draining();
        let goes_on = !is_leaving && self.connection.link.borrow_mut().disconnected();
        if goes_on {
            {
                let mut peer = self.peer.borrow_mut();
                peer.admission = None;
                peer.detached_since = Some(shard.now());
            }
            shard.cluster().count_detached(shard);
            self.count_held(shard);
        }
        goes_on
    }

    fn set_attached(&self, shard: &ShardCore) {
        let since = self.peer.borrow_mut().detached_since.take();
        if since.is_some() {
            shard.cluster().uncount_detached();
        }
    }

    /// Uses a stream, and has it served, from now on.
    pub(in crate::cluster) fn begin(self: &Rc<Self>, shard: &Rc<ShardCore>, stream: Rc<Stream>) {
        self.connection.attach(Rc::clone(&stream));
        // One that was taken over has its answer to the hello to send.
        self.connection.flush_later(shard);
        rt::spawn(Rc::clone(self).run(Rc::clone(shard), stream));
    }

    /// Ends a session, whether it has a connection or not.
    pub(in crate::cluster) fn end_session(&self, shard: &ShardCore) {
        self.discard(shard);
        if self.detached_since().is_some() {
            self.set_attached(shard);
            shard.node.metrics.sessions_dropped.add(1);
            shard.cluster().remove_inbound(self.key.get());
        }
    }

    /// Ends it if it has been without a connection for too long.
    pub(super) fn sweep_detached(&self, shard: &ShardCore) {
        if let Some(since) = self.detached_since()
            && shard.now().saturating_sub(since) > SESSION_KEPT_MS_MAX
        {
            self.end_session(shard);
        }
    }

    /// Does what its link has to do by time, and sets the timer for when it has more.
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

    /// The shard's timer went off.
    pub(in crate::cluster) fn deadline(&self, shard: &Rc<ShardCore>) {
        self.armed.set(Millis::MAX);
        self.tick(shard);
    }

    /// Lets go of answers that are kept for a later connection, because all together hold too much.
    pub(in crate::cluster) fn trim(&self) {
        self.connection.link.borrow_mut().trim_retained(0);
        self.release();
    }
}
