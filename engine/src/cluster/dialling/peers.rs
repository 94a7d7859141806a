//! The peers of a shard: the address of each, the number of its channels, and the channels that this shard owns.
//!
//! Invariant: a peer keeps its index in the table until it is removed, and an index is reused only after that.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::cluster::dialling::channel::Channel;
use crate::config::NodeAddress;
use crate::core::placement::channel_of_key;
use crate::error::Text;

/// Another node, as one shard sees it.
pub(in crate::cluster) struct Peer {
    /// Its address in the map.
    pub(in crate::cluster) address: NodeAddress,
    /// The number of its channels; `None` until the first handshake. Before that nothing is sent, because the channel
    /// of a key, and so the order of its messages, depends on the number.
    channels: Option<u32>,
    /// The channels that this shard owns and has opened.
    own: Vec<Rc<Channel>>,
    /// The same channels, indexed by number minus 1, once the number of channels is known.
    by_number: Vec<Option<Rc<Channel>>>,
}

impl Peer {
    fn new(address: NodeAddress) -> Peer {
        Peer {
            address,
            channels: None,
            own: Vec::new(),
            by_number: Vec::new(),
        }
    }

    /// The number of its channels, if it is known.
    pub(in crate::cluster) fn channels(&self) -> Option<u32> {
        self.channels
    }

    /// Sets the number of its channels.
    pub(in crate::cluster) fn set_channels(&mut self, channels: u32) {
        self.channels = Some(channels);
        self.index_channels();
    }

    fn index_channels(&mut self) {
        let numbers = 1..=self.channels.unwrap_or(0);
        self.by_number = numbers.map(|number| self.channel(number).cloned()).collect();
    }

    /// The channel with this number, if this shard owns it and has opened it.
    pub(in crate::cluster) fn channel(&self, number: u32) -> Option<&Rc<Channel>> {
        self.own.iter().find(|channel| channel.number == number)
    }

    /// The channel of a key, if this shard owns it and has opened it.
    #[inline]
    pub(in crate::cluster) fn channel_of_key(&self, key: u64) -> Option<&Rc<Channel>> {
        match &self.by_number[..] {
            [] => None,
            [only] => only.as_ref(),
            several => {
                let number = channel_of_key(key, several.len() as u32);
                several.get(number as usize - 1)?.as_ref()
            }
        }
    }

    /// Every channel that this shard owns and has opened.
    pub(in crate::cluster) fn own(&self) -> &[Rc<Channel>] {
        &self.own
    }

    /// Adds a channel.
    pub(in crate::cluster) fn add(&mut self, channel: Rc<Channel>) {
        self.own.push(channel);
        self.index_channels();
    }

    /// Removes a channel that has ended.
    pub(in crate::cluster) fn remove(&mut self, ended: &Rc<Channel>) {
        self.own.retain(|channel| !Rc::ptr_eq(channel, ended));
        self.index_channels();
    }
}

/// The peers of one shard.
#[derive(Default)]
pub(in crate::cluster) struct Peers {
    indices: FxHashMap<Text, u32>,
    peers: Vec<Option<Peer>>,
    vacant: Vec<u32>,
}

impl Peers {
    /// The index of a node in the table.
    pub(in crate::cluster) fn index(&self, node: &str) -> Option<u32> {
        self.indices.get(node).copied()
    }

    /// The peer at an index.
    #[inline]
    pub(in crate::cluster) fn at(&self, index: u32) -> Option<&Peer> {
        self.peers.get(index as usize)?.as_ref()
    }

    pub(in crate::cluster) fn get(&self, node: &str) -> Option<&Peer> {
        self.at(self.index(node)?)
    }

    pub(in crate::cluster) fn get_mut(&mut self, node: &str) -> Option<&mut Peer> {
        let index = self.index(node)?;
        self.peers.get_mut(index as usize)?.as_mut()
    }

    /// The peer with this name; a new one with `address` if there is none.
    pub(in crate::cluster) fn get_or_insert(&mut self, node: &Text, address: NodeAddress) -> &mut Peer {
        let index = match self.index(node) {
            Some(index) => index,
            None => {
                let index = self.vacant.pop().unwrap_or_else(|| {
                    self.peers.push(None);
                    self.peers.len() as u32 - 1
                });
                self.indices.insert(Text::clone(node), index);
                index
            }
        };
        self.peers[index as usize].get_or_insert_with(|| Peer::new(address))
    }

    /// Removes a peer.
    pub(in crate::cluster) fn remove(&mut self, node: &str) -> Option<Peer> {
        let index = self.indices.remove(node)?;
        self.vacant.push(index);
        self.peers.get_mut(index as usize)?.take()
    }

    /// The names of all peers.
    pub(in crate::cluster) fn names(&self) -> Vec<Text> {
        self.indices.keys().cloned().collect()
    }
}
