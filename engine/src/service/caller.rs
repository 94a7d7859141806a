//! Who calls and sends: every service, through its context.

use std::rc::Rc;
use std::time::Duration;

use skyring_codec::seri::Pack;

use crate::core::ShardCore;
use crate::core::clock::whole_milliseconds;
use crate::core::handle::{Address, Handle};
use crate::core::node::NodeLog;
use crate::core::payload::{Kind, Payload};
use crate::core::request::{ReplyTo, Request};
use crate::error::{Error, Text};
use crate::service::call::Call;
use crate::service::life::Life;
use crate::service::node_ref::NodeRef;
use crate::service::sleep::Sleep;

/// What a service can do. A clone acts in the same service's name.
#[derive(Clone)]
pub struct Caller {
    pub(crate) shard: Rc<ShardCore>,
    pub(crate) handle: Handle,
    /// What decides on the instance of a keyed service, and on the channel to another node.
    pub(crate) key: u64,
    pub(crate) life: Rc<Life>,
}

impl Caller {
    /// The service's own handle.
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// The number of the shard it lives on, from 0.
    pub fn shard_index(&self) -> usize {
        self.shard.index
    }

    /// How many shards the node has.
    pub fn shards(&self) -> usize {
        self.shard.shards()
    }

    /// Calls a service of this node. `values` are packed now; the call begins when it is awaited.
    ///
    /// # Errors
    /// Awaiting it gives [`Error::NoSuchService`], [`Error::Remote`] with the service's text,
    /// [`Error::Overloaded`], [`Error::Timeout`] when a timeout was set, [`Error::Invalid`] for values that
    /// cannot be packed.
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
        Call::new(
            Rc::clone(&self.shard),
            self.handle,
            None,
            self.key,
            address.into(),
            payload.into(),
        )
    }

    /// Sends to a service of this node; nothing comes back.
    ///
    /// # Errors
    /// [`Error::NoSuchService`] when nobody has the name, [`Error::Invalid`] for values that cannot be
    /// packed. A send that is refused further on is counted, not reported.
    pub fn send<T: Pack + ?Sized>(&self, address: impl Into<Address>, values: &T) -> Result<(), Error> {
        self.send_payload(address, Payload::pack(values)?)
    }

    /// The same with values that are packed already.
    ///
    /// # Errors
    /// [`Error::NoSuchService`] when nobody has the name.
    pub fn send_payload(&self, address: impl Into<Address>, payload: Payload) -> Result<(), Error> {
        let target = self.shard.resolve(&address.into(), self.key)?;
        self.shard.request(Request {
            target,
            source: self.handle,
            kind: Kind::LUA,
            payload,
            reply_to: ReplyTo::Nobody,
            waits: false,
            deadline: None,
        });
        Ok(())
    }

    /// Another node, by its name in the cluster map; see [`NodeRef`].
    pub fn node(&self, name: impl Into<Text>) -> NodeRef {
        NodeRef::new(self.clone(), name.into())
    }

    /// The same service with another key for what it calls and sends, on this node and on others: a
    /// [keyed service](Self::launch_keyed) gets it on the instance of the key. Without one the key is the
    /// service's handle.
    pub fn key(&self, key: u64) -> Caller {
        Caller { key, ..self.clone() }
    }

    /// Sleeps. Never shorter than asked.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        // Timers count whole milliseconds: the part that was asked for counts as one, and so does the part
        // of the present one that is over.
        let milliseconds = whole_milliseconds(duration) + u64::from(!duration.is_zero());
        let key = self
            .shard
            .insert_waiter(Some(self.shard.update_now() + milliseconds));
        Sleep {
            shard: Rc::clone(&self.shard),
            key,
        }
    }

    /// Gives this service the local name `.name`; write it without its point, or with.
    ///
    /// # Errors
    /// [`Error::Invalid`] when another service has it, or it is too long.
    pub fn name(&self, name: &str) -> Result<(), Error> {
        let name = name.strip_prefix('.').unwrap_or(name);
        self.shard
            .node
            .names
            .update(|names| names.name_local(name, self.handle))
    }

    /// The service behind `.name` or `@name` on this node.
    pub fn find(&self, name: &str) -> Option<Handle> {
        self.shard.names.read(|names| names.resolve(name))
    }

    /// Ends this service once the message that is being handled, or the poll of its task, is done. Its
    /// names are free then, its tasks are dropped, and what it owes is answered with an error.
    pub fn exit(&self) {
        self.life.request_exit();
    }

    /// Writes a log line in this service's name.
    pub fn log(&self, text: impl std::fmt::Display) {
        self.shard.log(self.handle, text);
    }

    /// The node's log, for other threads.
    pub fn node_log(&self) -> NodeLog {
        NodeLog(std::sync::Arc::clone(&self.shard.node))
    }

    /// A key of the node's config, as text.
    pub fn environment(&self, key: &str) -> Option<String> {
        self.shard.node.settings.environment.get(key).cloned()
    }

    /// How many calls and sleeps wait on this shard.
    pub fn waiting(&self) -> usize {
        self.shard.waiters()
    }
}
