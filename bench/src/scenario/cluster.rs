//! The called nodes of a scenario, each a process behind a proxy that has the network's faults.

use std::net::SocketAddr;
use std::time::Duration;

use skyring::log::Destination;
use skyring::{ClusterMap, DialectChoice, Node, Payload, Runtime};

use super::check::{NODES_MAX, Scenario};
use super::error::ScenarioError;
use crate::chaos::{ChaosProxy, Faults};
use crate::interrupt::Interrupt;
use crate::node_process::{NodePlan, NodeProcess, Program};
use crate::supervisor::Supervisor;
use crate::temp_dir::TempDir;

/// The names of the processes; in the map of the calling node they have those of the file.
const PROCESSES: [&str; NODES_MAX] = [
    "node1", "node2", "node3", "node4", "node5", "node6", "node7", "node8", "node9", "node10", "node11",
    "node12", "node13", "node14", "node15", "node16",
];

/// The service of each node.
const SERVICE: &str = "echo";

/// Its address.
pub(super) const ADDRESS: &str = "@echo";

/// How long the first call to a node may take.
const FIRST_CALL_TIME_MAX: Duration = Duration::from_secs(5);

/// All nodes of a scenario. Dropping it ends them.
pub(super) struct Cluster {
    pub(super) client: Node,
    nodes: Vec<(NodeProcess, ChaosProxy)>,
    supervisor: Supervisor,
    _temp_dir: TempDir,
}

impl Cluster {
    pub(super) fn start(
        scenario: &Scenario,
        runtime: Runtime,
        program: &Program,
        interrupt: &Interrupt,
    ) -> Result<Cluster, ScenarioError> {
        let temp_dir = TempDir::new("scenario")?;
        let mut supervisor = Supervisor::new(interrupt.clone(), |_| {});
        let (mut nodes, mut map) = (Vec::new(), ClusterMap::new());
        for (part, name) in scenario.nodes.iter().zip(PROCESSES) {
            let plan = NodePlan {
                name,
                threads: part.threads as usize,
                spin_us: part.spin_us,
                runtime,
                // With several shards each has an instance, and the key of an operation selects it.
                service: (SERVICE, if part.threads > 1 { "keyed echo" } else { "echo" }),
            };
            let node = NodeProcess::start(&mut supervisor, program, temp_dir.path(), &plan)?;
            let listen = SocketAddr::from(([127, 0, 0, 1], 0));
            let proxy = ChaosProxy::start(listen, node.address(), Faults::default())?;
            map = map.with(part.name.as_str(), &proxy.address().to_string())?;
            nodes.push((node, proxy));
        }
        let client = Node::builder()
            .threads(scenario.client.threads as usize)
            .first_cpu(1)
            .spin(Duration::from_micros(u64::from(scenario.client.spin_us)))
            .channels(scenario.client.channels)
            .runtime(runtime)
            .dialect(DialectChoice::Auto)
            .map(map)
            .log_to(Destination::File(temp_dir.path().join("client.log")))
            .start()?;
        let cluster = Cluster {
            client,
            nodes,
            supervisor,
            _temp_dir: temp_dir,
        };
        for part in &scenario.nodes {
            let name = part.name.clone();
            let answer = cluster.client.block_on(|caller| async move {
                let call = caller.node(name).call_payload(ADDRESS, Ok(Payload::default()));
                call.timeout(FIRST_CALL_TIME_MAX).await
            });
            let answer = answer.and_then(|answer| answer);
            answer.map_err(|error| ScenarioError::FirstCall(part.name.clone(), error))?;
        }
        Ok(cluster)
    }

    pub(super) fn set_faults(&self, node: usize, faults: Faults) {
        if let Some((_, proxy)) = self.nodes.get(node) {
            proxy.set(faults);
        }
    }

    pub(super) fn kill(&mut self, node: usize) -> Result<(), ScenarioError> {
        if let Some((node, _)) = self.nodes.get_mut(node) {
            node.process().kill()?;
        }
        Ok(())
    }

    pub(super) fn restart(&mut self, node: usize) -> Result<(), ScenarioError> {
        if let Some((node, _)) = self.nodes.get_mut(node) {
            node.restart(&mut self.supervisor)?;
        }
        Ok(())
    }

    pub(super) fn pause(&mut self, node: usize) -> Result<(), ScenarioError> {
        if let Some((node, _)) = self.nodes.get_mut(node) {
            node.process().pause()?;
        }
        Ok(())
    }

    pub(super) fn resume(&mut self, node: usize) -> Result<(), ScenarioError> {
        if let Some((node, _)) = self.nodes.get_mut(node) {
            node.process().resume()?;
        }
        Ok(())
    }
}
