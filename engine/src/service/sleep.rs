//! A sleep of a service.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::core::ShardCore;
use crate::core::slab::Key;

/// A sleep; see [`Caller::sleep`](crate::Caller::sleep).
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    pub(super) shard: Rc<ShardCore>,
    pub(super) key: Key,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.shard.poll_waiter(self.key, context.waker()) {
            Some(_) => Poll::Ready(()),
            None => Poll::Pending,
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.shard.remove_waiter(self.key);
    }
}
