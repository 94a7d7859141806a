//! The connections of one shard that have not proved the cluster secret yet.
//!
//! Their number is bounded. One more ends the oldest of the address that has the most of them: so somebody who opens
//! connections and proves nothing ends his own, and a peer, which takes milliseconds for its proof, is not in the way.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::cluster::accepting::admission::source;
use crate::core::slab::Key;

/// Most connections of one shard that wait for the proof of the cluster secret.
pub const CONNECTIONS_UNPROVED_MAX: usize = 512;

/// The waiting connections, the oldest first.
#[derive(Default)]
pub(in crate::cluster) struct Waiting(RefCell<VecDeque<(Key, IpAddr)>>);

impl Waiting {
    /// Adds a connection from this address; returns one that must end, if there are too many.
    pub(super) fn enter(&self, key: Key, address: IpAddr) -> Option<Key> {
        let mut waiting = self.0.borrow_mut();
        waiting.push_back((key, source(address)));
        if waiting.len() <= CONNECTIONS_UNPROVED_MAX {
            return None;
        }
        let mut counts: FxHashMap<IpAddr, usize> = FxHashMap::default();
        for (_, source) in waiting.iter() {
            *counts.entry(*source).or_default() += 1;
        }
        let most = counts.values().max().copied()?;
        let is_greedy = |(_, source): &(Key, IpAddr)| counts.get(source) == Some(&most);
        let at = waiting.iter().position(is_greedy)?;
        waiting.remove(at).map(|(key, _)| key)
    }

    /// Removes a connection.
    pub(super) fn leave(&self, key: Key) {
        let mut waiting = self.0.borrow_mut();
        if let Some(at) = waiting.iter().position(|(other, _)| *other == key) {
            waiting.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_oldest_of_the_address_with_the_most_ends_and_others_stay() {
        let waiting = Waiting::default();
        let peer = Key::from_u64(1);
        assert_eq!(waiting.enter(peer, address("10.0.0.1")), None);
        let flood = (2..3_000).map(|key| waiting.enter(Key::from_u64(key), address("10.0.0.2")));
        let ended: Vec<Key> = flood.flatten().collect();
        let expected: Vec<Key> = (2..).take(ended.len()).map(Key::from_u64).collect();
        assert_eq!(ended, expected);
        assert_eq!(ended.len(), 2_998 + 1 - CONNECTIONS_UNPROVED_MAX);
        waiting.leave(peer);
        waiting.leave(peer);
        assert_eq!(waiting.0.borrow().len(), CONNECTIONS_UNPROVED_MAX - 1);
        assert_eq!(waiting.enter(peer, address("10.0.0.1")), None);
    }
}
