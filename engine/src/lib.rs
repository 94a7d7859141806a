//! Skyring: message-passing services on pinned io_uring threads, within a node and across a cluster.
//!
//! A [`Node`] has one shard per thread. A [`Service`] is on one shard and owns its state. Through its [`Context`] it
//! calls and sends to services of its node, by [`Handle`], `.name` or `@name`, and to services of other nodes by
//! [`Caller::node`], in the wire format of Skynet's cluster.
//!
//! ```no_run
//! use skyring::{Answer, ClusterMap, Context, Error, Message, Node, Service};
//!
//! struct Hello;
//!
//! impl Service for Hello {
//!     fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
//!         match message.unpack::<&str>() {
//!             Ok(name) => Answer::now(&format!("hello, {name}")),
//!             Err(error) => Answer::error(error),
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let map = ClusterMap::new().with("greeter", "127.0.0.1:7200")?;
//! let node = Node::builder().map(map).start()?;
//! let greeting = node.block_on(|caller| async move {
//!     let hello = caller.launch(|_| Hello).await?;
//!     caller.cluster().register("hello", Some(hello))?;
//!     caller.cluster().open("greeter", None).await?;
//!     let reply = caller.node("greeter").call("@hello", &"world").await?;
//!     reply.unpack::<String>()
//! })??;
//! assert_eq!(greeting, "hello, world");
//! # Ok(())
//! # }
//! ```
//!
//! The rooms, from top to bottom: `node` composes shards; a `shard` is one thread with its `service`, `cluster` and
//! `socket` rooms, which depend on `core` and neither on each other nor on the shard; `core` is what they share; `rt`
//! is the runtime, the only room that names an executor. `client` and `api` are the public interface; `typed` stands
//! on both.
//!
//! Invariants of the whole: imports point down; every queue, buffer and wait has a bound.

mod api;
mod client;
mod cluster;
pub mod config;
mod control;
mod core;
mod error;
mod file_mark;
pub mod log;
mod metrics;
mod node;
mod rt;
mod secret_file;
mod service;
mod shard;
mod socket;
pub mod status;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
pub mod typed;

pub use crate::core::handle::{Address, Handle, Name};
pub use crate::core::node::NodeLog;
pub use crate::core::payload::{Kind, Payload};
pub use crate::core::placement;
pub use crate::core::settings::DialectChoice;
pub use crate::core::socket_event::{SocketEvent, SocketId, SocketNews};
pub use crate::core::spans::{Span, SpanEnd};
pub use api::cluster::{Cluster, Open, OpenOptions};
pub use api::spans::Wanted as WantedSpans;
pub use client::{Client, ClientCall, ClientNode};
pub use cluster::membership::detector::{NodeChange, NodeEvent, NodeState};
pub use cluster::membership::monitor::Monitor;
pub use config::{ClusterMap, Escalation, Restart, Runtime, Security, Strategy};
pub use error::{Error, Text};
pub use metrics::{Counter, Metrics};
pub use node::{Node, NodeBuilder, StartError};
pub use service::Service;
pub use service::call::Call;
pub use service::caller::Caller;
pub use service::context::Context;
pub use service::end::End;
pub use service::interval::Interval;
pub use service::kinds::Kinds;
pub use service::list::ServiceInfo;
pub use service::message::{Answer, Message};
pub use service::node_ref::NodeRef;
pub use service::report::Report;
pub use service::responder::Responder;
pub use service::sleep::Sleep;
pub use service::stop::Stop;
pub use service::supervisor::Supervisor;
pub use service::supervisor::backoff::Backoff;
pub use service::supervisor::child::Child;
pub use service::trace_context::HttpSpan;
pub use service::watch::Watch;
pub use skyring_codec::seri;
pub use skyring_macros::service;
pub use socket::{SocketInfo, SocketSort, Sockets};
pub use tls::{Preface, ServerTls, ServerTlsCounts, ServerTlsFiles, Tls, TlsError, TlsFiles};

