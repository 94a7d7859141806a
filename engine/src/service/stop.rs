//! Stopping a service: its `stop` runs, and the service ends when that has finished or its time is over.
//!
//! A service that stops takes no further message, so what it writes then is all that it has answered for. Answers to its
//! own calls, events of its sockets and its tasks go on.
//!
//! Invariant: `stop` runs once at most, and never after a failure.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::core::ShardCore;
use crate::core::clock::whole_milliseconds;
use crate::core::handle::Handle;
use crate::core::placement::shard_of_handle;
use crate::error::Error;
use crate::log::Level;
use crate::service::caller::Caller;
use crate::service::end::End;

/// What a service still does before it ends; from [`Service::stop`](crate::Service::stop).
pub struct Stop(pub(super) Option<Pin<Box<dyn Future<Output = ()>>>>);

impl Stop {
    /// It ends now.
    pub fn now() -> Stop {
        Stop(None)
    }

    /// It ends when the future has completed, or when the time for the stop is over.
    pub fn later(future: impl Future<Output = ()> + 'static) -> Stop {
        Stop(Some(Box::pin(future)))
    }
}

impl Caller {
    /// Runs the rest of a stop, and then ends the service.
    pub(super) fn finish_stop(&self, rest: Pin<Box<dyn Future<Output = ()>>>) {
        self.life.defer_end();
        let caller = self.clone();
        let time_max = Duration::from_millis(self.shard.node.settings.stop_timeout_ms);
        self.spawn(async move {
            // The supervisor that stops it has a limit of its own.
            let is_limited = caller.life.supervision.borrow().is_none();
            if !is_limited {
                rest.await;
            } else if caller.within(time_max, rest).await.is_err() {
                caller.shard.node.metrics.stops_late.add(1);
                let milliseconds = time_max.as_millis();
                caller.log_at(
                    Level::Warning,
                    format!("did not stop within {milliseconds} ms, and is ended"),
                );
            }
            caller.life.request_end(End::Exited);
        });
    }

    /// Awaits a future, for this long at most; zero = not at all, if it is not ready at once.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it is not ready in time; then the future is dropped.
    pub async fn within<T>(&self, time_max: Duration, future: impl Future<Output = T>) -> Result<T, Error> {
        let mut future = pin!(future);
        let mut sleep = pin!(self.sleep(time_max));
        poll_fn(|context| {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(value));
            }
            sleep.as_mut().poll(context).map(|()| {
                Err(Error::Timeout {
                    target: "a future".into(),
                    timeout_ms: u64::try_from(time_max.as_millis()).unwrap_or(u64::MAX),
                })
            })
        })
        .await
    }

    /// Stops a service of this node: its [`stop`](crate::Service::stop) runs, and the service ends when that has
    /// finished, or after `time_max`. Waits for the end, and returns how it ended.
    ///
    /// # Errors
    /// Those of [`watch`](Self::watch).
    pub async fn stop_service(&self, handle: Handle, time_max: Duration) -> Result<End, Error> {
        let mut watch = pin!(self.watch(handle));
        // The watch begins before the stop, so that it sees the end.
        let mut is_asked = false;
        let watched = poll_fn(|context| {
            let polled = watch.as_mut().poll(context);
            if !std::mem::replace(&mut is_asked, true) && polled.is_pending() {
                self.shard.stop_service(handle, None);
            }
            polled
        });
        let stopped = self.within(time_max, watched).await;
        match stopped {
            Ok(end) => end,
            Err(_) => {
                self.shard.node.metrics.stops_late.add(1);
                let milliseconds = time_max.as_millis();
                self.log_at(
                    Level::Warning,
                    format!("{handle} did not stop within {milliseconds} ms, and is ended"),
                );
                self.shard.end_service(handle);
                watch.await
            }
        }
    }
}

impl Caller {
    /// Stops the services of the node that have something to do before they end, those first that were launched last;
    /// supervisors stop their children. After `time_max` the rest is ended.
    pub(crate) async fn stop_services(&self, time_max: Duration) {
        let Ok(mut handles) = self.gather(|shard| shard.services().to_be_stopped()).await else {
            return;
        };
        handles.sort_by_key(|handle| std::cmp::Reverse(*handle));
        let until = self.shard.update_now() + whole_milliseconds(time_max);
        for handle in handles {
            let left_ms = until.saturating_sub(self.shard.update_now());
            // A service that has ended meanwhile is no error.
            let _ = self.stop_service(handle, Duration::from_millis(left_ms)).await;
        }
    }
}

impl ShardCore {
    /// Begins to stop a service, whichever shard it is on. `is_kept`: its supervisor starts it again, so it keeps its
    /// names; `None`: nobody has decided.
    pub(super) fn stop_service(self: &Rc<Self>, handle: Handle, is_kept: Option<bool>) {
        let owner = shard_of_handle(handle, self.shards());
        self.run_on(owner, move |shard| {
            let Some(service) = shard.services().get(handle) else {
                return;
            };
            let life = service.life();
            if let Some(supervision) = &mut *life.supervision.borrow_mut()
                && is_kept.is_some()
            {
                supervision.is_kept = is_kept;
            }
            if !life.is_closed() {
                life.request_end(End::Exited);
                service.finish();
            }
        });
    }
}
