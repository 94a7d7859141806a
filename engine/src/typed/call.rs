//! A call of a method: the call beneath, and how its answer is read.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::client::ClientCall;
use crate::core::payload::Payload;
use crate::error::Error;
use crate::service::call::Call;

/// Reads the outcome of a call.
type Read<T, F> = fn(Result<Payload, Error>) -> Result<T, F>;

/// A call of a method of a typed service: await it. `C` is the call beneath: [`Call`] from a service, [`ClientCall`]
/// from any thread.
#[must_use = "a call does nothing until it is awaited"]
pub struct TypedCall<C, T, F = Error> {
    call: C,
    read: Read<T, F>,
}

impl<C, T, F> TypedCall<C, T, F> {
    /// A call whose outcome `read` turns into the result.
    #[inline(always)]
    pub fn new(call: C, read: fn(Result<Payload, Error>) -> Result<T, F>) -> TypedCall<C, T, F> {
        TypedCall { call, read }
    }
}

impl<T, F> TypedCall<Call, T, F> {
    /// Sets the timeout; see [`Call::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> TypedCall<Call, T, F> {
        self.call = self.call.timeout(timeout);
        self
    }

    /// Marks the call as idempotent, so that it can be repeated and hedged; see [`Call::idempotent`].
    pub fn idempotent(mut self) -> TypedCall<Call, T, F> {
        self.call = self.call.idempotent();
        self
    }

    /// Makes the call wait for space in a full buffer; see [`Call::wait_for_room`].
    pub fn wait_for_room(mut self) -> TypedCall<Call, T, F> {
        self.call = self.call.wait_for_room();
        self
    }
}

impl<T, F> TypedCall<ClientCall, T, F> {
    /// Blocks this thread until the answer arrives; see [`ClientCall::wait`].
    ///
    /// # Errors
    /// Those of the call and of the method.
    pub fn wait(self) -> Result<T, F> {
        (self.read)(self.call.wait())
    }
}

impl<C, T, F> Future for TypedCall<C, T, F>
where
    C: Future<Output = Result<Payload, Error>> + Unpin,
{
    type Output = Result<T, F>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.call).poll(context) {
            Poll::Ready(outcome) => Poll::Ready((self.read)(outcome)),
            Poll::Pending => Poll::Pending,
        }
    }
}
