//! A call of a method: the call beneath, and how its answer is read.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::client::ClientCall;
use crate::config::WhenDown;
use crate::core::payload::Payload;
use crate::error::Error;
use crate::service::call::Call;

/// A call of a method of a typed service: await it, and get the result of the method. `C` is the call beneath: [`Call`]
/// from a service, [`ClientCall`] from any thread; `R` reads its outcome.
// A type for the reader, not a function pointer: the outcome is then not moved through memory once more.
#[must_use = "a call does nothing until it is awaited"]
pub struct TypedCall<C, R> {
    call: C,
    read: R,
}

impl<C, R> TypedCall<C, R> {
    /// A call whose outcome `read` turns into the result.
    #[inline(always)]
    pub fn new(call: C, read: R) -> TypedCall<C, R> {
        TypedCall { call, read }
    }
}

impl<R> TypedCall<Call, R> {
    /// Sets the timeout; see [`Call::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> TypedCall<Call, R> {
        self.call = self.call.timeout(timeout);
        self
    }

    /// Marks the call as idempotent, so that it can be repeated and hedged; see [`Call::idempotent`].
    pub fn idempotent(mut self) -> TypedCall<Call, R> {
        self.call = self.call.idempotent();
        self
    }

    /// Sets what happens to the call while the other node is down; see [`Call::when_down`].
    pub fn when_down(mut self, when_down: WhenDown) -> TypedCall<Call, R> {
        self.call = self.call.when_down(when_down);
        self
    }

    /// Makes the call wait for space in a full buffer; see [`Call::wait_for_room`].
    pub fn wait_for_room(mut self) -> TypedCall<Call, R> {
        self.call = self.call.wait_for_room();
        self
    }
}

impl<R, T> TypedCall<ClientCall, R>
where
    R: FnOnce(Result<Payload, Error>) -> T,
{
    /// Blocks this thread until the answer arrives; see [`ClientCall::wait`]. Returns the result of the method, or the
    /// error of the call.
    pub fn wait(self) -> T {
        (self.read)(self.call.wait())
    }
}

impl<C, R, T> Future for TypedCall<C, R>
where
    C: Future<Output = Result<Payload, Error>> + Unpin,
    R: Fn(Result<Payload, Error>) -> T + Unpin,
{
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match Pin::new(&mut self.call).poll(context) {
            Poll::Ready(outcome) => Poll::Ready((self.read)(outcome)),
            Poll::Pending => Poll::Pending,
        }
    }
}
