//! Nodes that reach each other over loopback, and ports to reach them at.

use std::net::SocketAddr;

use skyring::{Answer, Caller, ClusterMap, Context, Error, Handle, Message, Node, Payload, Service};
use socket2::{Domain, Protocol, Socket, Type};

use crate::node::{run, start};

/// A map of one node.
pub(crate) fn map_of(name: &str, address: &str) -> ClusterMap {
    ClusterMap::new().with(name, address).expect("a valid entry")
}

/// Opens a free port; the address is for other nodes on this machine.
pub(crate) fn open(node: &Node) -> String {
    let opened = run(node, |caller| async move { caller.cluster().open(0, None).await });
    format!("127.0.0.1:{}", opened.expect("a free port").port())
}

/// Merges entries into the node's map.
pub(crate) fn reload(node: &Node, changes: ClusterMap) {
    run(node, |caller| async move { caller.cluster().reload(changes) });
}

/// Launches a service and registers it.
pub(crate) fn serve<S: Service>(
    node: &Node,
    name: &str,
    make: impl FnOnce(&Context<S>) -> S + Send + 'static,
) -> Handle {
    let name = name.to_owned();
    run(node, |caller| async move {
        let handle = caller.launch(make).await.expect("it launches");
        caller
            .cluster()
            .register(&name, Some(handle))
            .expect("the name is free");
        handle
    })
}

/// A gateway and a database node that it knows as `db`, whose `@echo` is an [`Echo`].
pub(crate) fn pair() -> (Node, Node) {
    let (gate, db) = (start(1), start(1));
    serve(&db, "echo", |_| Echo("db"));
    reload(&gate, map_of("db", &open(&db)));
    (gate, db)
}

/// Answers with what it gets; `who` with its own word, and an error of those words for `fail`.
pub(crate) struct Echo(pub(crate) &'static str);

impl Service for Echo {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        match message.unpack::<&str>() {
            Ok("who") => Answer::now(self.0),
            Ok("fail") => Answer::error(Error::remote("unknown command: fail")),
            _ => Answer::payload(message.payload),
        }
    }
}

/// Asks `@echo` of a node who it is.
pub(crate) async fn who(caller: &Caller, node: &str) -> Result<String, Error> {
    let reply: Payload = caller.node(node).call("@echo", "who").await?;
    reply.unpack()
}

/// A port that is ours and that nobody listens on: connecting is refused, and a node of this process may
/// listen on it.
pub(crate) struct ReservedPort(Socket);

impl ReservedPort {
    /// Takes a free port.
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
