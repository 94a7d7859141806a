//! The operations that a service has through its context: calls, sends, sleeps, names and more.

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
use crate::log::Level;
use crate::service::call::Call;
use crate::service::end::End;
use crate::service::life::Life;
use crate::service::node_ref::NodeRef;
use crate::service::sleep::Sleep;

/// The operations of a service. A clone acts for the same service.
#[derive(Clone)]
pub struct Caller {
    pub(crate) shard: Rc<ShardCore>,
    pub(crate) handle: Handle,
    /// Selects the instance of a keyed service, and the channel to another node.
    pub(crate) key: u64,
    pub(crate) life: Rc<Life>,
}

impl Caller {
    /// The service's own handle.
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// The number of its shard, from 0.
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

    /// Like [`call`](Self::call), with packed values.
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

    /// Sends a message to a service of this node, without a reply.
    ///
    /// # Errors
    /// [`Error::NoSuchService`] when no service has the name, [`Error::Invalid`] for values that cannot be packed. A
    /// send that is refused later is counted, not reported.
    pub fn send<T: Pack + ?Sized>(&self, address: impl Into<Address>, values: &T) -> Result<(), Error> {
        self.send_payload(address, Payload::pack(values)?)
    }

    /// Like [`send`](Self::send), with packed values.
    ///
    /// # Errors
    /// [`Error::NoSuchService`] when no service has the name.
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
            span: self.shard.tracing.current(),
        });
        Ok(())
    }

    /// Another node, by its name in the cluster map; see [`NodeRef`].
    pub fn node(&self, name: impl Into<Text>) -> NodeRef {
        NodeRef::new(self.clone(), name.into())
    }

    /// The same service with another key for its calls and sends, on this node and on others: they go to the instance
    /// of the key of a [keyed service](Self::launch_keyed). Without a key of its own, a service uses its handle.
    pub fn key(&self, key: u64) -> Caller {
        Caller { key, ..self.clone() }
    }

    /// The node's time since it was first asked for: it never goes back, and has nothing to do with a calendar. A service
    /// that takes its time from here can be tested in virtual time.
    pub fn now(&self) -> Duration {
        Duration::from_millis(self.shard.update_now())
    }

    /// Sleeps, never shorter than `duration`.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        // Timers count whole milliseconds: a partial millisecond of the duration counts as one, and so does the
        // elapsed part of the current millisecond.
        let milliseconds = whole_milliseconds(duration) + u64::from(!duration.is_zero());
        let key = self
            .shard
            .insert_waiter(Some(self.shard.update_now() + milliseconds));
        Sleep {
            shard: Rc::clone(&self.shard),
            key,
        }
    }

    /// Gives this service the local name `.name`; the leading `.` may be omitted.
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

    /// Ends this service after the current message, or the current poll of its task, and after its
    /// [`stop`](crate::Service::stop). Then its names are free, its tasks are dropped, and its unanswered calls fail.
    pub fn exit(&self) {
        self.life.request_end(End::Exited);
    }

    /// Ends this service as failed, after the current message or the current poll of its task. Who watches it learns
    /// the cause, and a supervisor that restarts it after failures does. Its `stop` does not run.
    pub fn fail(&self, cause: impl std::fmt::Display) {
        let text = cause.to_string();
        self.log_at(Level::Error, format!("ends as failed: {text}"));
        self.life.request_end(End::Failed { text: text.into() });
    }

    /// Writes a log line of this service.
    pub fn log(&self, text: impl std::fmt::Display) {
        self.shard.log(self.handle, text);
    }

    /// Writes a log line of this service that matters more or less than others, for the setting `log_levels`.
    pub fn log_at(&self, level: Level, text: impl std::fmt::Display) {
        self.shard.log_service(level, self.handle, text);
    }

    /// Writes a log line of this service with a text in any encoding, which is written as it is.
    pub fn log_bytes(&self, text: &[u8]) {
        self.shard.node.logger.log_bytes(self.handle.0, text);
    }

    /// The node's log, for other threads.
    pub fn node_log(&self) -> NodeLog {
        NodeLog(std::sync::Arc::clone(&self.shard.node))
    }

    /// A key of the node's config, as text; bytes that are not UTF-8 are replaced.
    pub fn environment(&self, key: &str) -> Option<String> {
        let value = self.environment_bytes(key)?;
        Some(String::from_utf8_lossy(&value).into_owned())
    }

    /// A key of the node's config, in the encoding of the file.
    pub fn environment_bytes(&self, key: &str) -> Option<Vec<u8>> {
        self.shard.node.settings.environment.get(key).cloned()
    }

    /// The number of pending calls and sleeps of this shard.
    pub fn waiting(&self) -> usize {
        self.shard.waiters()
    }
}
