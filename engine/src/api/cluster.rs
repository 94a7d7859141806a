//! The cluster operations that services use: open, register, query, proxy, reload.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::api::proxy::Proxy;
use crate::cluster::accepting::admission::Offer;
use crate::cluster::accepting::listener;
use crate::cluster::membership::detector::NodeState;
use crate::cluster::membership::monitor::Monitor;
use crate::config::{ClusterMap, NodeEntry};
use crate::core::blocking;
use crate::core::handle::{Address, Handle};
use crate::error::{Error, Text};
use crate::service::caller::Caller;

/// Where [`Cluster::open`] listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Open {
    /// On the address that the cluster map has for this name.
    Node(String),
    /// On this port of every local IPv4 address; 0 = any free one.
    Port(u16),
}

impl From<&str> for Open {
    fn from(name: &str) -> Open {
        Open::Node(name.to_owned())
    }
}

impl From<u16> for Open {
    fn from(port: u16) -> Open {
        Open::Port(port)
    }
}

/// How [`Cluster::open_with`] listens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Most connections of the listener; `None`: [`CLIENTS_MAX_DEFAULT`](crate::limits::CLIENTS_MAX_DEFAULT).
    pub clients_max: Option<usize>,
    /// How many channels a peer may have, 1 to [`CHANNELS_MAX`](crate::limits::CHANNELS_MAX); `None`: the number that
    /// the map has for the opened name, else the node config's, else the peer's.
    pub channels: Option<u32>,
}

/// The cluster operations of one service; from [`Caller::cluster`].
pub struct Cluster {
    caller: Caller,
}

impl Cluster {
    pub(crate) fn new(caller: Caller) -> Cluster {
        Cluster { caller }
    }

    /// Listens for peers, and returns the actual address. `clients_max` bounds the connections of this listener;
    /// `None` is [`CLIENTS_MAX_DEFAULT`](crate::limits::CLIENTS_MAX_DEFAULT).
    ///
    /// # Errors
    /// [`Error::Invalid`] when the map has no address for the name, [`Error::System`] when the port is in use or not
    /// permitted.
    pub async fn open(
        &self,
        place: impl Into<Open>,
        clients_max: Option<usize>,
    ) -> Result<SocketAddr, Error> {
        self.open_with(
            place,
            OpenOptions {
                clients_max,
                channels: None,
            },
        )
        .await
    }

