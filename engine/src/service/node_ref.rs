//! Another node, as a service calls it.

use std::rc::Rc;
use std::time::Duration;

use skyring_codec::seri::Pack;

use crate::core::clock::whole_milliseconds;
use crate::core::handle::Address;
use crate::core::payload::Payload;
use crate::core::request::{Outgoing, ReplyTo};
use crate::core::route::Route;
use crate::error::{Error, Text};
use crate::service::call::Call;
use crate::service::caller::Caller;

/// Another node, as one service sees it. Keep it to save the look-up of its name.
#[derive(Clone)]
pub struct NodeRef {
    caller: Caller,
    route: Rc<Route>,
    key: u64,
    /// Its calls wait for room.
    waits: bool,
}

impl NodeRef {
    pub(super) fn new(caller: Caller, node: Text) -> NodeRef {
        NodeRef {
            key: caller.key,
            caller,
            route: Route::new(node),
            waits: false,
        }
    }

    /// Its name in the cluster map.
    pub fn name(&self) -> &str {
        &self.route.node
    }

    /// The same node by the channel of this key: whatever is called and sent with one key arrives in its
    /// order, whoever sends it, and at the same instance of a keyed service. Without a key that holds for each
    /// caller, whose handle is the key. A text's
    /// key is [`placement::hash_bytes`](crate::placement::hash_bytes) of it.
    pub fn key(mut self, key: u64) -> NodeRef {
        self.key = key;
        self
    }

    /// Has all calls through this value wait for room; see [`Call::wait_for_room`]. Sends do not: what there is
    /// no room for is dropped and counted.
    pub fn wait_for_room(mut self) -> NodeRef {
        self.waits = true;
        self
    }

    /// Calls a service there: a handle, `@name`, `.name` or `:hex`. The call waits for the connection, for
    /// a reconnect, and for the map to name the node, until its deadline: `call_timeout_ms` unless
    /// [`Call::timeout`] says otherwise.
    ///
    /// # Errors
    /// Awaiting it gives any cause that [`Error`] names.
    pub fn call<T: Pack + ?Sized>(&self, address: impl Into<Address>, values: &T) -> Call {
        self.call_payload(address, Payload::pack(values))
    }

    /// The same with values that are packed already.
    #[inline(always)]
    pub fn call_payload(
        &self,
        address: impl Into<Address>,
        payload: impl Into<Result<Payload, Error>>,
    ) -> Call {
        let mut call = Call::new(
            Rc::clone(&self.caller.shard),
            self.caller.handle,
            Some(Rc::clone(&self.route)),
            self.key,
            address.into(),
            payload.into(),
        );
        call.waits = self.waits;
        call
    }

    /// Sends to a service there, in order, best effort; nothing comes back.
    ///
    /// # Errors
    /// [`Error::Invalid`] for values that cannot be packed. A send that is lost further on is counted.
    pub fn send<T: Pack + ?Sized>(&self, address: impl Into<Address>, values: &T) -> Result<(), Error> {
        self.send_payload(address, Payload::pack(values)?);
        Ok(())
    }

    /// The same with values that are packed already.
    pub fn send_payload(&self, address: impl Into<Address>, payload: Payload) {
        self.request(address.into(), payload, ReplyTo::Nobody, None);
    }

    /// Sends a message there whose answer goes where `reply_to` says.
    pub(super) fn request(
        &self,
        address: Address,
        mut payload: Payload,
        reply_to: ReplyTo,
        timeout: Option<Duration>,
    ) {
        let shard = &self.caller.shard;
        let timeout_ms = timeout.map_or(shard.node.settings.call_timeout_ms, whole_milliseconds);
        let deadline = (timeout_ms > 0).then(|| shard.now() + timeout_ms);
        shard.request_by_route(
            &self.route,
            Outgoing {
                address: &address,
                source: self.caller.handle,
                key: self.key,
                payload: &mut payload,
                reply_to,
                deadline,
                timeout_ms,
                is_idempotent: false,
                waits: false,
            },
        );
    }
}
