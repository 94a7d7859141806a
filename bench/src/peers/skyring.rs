//! Skyring as a contender: a node as a process that echoes, and a node of this process that calls it.

use std::time::Duration;

use skyring::log::Destination;
use skyring::{Address, ClusterMap, Node, Payload};

use super::contender::Variant;
use crate::floors::{PeerError, PeerResult, Settings};
use crate::interrupt::Interrupt;
use crate::load::{Load, LoadModel};
use crate::node_process::{NodePlan, NodeProcess, Program};
use crate::supervisor::Supervisor;
use crate::temp_dir::TempDir;

/// The server's name in the map.
const SERVER: &str = "server";

/// How long the server may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// Measures it. The calling node chooses Skynet's dialect, as a Skynet node does.
pub(super) fn measure(
    variant: &Variant,
    settings: &Settings,
    program: &Program,
    interrupt: &Interrupt,
) -> Result<PeerResult, PeerError> {
    let temp_dir = TempDir::new("peers")?;
    let mut supervisor = Supervisor::new(interrupt.clone(), |_| {});
    let plan = NodePlan {
        name: SERVER,
        threads: 1,
        spin_us: settings.spin.as_micros() as u32,
        runtime: variant.runtime,
        service: ("echo", "echo"),
    };
    // Its one shard has the first processor, as the server of every floor.
    let mut server = NodeProcess::start(&mut supervisor, program, temp_dir.path(), &plan)?;
    let map = ClusterMap::new()
        .with(SERVER, &server.address().to_string())
        .map_err(PeerError::client)?;
    let node = Node::builder()
        .first_cpu(settings.client_cpu)
        .spin(settings.spin)
        .runtime(variant.runtime)
        .dialect(variant.dialect)
        .map(map)
        // The standard output is for the figures.
        .log_to(Destination::File(temp_dir.path().join("client.log")))
        .start()
        .map_err(PeerError::client)?;
    let load = Load {
        node: SERVER.to_owned(),
        address: Address::from("@echo"),
        payload: Payload::pack(&"x".repeat(settings.size)).map_err(PeerError::client)?,
        size: settings.size,
        model: LoadModel::Closed,
        in_flight: settings.in_flight,
        keys: 0,
        warm_up: settings.warm_up,
        duration: settings.duration,
        server_process: Some(server.process().id()),
    };
    let mut running = load.start(&node).map_err(PeerError::client)?;
    let result = running
        .wait_or_interrupt(interrupt, |_| {})
        .map_err(PeerError::client)?
        .ok_or(PeerError::Interrupted)?;
    node.stop();
    server.process().end(STOP_TIME_MAX)?;
    if result.calls == 0 {
        return Err(PeerError::Client(format!(
            "no call was answered: {:?}",
            result.errors
        )));
    }
    Ok(PeerResult {
        name: variant.name,
        calls: result.calls,
        calls_per_second: result.calls_per_second,
        latency_us: result.latency_us,
        errors: result.errors_total(),
        in_flight: result.in_flight,
        size: result.size,
        seconds: result.seconds,
        cpu_seconds: result.cpu_seconds,
        note: variant.note.to_owned(),
    })
}
