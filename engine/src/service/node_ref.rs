//! A reference to another node, for calls and sends.

use std::rc::Rc;
use std::time::Duration;

use skyring_codec::seri::Pack;

use crate::config::WhenDown;
use crate::core::clock::whole_milliseconds;
use crate::core::handle::Address;
use crate::core::payload::Payload;
use crate::core::request::{Outgoing, ReplyTo};
use crate::core::route::Route;
use crate::error::{Error, Text};
use crate::service::call::Call;
use crate::service::caller::Caller;

/// A reference to another node. Keep it to save the look-up of its name.
#[derive(Clone)]
pub struct NodeRef {
    caller: Caller,
    route: Rc<Route>,
    key: u64,
    /// Its calls wait for space in full buffers.
    waits: bool,
    /// What happens to its calls while the node is down.
    when_down: Option<WhenDown>,
}

impl NodeRef {
    pub(super) fn new(caller: Caller, node: Text) -> NodeRef {
        NodeRef {
            key: caller.key,
            caller,
            route: Route::new(node),
            waits: false,
            when_down: None,
        }
    }

    /// The service that uses it.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Its key.
    pub(crate) fn key_number(&self) -> u64 {
        self.key
    }

    /// Its name in the cluster map.
    pub fn name(&self) -> &str {
        &self.route.node
    }

    /// The same node, by the channel of this key: calls and sends with one key arrive in order, whichever service
    /// sends them, and at the same instance of a keyed service. Without a key this holds for each caller, whose
    /// handle is the key. The key of a text is [`placement::hash_bytes`](crate::placement::hash_bytes) of it.
    pub fn key(mut self, key: u64) -> NodeRef {
        self.key = key;
        self
    }

    /// Makes all calls through this value wait for space; see [`Call::wait_for_room`]. Sends do not wait: those
    /// without space are dropped and counted.
    pub fn wait_for_room(mut self) -> NodeRef {
        self.waits = true;
        self
    }

    /// Sets what happens to all calls through this value while the node is down; see [`Call::when_down`]. Sends wait in
    /// any case, as long as a call would.
    pub fn when_down(mut self, when_down: WhenDown) -> NodeRef {
        self.when_down = Some(when_down);
        self
    }

    /// Calls a service there: a handle, `@name`, `.name` or `:hex`. The call waits for the connection, for
    /// a reconnect, and for the map to name the node, until its deadline: `call_timeout_ms` unless
    /// [`Call::timeout`] says otherwise.
    ///
    /// # Errors
    /// Awaiting it may give any [`Error`].
    pub fn call<T: Pack + ?Sized>(&self, address: impl Into<Address>, values: &T) -> Call {
        self.call_payload(address, Payload::pack(values))
    }

    /// Like [`call`](Self::call), with packed values.
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
        call.when_down = self.when_down;
        call
    }

    /// Sends a message to a service there, in order, best effort, without a reply.
    ///
    /// # Errors
    /// [`Error::Invalid`] for values that cannot be packed. A send that is lost later is counted.
    pub fn send<T: Pack + ?Sized>(&self, address: impl Into<Address>, values: &T) -> Result<(), Error> {
        self.send_payload(address, Payload::pack(values)?);
        Ok(())
    }

    /// Like [`send`](Self::send), with packed values.
    pub fn send_payload(&self, address: impl Into<Address>, payload: Payload) {
        self.request(address.into(), payload, ReplyTo::Nobody, None);
    }

    /// Sends a message there whose answer goes to `reply_to`.
    pub(super) fn request(
        &self,
        address: Address,
        mut payload: Payload,
        reply_to: ReplyTo,
        timeout: Option<Duration>,
    ) {
        let shard = &self.caller.shard;
        let span = self
            .caller
            .span_of(Some(&self.route.node), &address, &payload, reply_to);
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
                span,
                when_down: self.when_down,
            },
        );
    }
}
