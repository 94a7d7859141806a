//! The two nodes that most of these tests need.

use skyring::Node;

use crate::cluster::{Echo, map_of, open, reload, serve};
use crate::start::start;

/// A gateway and a database node that it knows as `db`, whose `@echo` is an [`Echo`].
pub(crate) fn pair() -> (Node, Node) {
    let (gate, db) = (start(1), start(1));
    serve(&db, "echo", |_| Echo("db"));
    reload(&gate, map_of("db", &open(&db)));
    (gate, db)
}
