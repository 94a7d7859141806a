//! The way to another node, remembered by whoever calls there: a call of a known node needs no look-up.
//!
//! Invariant: what is remembered is used only while nothing has changed of the shard's peers, so a node that
//! moved, was turned off or has another number of channels is never reached by an old way.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::cluster::channel::Channel;
use crate::error::Text;
use crate::service::placement::channel_of_key;

/// The way to a node, as the callers of one shard share it.
pub(crate) struct Route {
    pub(crate) node: Text,
    /// The changes of the shard's peers up to which `own` is true; 0 = it was never looked up.
    seen: Cell<u64>,
    /// The node's channels, each at its number less 1, but those that another shard owns or that are not
    /// open yet. Empty when their number is not known.
    own: RefCell<Vec<Option<Rc<Channel>>>>,
}

impl Route {
    pub(crate) fn new(node: Text) -> Rc<Route> {
        Rc::new(Route {
            node,
            seen: Cell::new(0),
            own: RefCell::default(),
        })
    }

    /// The channel of a key, if this shard owns it. `changes` counts those of the shard's peers; `look_up`
    /// gives all channels anew.
    #[inline(always)]
    pub(crate) fn channel(
        &self,
        key: u64,
        changes: u64,
        look_up: impl FnOnce(&str) -> Vec<Option<Rc<Channel>>>,
    ) -> Option<Rc<Channel>> {
        if self.seen.get() != changes {
            *self.own.borrow_mut() = look_up(&self.node);
            self.seen.set(changes);
        }
        let own = self.own.borrow();
        match &own[..] {
            [] => None,
            [only] => only.clone(),
            several => {
                let number = channel_of_key(key, several.len() as u32);
                several.get(number as usize - 1)?.clone()
            }
        }
    }
}
