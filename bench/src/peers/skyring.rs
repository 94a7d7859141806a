//! Skyring as one of those that are measured: a node as a process that echoes, and one here that calls it.

use std::time::Duration;

use skyring::log::Destination;
use skyring::{Address, ClusterMap, DialectChoice, Node, Payload};

use crate::floors::{Measured, PeerError, Settings};
use crate::interrupt::Interrupt;
use crate::load::{Load, Pace};
use crate::scratch::Scratch;
use crate::server::{NodePlan, Program, Server, ServerError};
use crate::watch::{Watch, WatchError};

/// The server's name in the map.
const SERVER: &str = "server";

/// Time between two looks at whether the load is done or the program is to end.
const POLL: Duration = Duration::from_millis(50);

/// How long the server may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// Measures it under a name; in Skynet's dialect because the calling node says so, as a Skynet node would.
pub(super) fn measure(
    (name, skynet_dialect): (&'static str, bool),
    settings: &Settings,
    program: &Program,
    interrupt: &Interrupt,
) -> Result<Measured, PeerError> {
    let scratch = Scratch::new("peers")?;
    let mut watch = Watch::new(interrupt.clone(), |_| {});
    let plan = NodePlan {
        name: SERVER,
        threads: 1,
        spin_us: settings.spin.as_micros() as u32,
        service: ("echo", "echo"),
    };
    // Its one shard has the first processor, as the server of every floor.
    let mut server = Server::start(&mut watch, program, scratch.path(), &plan).map_err(started)?;
    let map = ClusterMap::new()
        .with(SERVER, &server.address().to_string())
        .map_err(client)?;
    let node = Node::builder()
        .first_cpu(settings.client_cpu)
        .spin(settings.spin)
        .dialect(if skynet_dialect {
            DialectChoice::Skynet
        } else {
            DialectChoice::Auto
        })
        .map(map)
        // The standard output is for the figures.
        .log_to(Destination::File(scratch.path().join("client.log")))
        .start()
        .map_err(client)?;
    let load = Load {
        node: SERVER.to_owned(),
        address: Address::from("@echo"),
        payload: Payload::pack(&"x".repeat(settings.size)).map_err(client)?,
        size: settings.size,
        pace: Pace::Closed,
        in_flight: settings.in_flight,
        keys: 0,
        warm_up: settings.warm_up,
        duration: settings.duration,
        server_process: Some(server.process().id()),
    };
    let mut running = load.start(&node).map_err(client)?;
    let result = loop {
        if let Some(result) = running.wait(POLL).map_err(client)? {
            break result;
        }
        if interrupt.requested() {
            return Err(PeerError::Interrupted);
        }
    };
    node.stop();
    server.process().end(STOP_TIME_MAX)?;
    if result.calls == 0 {
        return Err(PeerError::Client(format!(
            "no call was answered: {:?}",
            result.errors
        )));
    }
    Ok(Measured {
        name,
        calls: result.calls,
        calls_per_second: result.calls_per_second,
        latency_us: result.latency_us,
        errors: result.errors_total(),
        in_flight: result.in_flight,
        size: result.size,
        seconds: result.seconds,
        cpu_seconds: result.cpu_seconds,
        note: if skynet_dialect {
            "Skynet's packages on the wire, between two Skyring nodes"
        } else {
            "names, sessions, deadlines, reconnects, lua-seri values; one shard each side"
        }
        .to_owned(),
    })
}

fn started(error: ServerError) -> PeerError {
    match error {
        ServerError::Waited {
            error: WatchError::Interrupted,
            ..
        } => PeerError::Interrupted,
        error => PeerError::Server(error.to_string()),
    }
}

fn client(error: impl std::fmt::Display) -> PeerError {
    PeerError::Client(error.to_string())
}
