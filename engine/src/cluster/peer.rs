//! What a shard knows of another node: where it is, how many channels it has, and which of them are this
//! shard's.

use std::rc::Rc;

use crate::cluster::channel::Channel;
use crate::config::NodeAddress;

/// Another node, as one shard sees it.
pub(crate) struct Peer {
    /// Where the map says that it is.
    pub(crate) address: NodeAddress,
    /// How many channels it has; `None` until it was met. Before that nothing is sent, because a key's
    /// channel, and so its order, depends on the number.
    pub(crate) channels: Option<u32>,
    /// Its channels that this shard owns. A handful, so they are looked through.
    own: Vec<Rc<Channel>>,
}

impl Peer {
    pub(crate) fn new(address: NodeAddress, channels: Option<u32>) -> Peer {
        Peer {
            address,
            channels,
            own: Vec::new(),
        }
    }

    /// The channel with that number, if this shard owns it and has opened it.
    pub(crate) fn channel(&self, number: u32) -> Option<&Rc<Channel>> {
        self.own.iter().find(|channel| channel.number == number)
    }

    /// Every channel of it that this shard has.
    pub(crate) fn own(&self) -> &[Rc<Channel>] {
        &self.own
    }

    /// Takes a channel in.
    pub(crate) fn add(&mut self, channel: Rc<Channel>) {
        self.own.push(channel);
    }

    /// Forgets a channel that has ended.
    pub(crate) fn remove(&mut self, ended: &Rc<Channel>) {
        self.own.retain(|channel| !Rc::ptr_eq(channel, ended));
    }
}
