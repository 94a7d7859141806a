//! The operations of a [`Caller`](crate::Caller) on the cluster and on sockets.

mod certificates;
pub(crate) mod cluster;
pub(crate) mod node_service;
mod proxy;
pub(crate) mod spans;
mod watch;

use std::rc::Rc;

use crate::api::cluster::Cluster;
use crate::service::caller::Caller;
use crate::socket::Sockets;

impl Caller {
    /// The cluster operations: open, register, query, proxy, reload.
    pub fn cluster(&self) -> Cluster {
        Cluster::new(self.clone())
    }

    /// The sockets of this service: open, read, write, close.
    pub fn sockets(&self) -> Sockets {
        Sockets::new(Rc::clone(&self.shard), self.handle)
    }
}
