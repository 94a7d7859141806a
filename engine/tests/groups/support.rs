//! Databases that answer with their names, and a map with a group of them.

use std::time::Duration;

use skyring::config::{Group, Policy};
use skyring::{Caller, ClusterMap, Error, Node};

use crate::cluster::{Echo, serve};
use crate::ports::{ReservedPort, open_at};
use crate::start::start;

/// The members' names.
pub(crate) const MEMBERS: [&str; 3] = ["db1", "db2", "db3"];

/// A database that may be started repeatedly at the same address.
pub(crate) struct Db {
    pub(crate) name: &'static str,
    port: ReservedPort,
    node: Option<Node>,
}

impl Db {
    /// A database that does not run yet.
    pub(crate) fn new(name: &'static str) -> Db {
        Db {
            name,
            port: ReservedPort::new(),
            node: None,
        }
    }

    /// Starts it.
    pub(crate) fn start(&mut self) {
        let (node, name) = (start(1), self.name);
        serve(&node, "echo", move |_| Echo(name));
        open_at(&node, &self.port.address()).expect("the port is free");
        self.node = Some(node);
    }

    /// Its address.
    pub(crate) fn address(&self) -> String {
        self.port.address()
    }

    /// Its counters.
    pub(crate) fn metrics(&self) -> &skyring::Metrics {
        self.node.as_ref().expect("it runs").metrics()
    }

    /// Stops it.
    pub(crate) fn stop(&mut self) {
        self.node = None;
    }
}

/// `count` running databases.
pub(crate) fn databases(count: usize) -> Vec<Db> {
    MEMBERS[..count]
        .iter()
        .map(|name| {
            let mut db = Db::new(name);
            db.start();
            db
        })
        .collect()
}

/// A map with the databases as nodes.
pub(crate) fn map(databases: &[Db]) -> ClusterMap {
    databases.iter().fold(ClusterMap::new(), |map, db| {
        map.with(db.name, &db.port.address()).expect("a valid entry")
    })
}

/// A map with the databases and the group `db` of them.
pub(crate) fn map_of_group(databases: &[Db], policy: Policy) -> ClusterMap {
    let members = databases.iter().map(|db| db.name);
    let group = Group::new(policy, members).expect("a valid group");
    map(databases).with_group("db", group).expect("a free name")
}

/// Calls the group's echo for its name, with a timeout that no test exceeds.
pub(crate) async fn who(caller: &Caller, key: u64) -> Result<String, Error> {
    let call = caller.node("db").key(key).call("@echo", "who");
    call.timeout(Duration::from_secs(20)).await?.unpack()
}
