//! Waiting on the executor's own timers. Only a handful per shard: everything that a service waits for
//! goes through the shard's timer wheel, which one of these timers drives.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use glommio::timer::Timer;

use super::notify::Notify;

/// Long enough for the executor to look at its rings, short enough not to be felt. A zero timer would be
/// ready at once and never leave the run queue.
const RELAX: Duration = Duration::from_micros(2);

/// Sleeps on the executor's timer.
pub(crate) async fn sleep(duration: Duration) {
    Timer::new(duration).await;
}

/// Leaves the run queue for one look at the I/O rings. What a task with much to do calls between its
/// pieces of work: without it no other I/O of the shard is seen until the preempt timer.
pub(crate) async fn relax() {
    Timer::new(RELAX).await;
}

/// Sleeps until `duration` is over or `notify` is woken, whichever comes first. `None` = no limit.
pub(crate) async fn sleep_or_wake(duration: Option<Duration>, notify: &Notify) {
    let Some(duration) = duration else {
        return notify.wait().await;
    };
    let mut timer = pin!(Timer::new(duration));
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
    let mut timer = pin!(Timer::new(duration));
    let mut future = pin!(future);
    poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        timer.as_mut().poll(context).map(|_| None)
    })
    .await
}