/// The sources of cluster maps, for commands that read and edit them without a node.
pub mod discovery {
    pub use crate::control::directory::{FoundNode, map, nodes, set, unset};
}

/// What the fuzz entries of the engine run; no part of the interface.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::control::fuzzing::{Note, dns_answers, etcd_answers};
}

/// The bounds of the engine, each a named constant.
pub mod limits {
    pub use crate::api::node_service::LEASES_MAX;
    pub use crate::api::spans::SPANS_ANSWERED_MAX;
    pub use crate::cluster::accepting::admission::{UNPROVED_PER_SECOND_MAX, UNPROVED_PER_SOURCE_MAX};
    pub use crate::cluster::accepting::budget::{
        CONNECTION_BYTES, HELD_BYTES_MAX, READ_BYTES_MAX, REQUEST_BYTES_MAX, REQUEST_OVERHEAD_BYTES,
        memory_bytes_max,
    };
    pub use crate::cluster::accepting::inbound::{
        ANSWER_BYTES_MAX, PACKAGE_TIME_MS_MAX, REQUESTS_HANDLED_MAX, STALL_TIME_MS_MAX, UNFINISHED_BYTES_MAX,
    };
    pub use crate::cluster::accepting::listener::CLIENTS_MAX_DEFAULT;
    pub use crate::cluster::accepting::sessions::SESSIONS_DETACHED_MAX;
    pub use crate::cluster::accepting::waiting::CONNECTIONS_UNPROVED_MAX;
    pub use crate::cluster::dialling::channel::MOVE_TIME_MS_MAX;
    pub use crate::cluster::dialling::drain::DRAINED_AT_ONCE_MAX;
    pub use crate::cluster::dialling::pending::{PENDING_BYTES_MAX, PENDING_REQUESTS_MAX};
    pub use crate::cluster::group::{GROUP_CALLS_MAX, GROUP_WAITING_MAX};
    pub use crate::cluster::membership::monitor::{MONITOR_EVENTS_MAX, MONITORS_MAX};
    pub use crate::cluster::membership::states::{CONNECTS_AT_ONCE_MAX, CONNECTS_PER_SECOND_MAX};
    pub use crate::cluster::shared::LISTENERS_MAX;
    pub use crate::cluster::status::{CHANNELS_LISTED_MAX, PEERS_LISTED_MAX};
    pub use crate::config::{ACCEPTS_PER_SECOND_DEFAULT, CLIENTS_PER_SOURCE_DEFAULT};
    pub use crate::core::finished_spans::SPANS_QUEUED_MAX;
    pub use crate::core::limits::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX, WAITING_CALLS_MAX};
    pub use crate::core::names::{NAME_BYTES_MAX, NAMES_MAX};
    pub use crate::core::spans::SPANS_MAX;
    pub use crate::core::trace_state::SLOW_CALLS_LOGGED_PER_SECOND_MAX;
    pub use crate::service::life::WATCHES_MAX;
    pub use crate::service::report::MEASURES_MAX;
    pub use crate::service::status::{SERVICE_LABELS_MAX, SERVICES_LISTED_MAX};
    pub use crate::service::supervision::ENDED_KEPT_MAX;
    pub use crate::service::supervisor::backoff::RESTART_DELAY_MS_MAX;
    pub use crate::service::supervisor::{CHILDREN_MAX, RESTARTS_MAX};
    pub use crate::socket::{
        READ_AHEAD_BYTES_MAX, READ_AHEAD_TOTAL_BYTES_MAX, SOCKET_OUT_BYTES_MAX, SOCKET_OUT_TOTAL_BYTES_MAX,
        SOCKETS_MAX, WARNING_BYTES, WRITES_UNDER_WAY_BYTES_MAX,
    };
    pub use crate::tls::{HANDSHAKE_BYTES_MAX, KEY_FILE_BYTES_MAX, PREFACE_BYTES_MAX, SEALED_BYTES_MAX};
    pub use skyring_codec::native::CHANNELS_MAX;
}
