//! The handshake of an inbound connection, and its transfer to the shard that owns its channel.

use std::rc::Rc;

use skyring_codec::link::CalleeLink;
use skyring_codec::native::{CHANNELS_MAX, Hello};

use crate::cluster::accepting::admission::Offer;
use crate::cluster::accepting::inbound::state::Inbound;
use crate::cluster::shared;
use crate::core::ShardCore;
use crate::core::connection::ReadError;
use crate::log::Level;
use crate::rt::stream::Stream;

impl Inbound {
    /// Answers a hello that names no session of this shard. From here on both sides speak the native dialect.
    pub(super) fn answer_hello(&self, shard: &Rc<ShardCore>, peer_hello: &Hello) {
        let offer = self.offer();
        let channels = agree_on_channels(offer.channels, peer_hello.channels);
        let answer = shared::answer(shard, &offer, peer_hello.channel, channels);
        let accepted = self.connection.link.borrow_mut().accept_hello(&answer);
        if accepted.is_err() {
            // Only this node's own name can make the answer invalid; then the node speaks the skynet dialect.
            self.connection.link.borrow_mut().refuse_hello();
        }
        let secret = self.connection.link.borrow().session_secret();
        {
            let mut peer = self.peer.borrow_mut();
            peer.node.clone_from(&peer_hello.node);
            self.forget_permit();
            peer.secret = secret.or(peer.secret);
        }
        if let Some(secret) = secret {
            shard.cluster().register_session(secret, self.key.get());
        }
        if shard.cluster().is_draining() {
            self.send_goodbye(shard);
        }
        let sign = shard.cluster().shared.signs_of_life.of(peer_hello.epoch);
        self.sign_of_life.replace(Some(sign));
        self.connection.flush_later(shard);
    }

    /// Continues a connection that another shard accepted.
    pub(in crate::cluster) fn take_over(&self, shard: &Rc<ShardCore>, link: CalleeLink, hello: &Hello) {
        *self.connection.link.borrow_mut() = link;
        self.await_proof(shard);
        self.answer_hello(shard, hello);
        self.note_progress(shard);
        self.count_held(shard);
    }

    /// Takes the link out, for the owner that continues its connection.
    pub(super) fn take_link(&self) -> CalleeLink {
        let link = std::mem::replace(&mut *self.connection.link.borrow_mut(), CalleeLink::ended());
        self.recount();
        link
    }

    /// What its listener offers a peer.
    fn offer(&self) -> Offer {
        let peer = self.peer.borrow();
        peer.admission
            .as_ref()
            .map_or_else(Offer::default, |admission| admission.offer.clone())
    }

    /// Transfers the connection to the shard that owns its channel, with the state of its link and of its TLS.
    pub(super) async fn move_to(
        &self,
        shard: &Rc<ShardCore>,
        stream: &Stream,
        owner: usize,
        hello: Box<Hello>,
    ) {
        let socket = match stream.release().await {
            Ok((socket, received)) => {
                if let Err(ReadError::Tls(fault)) = self.connection.receive_rest(received, shard) {
                    self.count_tls_fault(shard, &fault);
                    self.connection.shutdown();
                    return;
                }
                socket
            }
            // No descriptor is available: the peer sees a closed connection and tries again.
            Err(error) => {
                shard.log_cluster(
                    Level::Warning,
                    format!("{} cannot be transferred to its shard: {error}", self.address()),
                );
                self.connection.shutdown();
                return;
            }
        };
        let admission = self.peer.borrow_mut().admission.take();
        let Some(admission) = admission else {
            return;
        };
        self.end_wait(shard);
        let peer = self.address();
        let (link, shell) = (self.take_link(), self.connection.forget());
        shard.run_on(owner, move |shard| {
            shard
                .cluster()
                .take_over(shard, socket, peer, admission, link, &hello, shell);
        });
    }
}

/// The number of channels of a peer: the lower of the two ends' numbers. A dialler that accepts any number says the
/// highest.
pub(super) fn agree_on_channels(offered: Option<u32>, wanted: u32) -> u32 {
    match offered {
        Some(offered) => offered.min(wanted),
        None if wanted == CHANNELS_MAX => 1,
        None => wanted,
    }
}
