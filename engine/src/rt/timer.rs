//! Waiting on the executor's own timers. Only a handful per shard: everything that a service waits for
//! goes through the shard's timer wheel, which one of these timers drives.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

#[cfg(feature = "glommio")]
use super::glommio;
#[cfg(feature = "testing")]
use super::manual;
use super::notify::Notify;
use super::{Runtime, uring};

/// A future that is ready at a moment.
enum Sleep {
    Uring(uring::Sleep),
    #[cfg(feature = "glommio")]
    Glommio(glommio::Sleep),
    #[cfg(feature = "testing")]
    Manual(manual::Sleep),
}

impl Sleep {
    fn new(duration: Duration) -> Sleep {
        match Runtime::current() {
            Runtime::Uring => Sleep::Uring(uring::Sleep::new(duration)),
            #[cfg(feature = "glommio")]
            Runtime::Glommio => Sleep::Glommio(glommio::Sleep::new(duration)),
            #[cfg(feature = "testing")]
            Runtime::Manual => Sleep::Manual(manual::Sleep::new(duration)),
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.get_mut() {
            Sleep::Uring(sleep) => Pin::new(sleep).poll(context),
            #[cfg(feature = "glommio")]
            Sleep::Glommio(sleep) => Pin::new(sleep).poll(context),
            #[cfg(feature = "testing")]
            Sleep::Manual(sleep) => Pin::new(sleep).poll(context),
        }
    }
}

/// Sleeps on the executor's timer.
pub(crate) async fn sleep(duration: Duration) {
    Sleep::new(duration).await;
}

/// Sleeps until `duration` is over or `notify` is woken, whichever comes first. `None` = no limit.
pub(crate) async fn sleep_or_wake(duration: Option<Duration>, notify: &Notify) {
    let Some(duration) = duration else {
        return notify.wait().await;
    };
    let mut timer = pin!(Sleep::new(duration));
    let mut woken = pin!(notify.wait());
    poll_fn(|context| {
        if woken.as_mut().poll(context).is_ready() || timer.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await
}

/// Gives a future this long; `None` when it was not enough.
pub(crate) async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut timer = pin!(Sleep::new(duration));
    let mut future = pin!(future);
    poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        timer.as_mut().poll(context).map(|_| None)
    })
    .await
}
