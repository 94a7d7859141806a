//! Nodes that serve and call typed services.

use skyring::{ClusterMap, Context, Node, Service};

pub(crate) use crate::node::run;

/// Opens a free port; the address is for other nodes on this machine.
pub(crate) fn open(node: &Node) -> String {
    let opened = run(node, |caller| async move { caller.cluster().open(0, None).await });
    format!("127.0.0.1:{}", opened.expect("a free port").port())
}

/// Tells a node where `db` is.
pub(crate) fn meet(node: &Node, address: &str) {
    let map = ClusterMap::new().with("db", address).expect("a valid entry");
    run(node, |caller| async move { caller.cluster().reload(map) });
}

/// Launches a service and registers it.
pub(crate) fn serve<S: Service>(
    node: &Node,
    name: &'static str,
    make: impl FnOnce(&Context<S>) -> S + Send + 'static,
) {
    run(node, move |caller| async move {
        let handle = caller.launch(make).await.expect("it launches");
        let registered = caller.cluster().register(name, Some(handle));
        registered.expect("the name is free");
    });
}
