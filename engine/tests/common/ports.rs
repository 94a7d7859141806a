//! Ports whose number is known before a node listens on them.

use std::net::SocketAddr;

use skyring::{Error, Node};
use socket2::{Domain, Protocol, Socket, Type};

use crate::cluster::{map_of, reload};
use crate::node::run;

/// A reserved port without a listener: connecting is refused, and a node of this process may listen on it.
pub(crate) struct ReservedPort(Socket);

impl ReservedPort {
    /// Reserves a free port.
    pub(crate) fn new() -> ReservedPort {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
        // Both sides set it, so that the other may bind while this one holds the port without listening.
        socket.set_reuse_address(true).expect("the option is known");
        let free: SocketAddr = ([127, 0, 0, 1], 0).into();
        socket.bind(&free.into()).expect("a free port");
        ReservedPort(socket)
    }

    /// `127.0.0.1:port`.
    pub(crate) fn address(&self) -> String {
        let address = self.0.local_addr().expect("it is bound");
        address.as_socket().expect("an address of IP").to_string()
    }
}

/// Listens on a map entry.
pub(crate) fn open_at(node: &Node, address: &str) -> Result<SocketAddr, Error> {
    reload(node, map_of("own", address));
    run(
        node,
        |caller| async move { caller.cluster().open("own", None).await },
    )
}
