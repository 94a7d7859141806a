//! The states of nodes, from a temporary node that connects to each once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use skyring::log::Destination;
use skyring::{ClusterMap, Node as Engine, NodeState};

use super::source::{Node, Source};

/// Time between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// What the failure detector needs beyond its time.
const GRACE_TIME: Duration = Duration::from_millis(500);

/// Connects to all nodes, as the source says, and returns the state of each; a node that is turned off has none.
pub(super) fn ask(
    source: &Source,
    nodes: &BTreeMap<String, Node>,
    timeout: Duration,
) -> Result<BTreeMap<String, NodeState>, String> {
    let mut map = ClusterMap::new();
    for (name, node) in nodes {
        if let Some(address) = &node.address {
            map = map
                .with(name, &address.to_string())
                .map_err(|error| error.to_string())?;
        }
    }
    let names: Vec<String> = map.nodes.keys().cloned().collect();
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let node = source
        .reach(map)
        .prepare(Engine::builder())
        .down_after(timeout)
        .log_to(Destination::File("/dev/null".into()))
        .start()
        .map_err(|error| error.to_string())?;
    let watched = names.clone();
    let monitors = node.block_on(move |caller| async move {
        for name in watched {
            // A monitor has the node connected to; its events are not waited for.
            caller.cluster().monitor(name)?;
        }
        Ok::<(), skyring::Error>(())
    });
    monitors
        .and_then(|watching| watching)
        .map_err(|error| error.to_string())?;
    let started = Instant::now();
    let states = loop {
        let asked = names.clone();
        let states = node.block_on(move |caller| async move {
            let cluster = caller.cluster();
            let states = asked.into_iter().map(|name| {
                let state = cluster.state(&name);
                (name, state)
            });
            states.collect::<BTreeMap<String, NodeState>>()
        });
        let states = states.map_err(|error| error.to_string())?;
        let is_known = |state: &NodeState| matches!(state, NodeState::Up | NodeState::Down);
        if states.values().all(is_known) || started.elapsed() > timeout + GRACE_TIME {
            break states;
        }
        std::thread::sleep(POLL_INTERVAL);
    };
    node.stop();
    Ok(states)
}
