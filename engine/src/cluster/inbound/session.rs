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

use super::{Admission, Inbound, agreed_channels};
use crate::rt;
use crate::rt::stream::Stream;
use crate::shard::{Shard, Timer};

impl Inbound {
    /// The name that its peer gave itself.
    pub(crate) fn node(&self) -> String {
        self.node.borrow().clone()
    }

    /// Since when it has no connection; `None`: it has one, or is over.
    pub(crate) fn detached_since(&self) -> Option<Millis> {
        self.detached_since.get()
    }

    /// Answers a hello that names no session of this shard: from here on both sides speak the native dialect.
    pub(super) fn greet(&self, shard: &Rc<Shard>, hello: &Hello) {
        let channels = agreed_channels(self.channels_offered(), hello.channels);
        let answer = shard.node.hello(hello.channel, channels);
        let greeted = self.connection.link.borrow_mut().accept_hello(&answer);
        if greeted.is_err() {
            // Only this node's own name can be what no peer takes; then it speaks as Skynet does.
            self.connection.link.borrow_mut().refuse_hello();
        }
        self.node.borrow_mut().clone_from(&hello.node);
        let secret = self.connection.link.borrow().session_secret();
        if let Some(secret) = secret {
            self.secret.set(Some(secret));
            shard.cluster.keep_session(secret, self.key.get());
        }
        if shard.cluster.is_leaving() {
            self.say_goodbye(shard);
        }
        self.connection.flush_later(shard);
    }

    /// Whether its session can go on with the connection of `greeted`.
    pub(crate) fn can_resume(&self, greeted: &CalleeLink) -> bool {
        self.connection.link.borrow().can_resume(greeted)
    }

    /// Whether its session has gone on since the hello of `greeted` was written.
    pub(crate) fn is_outdated(&self, greeted: &CalleeLink) -> bool {
        self.connection.link.borrow().is_outdated(greeted)
    }

    /// Hands the connection to the one that has its session.
    pub(super) fn hand_over(
        &self,
        shard: &Rc<Shard>,
        stream: Rc<Stream>,
        hello: &Hello,
        holder: Rc<Inbound>,
    ) {
        let link = self.take_link(shard);
        self.connection.forget();
        if let Some(admission) = self.admission.borrow_mut().take() {
            holder.go_on(shard, link, stream, hello, self.peer.get(), admission);
        }
    }

    /// Goes on with another connection; the one before, if it still seems to be there, ends.
    pub(crate) fn go_on(
        self: Rc<Self>,
        shard: &Rc<Shard>,
        link: CalleeLink,
        stream: Rc<Stream>,
        hello: &Hello,
        peer: SocketAddr,
        admission: Arc<Admission>,
    ) {
        self.connection.detach();
        let channels = agreed_channels(admission.channels, hello.channels);
        let answer = shard.node.hello(hello.channel, channels);
        let resumed = self.connection.link.borrow_mut().resume(link, &answer);
        if resumed.is_err() {
            // It was asked before whether it can; so this is over, and the peer begins anew.
            self.let_go(shard);
            self.set_attached(shard);
            return shard.cluster.remove_inbound(self.key.get());
        }
        self.set_attached(shard);
        self.peer.set(peer);
        *self.admission.borrow_mut() = Some(admission);
        self.progressed.set(shard.now());
        self.unfinished.set(false);
        self.active.set(true);
        shard.node.metrics.sessions_resumed.add(1);
        self.begin(shard, stream);
        if shard.cluster.is_leaving() {
            self.say_goodbye(shard);
        }
    }

    /// The connection is over: whether there is a session to go on with.
    pub(super) fn detach(&self, shard: &Rc<Shard>) -> bool {
        let is_leaving = shard.stopping.get() || shard.cluster.is_leaving();
        let goes_on = !is_leaving && self.connection.link.borrow_mut().disconnected();
        if goes_on {
            self.admission.borrow_mut().take();
            self.detached_since.set(Some(shard.now()));
            shard.cluster.count_detached(shard);
            self.count_held(shard);
        }
        goes_on
    }

    fn set_attached(&self, shard: &Shard) {
        if self.detached_since.take().is_some() {
            shard.cluster.uncount_detached();
        }
    }

    /// Uses a stream, and has it served, from now on.
    pub(crate) fn begin(self: &Rc<Self>, shard: &Rc<Shard>, stream: Rc<Stream>) {
        self.connection.attach(Rc::clone(&stream));
        // One that was taken over has its answer to the hello to send.
        self.connection.flush_later(shard);
        rt::spawn(Rc::clone(self).run(Rc::clone(shard), stream));
    }

    /// Ends a session, whether it has a connection or not.
    pub(crate) fn end_session(&self, shard: &Shard) {
        self.let_go(shard);
        if self.detached_since.get().is_some() {
            self.set_attached(shard);
            shard.node.metrics.sessions_dropped.add(1);
            shard.cluster.remove_inbound(self.key.get());
        }
    }

    /// Ends it if it has been without a connection for too long.
    pub(super) fn sweep_detached(&self, shard: &Shard) {
        if let Some(since) = self.detached_since.get()
            && shard.now().saturating_sub(since) > SESSION_KEPT_MS_MAX
        {
            self.end_session(shard);
        }
    }

    /// Does what its link has to do by time, and sets the timer for when it has more.
    pub(crate) fn tick(&self, shard: &Rc<Shard>) {
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
    pub(crate) fn deadline(&self, shard: &Rc<Shard>) {
        self.armed.set(Millis::MAX);
        self.tick(shard);
    }

    /// Lets go of answers that are kept for a later connection, because all together hold too much.
    pub(crate) fn trim(&self, shard: &Shard) {
        self.connection.link.borrow_mut().trim_retained(0);
        self.release(shard);
    }
}
