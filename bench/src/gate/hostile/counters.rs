//! The counters of a gate in another process, read by a call to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use skyring::log::Destination;
use skyring::seri::Value;
use skyring::{ClusterMap, Node, Payload};

use super::super::plan::GateError;
use super::super::server::{GATE, NODE};

/// How long a call may take.
const CALL_TIME_MAX: Duration = Duration::from_secs(10);

/// How long the gate may take to close the clients of an attack that has ended.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(15);

fn failed(error: impl std::fmt::Display) -> GateError {
    GateError::Counters(error.to_string())
}

/// Calls the gate with one word.
fn call(cluster: SocketAddr, command: &'static str) -> Result<Payload, GateError> {
    let map = ClusterMap::new()
        .with(NODE, &cluster.to_string())
        .map_err(failed)?;
    let builder = Node::builder().map(map);
    let node = builder
        .log_to(Destination::File("/dev/null".into()))
        .start()
        .map_err(failed)?;
    let answer = node.block_on(move |caller| async move {
        let call = caller.node(NODE).call(format!("@{GATE}").as_str(), command);
        call.timeout(CALL_TIME_MAX).await
    });
    node.stop();
    answer.map_err(failed)?.map_err(failed)
}

/// What the gate has counted.
pub(super) fn read(cluster: SocketAddr) -> Result<BTreeMap<String, i64>, GateError> {
    let values = call(cluster, "counters")?.values().map_err(failed)?;
    let Some(Value::Table(table)) = values.into_iter().next() else {
        return Err(failed("the answer is no table"));
    };
    let mut counters = BTreeMap::new();
    for (name, count) in table.entries {
        if let (Value::String(name), Value::Integer(count)) = (name, count) {
            counters.insert(String::from_utf8_lossy(&name).into_owned(), count);
        }
    }
    Ok(counters)
}

/// Waits until the gate has this number of clients, for a while; returns the number that it has.
pub(super) fn wait_for_clients(cluster: SocketAddr, expected: i64) -> Result<i64, GateError> {
    let began = Instant::now();
    loop {
        let clients = call(cluster, "clients")?.unpack::<i64>().map_err(failed)?;
        if clients == expected || began.elapsed() > CLOSE_TIME_MAX {
            return Ok(clients);
        }
        thread::sleep(Duration::from_millis(100));
    }
}
