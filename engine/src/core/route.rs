//! A cached route to another node: a call to a known node needs no look-up.
//!
//! The cache holds an index into the cluster's table of peers; only the cluster room reads and writes it.
//!
//! Invariant: the index is used only while the shard's peers are unchanged, so an old route never leads to a node
//! that has moved, was disabled or has another number of channels.

use std::cell::Cell;
use std::rc::Rc;

use crate::error::Text;

/// A route to a node, which the callers of one shard share.
pub(crate) struct Route {
    pub(crate) node: Text,
    cached: Cell<(u64, u32)>,
}

/// No index: the node is not known.
pub(crate) const NO_INDEX: u32 = u32::MAX;

impl Route {
    pub(crate) fn new(node: Text) -> Rc<Route> {
        Rc::new(Route {
            node,
            cached: Cell::new((0, NO_INDEX)),
        })
    }

    /// The index that was cached at the version `version` of the peers, counted from 1; otherwise looks it up, and
    /// caches it.
    #[inline(always)]
    pub(crate) fn index(&self, version: u64, look_up: impl FnOnce(&str) -> Option<u32>) -> Option<u32> {
        let (seen, index) = self.cached.get();
        let index = if seen == version {
            index
        } else {
            let index = look_up(&self.node).unwrap_or(NO_INDEX);
            self.cached.set((version, index));
            index
        };
        (index != NO_INDEX).then_some(index)
    }
}
