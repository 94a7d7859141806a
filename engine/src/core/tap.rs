//! What a test sees of the messages of the shards of its thread.

use std::cell::RefCell;
use std::rc::Rc;

use crate::core::ShardCore;
use crate::core::handle::Address;
use crate::core::payload::Payload;
use crate::core::request::{ReplyTo, Request};
use crate::error::Error;

/// Something that passes the router of a shard.
pub(crate) enum Seen<'a> {
    /// A message for a service of the node.
    Request(&'a Request),
    /// A message for a service of another node, or of a group.
    Remote {
        node: &'a str,
        address: &'a Address,
        payload: &'a Payload,
        reply_to: ReplyTo,
    },
    /// An answer, and for whom it is.
    Reply(ReplyTo, &'a Result<Payload, Error>),
}

type Observer = Rc<dyn Fn(&ShardCore, &Seen<'_>)>;

thread_local! {
    static OBSERVER: RefCell<Option<Observer>> = const { RefCell::new(None) };
}

/// Has this function see what passes the routers of this thread from now on.
pub(crate) fn observe(observer: Option<Observer>) {
    drop(OBSERVER.replace(observer));
}

/// Shows something to the observer, if there is one.
pub(crate) fn note(shard: &ShardCore, seen: &Seen<'_>) {
    let observer = OBSERVER.with_borrow(Option::clone);
    if let Some(observer) = observer {
        observer(shard, seen);
    }
}
