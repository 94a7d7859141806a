//! The other nodes that a shard has to do with: where each is, how many channels it has, and which of them are this
//! shard's.
//!
//! Invariant: a peer keeps its place in the table until it is removed, and a place is only used again after that.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::cluster::dialling::channel::Channel;
use crate::config::NodeAddress;
use crate::core::placement::channel_of_key;
use crate::error::Text;

/// Another node, as one shard sees it.
pub(in crate::cluster) struct Peer {
    /// Where the map says that it is.
    pub(in crate::cluster) address: NodeAddress,
    /// How many channels it has; `None` until the first handshake. Before that nothing is sent, because a key's
    /// channel, and so its order, depends on the number.
    channels: Option<u32>,
    /// The channels that this shard owns and has opened.
    own: Vec<Rc<Channel>>,
    /// The same by number less 1, once their number is known.
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

    /// How many channels it has, if that is known.
    pub(in crate::cluster) fn channels(&self) -> Option<u32> {
        self.channels
    }

    /// Notes how many channels it has.
    pub(in crate::cluster) fn set_channels(&mut self, channels: u32) {
        self.channels = Some(channels);
        self.index();
    }

    fn index(&mut self) {
        let numbers = 1..=self.channels.unwrap_or(0);
        self.by_number = numbers.map(|number| self.channel(number).cloned()).collect();
    }

    /// The channel with that number, if this shard owns it and has opened it.
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

    /// Every channel of it that this shard has.
    pub(in crate::cluster) fn own(&self) -> &[Rc<Channel>] {
        &self.own
    }

    /// Takes a channel in.
    pub(in crate::cluster) fn add(&mut self, channel: Rc<Channel>) {
        self.own.push(channel);
        self.index();
    }

    /// Forgets a channel that has ended.
    pub(in crate::cluster) fn remove(&mut self, ended: &Rc<Channel>) {
        self.own.retain(|channel| !Rc::ptr_eq(channel, ended));
        self.index();
    }
}

/// The peers of one shard.
#[derive(Default)]
pub(in crate::cluster) struct Peers {
    places: FxHashMap<Text, u32>,
    peers: Vec<Option<Peer>>,
    vacant: Vec<u32>,
}

impl Peers {
    /// Where a node stands in the table.
    pub(in crate::cluster) fn place(&self, node: &str) -> Option<u32> {
        self.places.get(node).copied()
    }

    /// The peer at a place.
    #[inline]
    pub(in crate::cluster) fn at(&self, place: u32) -> Option<&Peer> {
        self.peers.get(place as usize)?.as_ref()
    }

    pub(in crate::cluster) fn get(&self, node: &str) -> Option<&Peer> {
        self.at(self.place(node)?)
    }

    pub(in crate::cluster) fn get_mut(&mut self, node: &str) -> Option<&mut Peer> {
        let place = self.place(node)?;
        self.peers.get_mut(place as usize)?.as_mut()
    }

    /// The peer of that name; a new one at `address` if there is none.
    pub(in crate::cluster) fn get_or_insert(&mut self, node: &Text, address: NodeAddress) -> &mut Peer {
        let place = match self.place(node) {
            Some(place) => place,
            None => {
                let place = self.vacant.pop().unwrap_or_else(|| {
                    self.peers.push(None);
                    self.peers.len() as u32 - 1
                });
                self.places.insert(Text::clone(node), place);
                place
            }
        };
        self.peers[place as usize].get_or_insert_with(|| Peer::new(address))
    }

    /// Takes a peer out.
    pub(in crate::cluster) fn remove(&mut self, node: &str) -> Option<Peer> {
        let place = self.places.remove(node)?;
        self.vacant.push(place);
        self.peers.get_mut(place as usize)?.take()
    }

    /// The names of all peers.
    pub(in crate::cluster) fn names(&self) -> Vec<Text> {
        self.places.keys().cloned().collect()
    }
}