    /// Like [`open`](Self::open), with further options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(&self, place: impl Into<Open>, options: OpenOptions) -> Result<SocketAddr, Error> {
        let cluster = self.caller.shard.cluster();
        let node = &self.caller.shard.node;
        let mut offer = Offer {
            channels: options.channels,
            name: None,
        };
        let address = match place.into() {
            Open::Port(port) => SocketAddr::from(([0, 0, 0, 0], port)),
            Open::Node(name) => {
                let map = cluster.shared.map.get();
                offer.channels = offer.channels.or(map.channels(&name));
                offer.name = Some(name.as_str().into());
                let own = node
                    .settings
                    .listen
                    .clone()
                    .filter(|_| name == node.settings.name);
                let entry = own.map(NodeEntry::Address);
                let entry = entry.or_else(|| map.nodes.get(&name).cloned());
                let Some(NodeEntry::Address(address)) = entry else {
                    return Err(Error::invalid(format!(
                        "{name} is down: the cluster map has no address for it"
                    )));
                };
                let addresses = blocking::resolve(&self.caller.shard, address.host(), address.port()).await;
                let addresses = addresses.map_err(|cause| Error::System { what: cause })?;
                addresses.into_iter().next().ok_or_else(|| Error::System {
                    what: "no address".into(),
                })?
            }
        };
        offer.channels = offer.channels.or(node.settings.channels);
        if let Some(name) = &offer.name {
            cluster.shared.set_name(name);
        }
        let local = listener::open(node, &cluster.shared, address, options.clients_max, offer)?;
        self.caller.log(format!("Listen on {local}"));
        Ok(local)
    }

    /// Registers a service as `@name` for the cluster; `None` = this service. A new name readdresses the service's old
    /// one.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the name is taken or too long.
    pub fn register(&self, name: &str, handle: Option<Handle>) -> Result<(), Error> {
        let name = name.strip_prefix('@').unwrap_or(name);
        let handle = handle.unwrap_or(self.caller.handle());
        self.caller
            .shard
            .node
            .names
            .update(|names| names.register(name, handle))?;
        self.caller.log(format!("Register [{name}] {handle}"));
        Ok(())
    }

    /// Unregisters `@name`. An unknown name is no error.
    pub fn unregister(&self, name: &str) {
        let name = name.strip_prefix('@').unwrap_or(name);
        let removed = self
            .caller
            .shard
            .node
            .names
            .update(|names| Ok::<_, Error>(names.unregister(name)));
        if let Ok(Some(handle)) = removed {
            self.caller.log(format!("Unregister [{name}] {handle}"));
        }
    }

    /// Queries a node for the handle of `@name`.
    ///
    /// # Errors
    /// [`Error::NoSuchService`] when it has none, and any error of a call.
    pub async fn query(&self, node: &str, name: &str) -> Result<Handle, Error> {
        let bare = name.strip_prefix('@').unwrap_or(name);
        let answer = self.caller.node(node).call(Handle::NONE, &bare).await;
        match answer {
            Ok(payload) => Ok(Handle(payload.unpack::<u32>()?)),
            Err(Error::NoSuchService { .. }) => Err(Error::NoSuchService {
                address: format!("{node}@{bare}").into(),
            }),
            Err(error) => Err(error),
        }
    }

    /// A local service that forwards to a service of another node. Repeated calls return the same handle.
    ///
    /// # Errors
    /// Any error of its launch.
    pub async fn proxy(&self, node: &str, address: impl Into<Address>) -> Result<Handle, Error> {
        let address = address.into();
        let shared = &self.caller.shard.cluster().shared;
        let key = format!("{node}.{address}");
        if let Some(handle) = shared.proxy(&key) {
            return Ok(handle);
        }
        let node: Text = node.into();
        let handle = self.caller.launch(move |_| Proxy { node, address }).await?;
        // Another shard may have been faster; then its proxy is used.
        let (stored, is_ours) = shared.insert_proxy(key, handle);
        if !is_ours {
            self.caller.shard.end_service(handle);
        }
        Ok(stored)
    }

    /// Like [`proxy`](Self::proxy), from one text, `"db@sdb"` or `"db.name"`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the text has no `@` or `.` after a node's name.
    pub async fn proxy_of(&self, full_name: &str) -> Result<Handle, Error> {
        let split = full_name
            .find(['@', '.'])
            .filter(|&at| at > 0 && at + 1 < full_name.len());
        let Some(at) = split else {
            return Err(Error::invalid(format!(
                "\"{full_name}\" is no node@name or node.name"
            )));
        };
        let (node, address) = full_name.split_at(at);
        self.proxy(node, address).await
    }

    /// Merges entries into the cluster map; other entries stay. In effect when this returns: calls to a node that is
    /// now `false` have failed, and a changed address is used from the next call on.
    pub fn reload(&self, changes: ClusterMap) {
        let shard = &self.caller.shard;
        shard.cluster().reload(shard, changes, self.caller.handle());
    }

    /// Reads the config's map file again and merges it.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the file, the key and the cause when it cannot be read; then nothing changes.
    pub async fn reload_file(&self) -> Result<(), Error> {
        let shard = &self.caller.shard;
        let Some(file) = shard.node.settings.map_file.clone() else {
            return Err(Error::invalid(
                "the node's config names no cluster map to read again",
            ));
        };
        let map = blocking::run(shard, move || read_map(file)).await??;
        self.reload(map);
        Ok(())
    }

    /// The state of another node.
    pub fn state(&self, node: &str) -> NodeState {
        self.caller.shard.cluster().node_state(node)
    }

    /// Watches a node from now on, with or without calls, and returns a monitor of its events. The node need not be
    /// in the map yet.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when the shard has [`MONITORS_MAX`](crate::limits::MONITORS_MAX) monitors.
    pub fn monitor(&self, node: impl Into<Text>) -> Result<Monitor, Error> {
        let shard = &self.caller.shard;
        shard.cluster().monitor(shard, node.into())
    }

    /// Like [`monitor`](Self::monitor), with messages to this service: of [`Kind::SYSTEM`](crate::Kind::SYSTEM), with
    /// the values `"node"`, the node's name, `"up"`, `"restarted"`, `"suspect"`, `"down"`, `"forgotten"` or
    /// `"switched"`, the cause, and the time in milliseconds since 1970. The first message has the present state,
    /// unless that is unknown. The subscription lasts until the service ends.
    ///
    /// # Errors
    /// As [`monitor`](Self::monitor).
    pub fn subscribe(&self, node: impl Into<Text>) -> Result<(), Error> {
        let shard = &self.caller.shard;
        shard
            .cluster()
            .subscribe(shard, node.into(), self.caller.handle())
    }

    /// Ends a subscription of [`subscribe`](Self::subscribe).
    pub fn unsubscribe(&self, node: &str) {
        self.caller
            .shard
            .cluster()
            .unsubscribe(node, self.caller.handle());
    }

    /// The current cluster map.
    pub fn map(&self) -> Arc<ClusterMap> {
        self.caller.shard.cluster().shared.map.get()
    }
}

fn read_map(file: PathBuf) -> Result<ClusterMap, Error> {
    ClusterMap::load(&file).map_err(|error| Error::invalid(error.to_string()))
}
