//! Who calls and sends: every service, through its context.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use skyring_codec::seri::Pack;

use crate::cluster::api::Cluster;
use crate::cluster::channel::Outgoing;
use crate::cluster::route::Route;
use crate::error::{Error, Text};
use crate::node::shared::NodeLog;
use crate::service::Service;
use crate::service::call::Call;
use crate::service::cell::{Life, ServiceTask};
use crate::service::context::Context;
use crate::service::handle::{Address, Handle};
use crate::service::keyed;
use crate::service::launch;
use crate::service::message::{Kind, Payload};
use crate::shard::Shard;
use crate::shard::clock::whole_milliseconds;
use crate::shard::envelope::{RemoteRequest, ReplyTo, Request};
use crate::shard::slab::Key;
use crate::socket::Sockets;

/// What a service can do. A clone acts in the same service's name.
#[derive(Clone)]
pub struct Caller {
    pub(crate) shard: Rc<Shard>,
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
        NodeRef {
            caller: self.clone(),
            route: Route::new(name.into()),
            key: self.key,
            waits: false,
        }
    }

    /// The same service with another key for what it calls and sends, on this node and on others: a
    /// [keyed service](Self::launch_keyed) gets it on the instance of the key. Without one the key is the
    /// service's handle.
    pub fn key(&self, key: u64) -> Caller {
        Caller { key, ..self.clone() }
    }

    /// The cluster operations: open, register, query, proxy, reload.
    pub fn cluster(&self) -> Cluster {
        Cluster::new(self.clone())
    }

    /// The sockets of this service: open, read, write, close.
    pub fn sockets(&self) -> Sockets {
        Sockets::new(self.clone())
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

    /// Runs a future beside the service's handler. It is dropped when the service exits.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        ServiceTask::start(self.clone(), false, future);
    }

    pub(crate) fn spawn_counted(&self, future: impl Future<Output = ()> + 'static) {
        ServiceTask::start(self.clone(), true, future);
    }

    /// Launches a service on the shard that its handle hashes to, and waits until it has started.
    ///
    /// # Errors
    /// Whatever its [`Service::start`] returns.
    pub async fn launch<S, M>(&self, make: M) -> Result<Handle, Error>
    where
        S: Service,
        M: FnOnce(&Context<S>) -> S + Send + 'static,
    {
        launch::launch(self, make).await
    }

    /// Launches a keyed service: an instance on each shard, and a handle that stands for all of them. Each
    /// message goes to the instance of its key, [`placement::shard_of_key`](crate::placement::shard_of_key):
    /// what [`key`](Self::key) or [`NodeRef::key`] says, or the handle of who sends it. Give the handle a name
    /// with [`Cluster::register`] or [`name_service`](Self::name_service).
    ///
    /// # Errors
    /// Whatever [`Service::start`] of an instance returns; then none is left.
    pub async fn launch_keyed<S, M>(&self, make: M) -> Result<Handle, Error>
    where
        S: Service,
        M: Fn(&Context<S>) -> S + Clone + Send + 'static,
    {
        keyed::launch_keyed(self, make).await
    }

    /// The same by a kind's name, with arguments as text: `"keyed KIND ARGUMENTS"` in a config.
    ///
    /// # Errors
    /// As [`launch_kind`](Self::launch_kind).
    pub async fn launch_kind_keyed(&self, kind: &str, arguments: &str) -> Result<Handle, Error> {
        keyed::launch_kind_keyed(self, kind, arguments).await
    }

    /// Launches a service by its kind's name, as configs do, with arguments as text.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a kind that nobody added, which lists those there are; else as
    /// [`launch`](Self::launch).
    pub async fn launch_kind(&self, kind: &str, arguments: &str) -> Result<Handle, Error> {
        launch::launch_kind(self, kind, arguments).await
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
        NodeLog(Arc::clone(&self.shard.node))
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
    pub(crate) fn request(
        &self,
        address: Address,
        mut payload: Payload,
        reply_to: ReplyTo,
        timeout: Option<Duration>,
    ) {
        let shard = &self.caller.shard;
        let timeout_ms = timeout.map_or(shard.node.settings.call_timeout_ms, whole_milliseconds);
        let deadline = (timeout_ms > 0).then(|| shard.now() + timeout_ms);
        let source = self.caller.handle;
        match shard.cluster.remembered(&self.route, self.key) {
            Some(channel) => channel.request(
                shard,
                Outgoing {
                    address: &address,
                    source,
                    key: self.key,
                    payload: &mut payload,
                    reply_to,
                    deadline,
                    timeout_ms,
                    is_idempotent: false,
                    waits: false,
                },
            ),
            None => shard.request_remote(RemoteRequest {
                node: Arc::clone(&self.route.node),
                address,
                source,
                key: self.key,
                channel: 0,
                payload,
                reply_to,
                deadline,
                timeout_ms,
                is_idempotent: false,
                waits: false,
            }),
        }
    }
}

/// A sleep; see [`Caller::sleep`].
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    shard: Rc<Shard>,
    key: Key,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<()> {
        match self.shard.poll_waiter(self.key, context.waker()) {
            Some(_) => Poll::Ready(()),
            None => Poll::Pending,
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.shard.forget_waiter(self.key);
    }
}
