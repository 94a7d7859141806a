//! Nodes that connect to each other over loopback.

use skyring::{Answer, Caller, ClusterMap, Context, Error, Handle, Message, Node, Payload, Service};

use crate::node::run;

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

/// Answers with the request's payload; `who` with its own name, and `fail` with an error.
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
