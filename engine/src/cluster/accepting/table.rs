//! The inbound connections of a shard: acceptance, answers, deadlines, sweeps, and the memory budget.

use std::rc::Rc;

use std::net::SocketAddr;
use std::sync::Arc;

use skyring_codec::link::CalleeLink;
use skyring_codec::native::Hello;

use crate::cluster::accepting::admission::Admission;
use crate::cluster::accepting::inbound::Inbound;
use crate::cluster::accepting::sessions::SessionLookup;
use crate::cluster::room::ClusterShard;
use crate::core::ShardCore;
use crate::core::payload::Payload;
use crate::core::slab::Key;
use crate::error::Error;
use crate::log::Level;
use crate::rt::socket::Socket;
use crate::rt::stream::Stream;
use crate::tls::Shell;

impl ClusterShard {
    /// Serves an accepted socket.
    pub(crate) fn accept(
        &self,
        shard: &Rc<ShardCore>,
        socket: Socket,
        peer: SocketAddr,
        admission: Arc<Admission>,
    ) {
        if shard.stopping.get() || self.is_draining() {
            return;
        }
        if let Some(stream) = adopt(shard, socket, peer) {
            self.accept_stream(shard, stream, peer, admission);
        }
    }

    /// Serves a stream that a peer has opened.
    pub(in crate::cluster) fn accept_stream(
        &self,
        shard: &Rc<ShardCore>,
        stream: Rc<Stream>,
        peer: SocketAddr,
        admission: Arc<Admission>,
    ) {
        shard.log_cluster(Level::Debug, format_args!("{peer} has connected"));
        let inbound = self.add_inbound(shard, peer, admission);
        let Ok(shell) = inbound.new_shell(shard) else {
            return self.remove_inbound(inbound.key());
        };
        inbound.await_proof(shard);
        inbound.begin(shard, stream, shell);
    }

    /// Serves a connection that another shard accepted and whose channel this shard owns.
    #[expect(clippy::too_many_arguments, reason = "all that a connection consists of")]
    pub(crate) fn take_over(
        &self,
        shard: &Rc<ShardCore>,
        socket: Socket,
        peer: SocketAddr,
        admission: Arc<Admission>,
        link: CalleeLink,
        hello: &Hello,
        shell: Option<Box<Shell>>,
    ) {
        if shard.stopping.get() {
            return;
        }
        let Some(stream) = adopt(shard, socket, peer) else {
            return;
        };
        match self.find_session(shard, hello, &link) {
            SessionLookup::NotFound => {}
            SessionLookup::Resumable(holder) => {
                return holder.resume(shard, link, (stream, shell), hello, peer, admission);
            }
            SessionLookup::Superseded => return,
        }
        let inbound = self.add_inbound(shard, peer, admission);
        inbound.take_over(shard, link, hello);
        inbound.begin(shard, stream, shell);
    }

    fn add_inbound(&self, shard: &ShardCore, peer: SocketAddr, admission: Arc<Admission>) -> Rc<Inbound> {
        let security = shard.node.settings.security.as_ref();
        let inbound = Inbound::new(peer, admission, security, &self.budget, shard.now());
        inbound.set_key(self.inbound.borrow_mut().insert(Rc::clone(&inbound)));
        inbound
    }

    /// The inbound connection with this key.
    pub(in crate::cluster) fn inbound_with(&self, key: Key) -> Option<Rc<Inbound>> {
        self.inbound.borrow().get(key).cloned()
    }

    /// Passes an answer to the connection of its request; drops it if that connection has ended. `bytes` is the size
    /// of the request.
    pub(crate) fn respond(
        &self,
        shard: &Rc<ShardCore>,
        connection: Key,
        session: u32,
        bytes: usize,
        result: Result<Payload, Error>,
    ) {
        self.budget.finish_request(bytes);
        let inbound = self.inbound.borrow().get(connection).cloned();
        match inbound {
            Some(inbound) => inbound.respond(shard, session, bytes, result),
            None if session == 0 => {}
            None => shard.node.metrics.replies_late.add(1),
        }
    }

    /// Removes a connection that has ended.
    pub(crate) fn remove_inbound(&self, key: Key) {
        self.inbound.borrow_mut().remove(key);
    }

    /// Frees memory, and ends the connections that hold the most, until the held bytes are within their limit.
    pub(crate) fn enforce_budget(&self, shard: &Rc<ShardCore>) {
        let inbound = self.all_inbound();
        for connection in &inbound {
            connection.release_memory();
        }
        if self.budget.is_over() {
            inbound.iter().for_each(|connection| connection.drop_retained());
        }
        while self.budget.is_over() {
            let Some(largest) = inbound.iter().max_by_key(|connection| connection.held()) else {
                return;
            };
            if largest.held() == 0 {
                return;
            }
            largest.end_largest(shard);
        }
    }

    /// Checks every inbound connection for silence and stalls.
    pub(crate) fn sweep(&self, shard: &Rc<ShardCore>) {
        let inbound = self.all_inbound();
        for connection in inbound {
            connection.sweep(shard);
        }
    }

    /// Handles a deadline of an inbound connection.
    pub(crate) fn inbound_deadline(&self, shard: &Rc<ShardCore>, key: Key) {
        let inbound = self.inbound.borrow().get(key).cloned();
        if let Some(inbound) = inbound {
            inbound.deadline(shard);
        }
    }
}

/// Binds an accepted socket to this shard's executor; on failure, closes it and logs why.
fn adopt(shard: &ShardCore, socket: Socket, peer: SocketAddr) -> Option<Rc<Stream>> {
    match Stream::adopt(socket) {
        Ok(stream) => Some(Rc::new(stream)),
        Err(error) => {
            shard.log_cluster(Level::Warning, format!("connection from {peer}: {error}"));
            None
        }
    }
}
