//! The tasks of a service.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};

use crate::core::handle::Handle;
use crate::core::slab::Key;
use crate::log::Level;
use crate::rt;
use crate::service::caller::Caller;
use crate::service::end::End;

impl Caller {
    /// Runs a future beside the service's handler. It is dropped when the service exits.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.start_task(false, future);
    }

    pub(super) fn spawn_counted(&self, future: impl Future<Output = ()> + 'static) {
        self.start_task(true, future);
    }

    /// Starts a task, which belongs to the span that the running code belongs to.
    fn start_task(&self, counted: bool, future: impl Future<Output = ()> + 'static) {
        let span = self.shard.tracing.current();
        if !span.is_some() {
            return ServiceTask::start(self.clone(), counted, future);
        }
        let shard = Rc::clone(&self.shard);
        let mut future = Box::pin(future);
        let within = poll_fn(move |context| {
            let _entered = shard.tracing.enter(span);
            future.as_mut().poll(context)
        });
        ServiceTask::start(self.clone(), counted, within);
    }
}

/// The text of a panic.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no text".to_owned())
}

/// A task of a service: it ends with its service, and its panic ends the service.
pub(crate) struct ServiceTask {
    caller: Caller,
    key: Key,
    counted: bool,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

impl ServiceTask {
    /// Starts a task. `counted`: it answers a message, which counts in the inbox until the task ends.
    pub(crate) fn start(caller: Caller, counted: bool, future: impl Future<Output = ()> + 'static) {
        let key = caller.life.tasks.borrow_mut().insert(None);
        rt::spawn(ServiceTask {
            caller,
            key,
            counted,
            future: Box::pin(future),
        });
    }
}

impl Future for ServiceTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.caller.life.ended.get() {
            return Poll::Ready(());
        }
        let work = &this.caller.life.work;
        let timed_from = this.caller.shard.begin_work(work);
        let polled = catch_unwind(AssertUnwindSafe(|| this.future.as_mut().poll(context)));
        if let Some(began) = timed_from {
            work.record(rt::now().saturating_duration_since(began));
        }
        let handle: Handle = this.caller.handle;
        let ready = match polled {
            Ok(poll) => poll.is_ready(),
            Err(panic) => {
                this.caller.shard.node.metrics.panics.add(1);
                let text = panic_text(&*panic);
                this.caller.shard.log_service(
                    Level::Error,
                    handle,
                    format!("a task panicked and its service ends: {text}"),
                );
                this.caller.life.request_end(End::Panicked { text: text.into() });
                true
            }
        };
        if this.caller.life.is_exiting() {
            this.caller.shard.finish_service(handle);
            return Poll::Ready(());
        }
        if ready {
            return Poll::Ready(());
        }
        let mut tasks = this.caller.life.tasks.borrow_mut();
        if let Some(stored) = tasks.get_mut(this.key)
            && !stored
                .as_ref()
                .is_some_and(|waker| waker.will_wake(context.waker()))
        {
            *stored = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for ServiceTask {
    fn drop(&mut self) {
        self.caller.life.tasks.borrow_mut().remove(self.key);
        if self.counted {
            self.caller.life.end_answer();
        }
    }
}
