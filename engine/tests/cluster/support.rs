//! The nodes and services that several of these tests need.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use skyring::{Error, Handle, Node};

use crate::cluster::{Echo, map_of, open, reload, serve, who};
use crate::gate::Gate;
use crate::node::run;
use crate::recorder::Record;
use crate::start::start;

/// A gateway and a database node that it knows as `db`, whose `@echo` is an [`Echo`].
pub(crate) fn pair() -> (Node, Node) {
    let (gate, db) = (start(1), start(1));
    serve(&db, "echo", |_| Echo("db"));
    reload(&gate, map_of("db", &open(&db)));
    (gate, db)
}

/// The answer of `@echo` of a node to the question who it is.
pub(crate) fn ask(gate: &Node, node: &'static str) -> Result<String, Error> {
    run(gate, move |caller| async move { who(&caller, node).await })
}

/// Launches a recorder and registers it.
pub(crate) fn serve_record(node: &Node, name: &str) -> Record {
    let record = Record::default();
    let (launched, name) = (record.clone(), name.to_owned());
    run(node, |caller| async move {
        let recorder = launched.launch(&caller).await;
        caller
            .cluster()
            .register(&name, Some(recorder))
            .expect("a free name");
    });
    record
}

/// Launches a gate and registers it as `@gate`; the number counts the calls that it keeps open.
pub(crate) fn serve_gate(node: &Node) -> (Handle, Arc<AtomicUsize>) {
    let waiting = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&waiting);
    let gate = run(node, |caller| async move {
        let gate = Gate::launch(&caller, counted).await;
        caller
            .cluster()
            .register("gate", Some(gate))
            .expect("a free name");
        gate
    });
    (gate, waiting)
}
