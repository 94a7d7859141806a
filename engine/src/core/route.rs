//! The way to another node, remembered by whoever calls there: a call to a known node needs no look-up.
//!
//! What is remembered is a place in the cluster's table of peers; only the cluster reads and writes it.
//!
//! Invariant: it is used only while the shard's peers are unchanged, so a node that moved, was turned off or has
//! another number of channels is never reached by an old route.

use std::cell::Cell;
use std::rc::Rc;

use crate::error::Text;

/// The way to a node, as the callers of one shard share it.
pub(crate) struct Route {
    pub(crate) node: Text,
    remembered: Cell<(u64, u32)>,
}

/// No place: the node is not known.
pub(crate) const NO_PLACE: u32 = u32::MAX;

impl Route {
    pub(crate) fn new(node: Text) -> Rc<Route> {
        Rc::new(Route {
            node,
            remembered: Cell::new((0, NO_PLACE)),
        })
    }

    /// The place that was remembered at the version `version` of the peers, from 1 on; else it is looked up, and
    /// remembered.
    #[inline(always)]
    pub(crate) fn place(&self, version: u64, look_up: impl FnOnce(&str) -> Option<u32>) -> Option<u32> {
        let (seen, place) = self.remembered.get();
        let place = if seen == version {
            place
        } else {
            let place = look_up(&self.node).unwrap_or(NO_PLACE);
            self.remembered.set((version, place));
            place
        };
        (place != NO_PLACE).then_some(place)
    }
}
