//! Where a client's calls begin: a service of this node, another node, a thread.

use std::future::Future;

use crate::client::{Client, ClientCall, ClientNode};
use crate::core::handle::Address;
use crate::core::payload::Payload;
use crate::error::Error;
use crate::service::call::Call;
use crate::service::caller::Caller;
use crate::service::context::Context;
use crate::service::node_ref::NodeRef;

/// Where the calls of a typed client begin and which node they go to: [`Caller`] or [`Context`] for this node,
/// [`NodeRef`] for another node or a group, [`Client`] and [`ClientNode`] for the same from any thread. A reference to
/// each is a place as well. Its key, timeout and other options are those of the calls.
pub trait Place {
    /// A call from there.
    type Call: Future<Output = Result<Payload, Error>> + Unpin;

    /// Calls a service with packed values.
    fn call_at(&self, address: &Address, values: Result<Payload, Error>) -> Self::Call;

    /// Sends packed values to a service.
    ///
    /// # Errors
    /// As the `send` of the place.
    fn send_at(&self, address: &Address, values: Payload) -> Result<(), Error>;
}

impl Place for Caller {
    type Call = Call;

    #[inline(always)]
    fn call_at(&self, address: &Address, values: Result<Payload, Error>) -> Call {
        self.call_payload(address.clone(), values)
    }

    fn send_at(&self, address: &Address, values: Payload) -> Result<(), Error> {
        self.send_payload(address.clone(), values)
    }
}

impl<S> Place for Context<S> {
    type Call = Call;

    #[inline(always)]
    fn call_at(&self, address: &Address, values: Result<Payload, Error>) -> Call {
        self.call_payload(address.clone(), values)
    }

    fn send_at(&self, address: &Address, values: Payload) -> Result<(), Error> {
        self.send_payload(address.clone(), values)
    }
}

impl Place for NodeRef {
    type Call = Call;

    #[inline(always)]
    fn call_at(&self, address: &Address, values: Result<Payload, Error>) -> Call {
        self.call_payload(address.clone(), values)
    }

    fn send_at(&self, address: &Address, values: Payload) -> Result<(), Error> {
        self.send_payload(address.clone(), values);
        Ok(())
    }
}

impl Place for Client {
    type Call = ClientCall;

    fn call_at(&self, address: &Address, values: Result<Payload, Error>) -> ClientCall {
        self.call_payload(address.clone(), values)
    }

    fn send_at(&self, address: &Address, values: Payload) -> Result<(), Error> {
        self.send_payload(address.clone(), values)
    }
}

impl Place for ClientNode {
    type Call = ClientCall;

    fn call_at(&self, address: &Address, values: Result<Payload, Error>) -> ClientCall {
        self.call_payload(address.clone(), values)
    }

    fn send_at(&self, address: &Address, values: Payload) -> Result<(), Error> {
        self.send_payload(address.clone(), values)
    }
}

impl<P: Place> Place for &P {
    type Call = P::Call;

    #[inline(always)]
    fn call_at(&self, address: &Address, values: Result<Payload, Error>) -> P::Call {
        (**self).call_at(address, values)
    }

    fn send_at(&self, address: &Address, values: Payload) -> Result<(), Error> {
        (**self).send_at(address, values)
    }
}
