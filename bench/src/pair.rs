//! The two sides of a measurement: a server, which is a process of its own or runs already, and a node of this
//! process that calls it. Both are pinned, the client's shards to the processors after the server's.

use std::io;
use std::time::Duration;

use skyring::config::ConfigError;
use skyring::log::Destination;
use skyring::{
    Address, ClusterMap, DialectChoice, Error, Metrics, Node, Payload, Runtime, Security, StartError,
};
use thiserror::Error as ThisError;

use crate::costs::{CallCosts, CostCounter};
use crate::cpu::allowed_cpus;
use crate::floors::PeerError;
use crate::foreign::{Target, TargetError};
use crate::interrupt::Interrupt;
use crate::load::{Load, LoadError, LoadModel, LoadResult, RunningLoad, TargetLoad};
use crate::node_process::{NodePlan, NodeProcess, NodeProcessError, Program};
use crate::process::EventKind;
use crate::supervisor::{Supervisor, WaitError};
use crate::temp_dir::TempDir;

/// The server's name in the map, and its service.
const SERVER: &str = "server";
const SERVICE: &str = "echo";

/// How long the server may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// How long the calls are made whose costs are counted, and how long before that.
const COSTS_TIME: Duration = Duration::from_millis(400);
const COSTS_WARM_UP: Duration = Duration::from_millis(100);

/// How long the first call may take, which checks that the service answers.
const FIRST_CALL_TIME_MAX: Duration = Duration::from_secs(5);

/// Why there are no figures.
#[derive(Debug, ThisError)]
pub enum PairError {
    /// A file or the system failed.
    #[error("{0}")]
    System(#[from] io::Error),
    /// The server did not start.
    #[error("the server: {0}")]
    Server(NodeProcessError),
    /// The calling node did not start.
    #[error("the calling node: {0}")]
    Client(#[from] StartError),
    /// The calls could not be made.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The value cannot be sent.
    #[error("{0}")]
    Values(#[from] Error),
    /// An address is invalid.
    #[error("{0}")]
    Map(#[from] ConfigError),
    /// The first call failed.
    #[error("a call to {called}: {error}")]
    FirstCall {
        /// The node and the service.
        called: String,
        /// Why.
        error: Error,
    },
    /// The target does not answer as it should.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The user interrupted the program.
    #[error("interrupted")]
    Interrupted,
}

impl From<NodeProcessError> for PairError {
    fn from(error: NodeProcessError) -> PairError {
        match error {
            NodeProcessError::Waited {
                error: WaitError::Interrupted,
                ..
            } => PairError::Interrupted,
            error => PairError::Server(error),
        }
    }
}

impl From<PeerError> for PairError {
    fn from(error: PeerError) -> PairError {
        match error {
            PeerError::Interrupted => PairError::Interrupted,
            error => PairError::System(io::Error::other(error.to_string())),
        }
    }
}

/// How both sides are set up.
#[derive(Debug, Clone)]
pub struct PairPlan {
    /// Shards of each side.
    pub threads: usize,
    /// Channels between them.
    pub channels: u32,
    /// How long shards poll for work before they sleep, in microseconds.
    pub spin_us: u32,
    /// What runs the shards of the calling node, and of a server that is started here.
    pub runtime: Runtime,
    /// The dialect of the calling node.
    pub dialect: DialectChoice,
    /// What is called if it runs already; `None` = a server is started.
    pub running: Option<Running>,
    /// The kind of the one service of a server that is started here, as configs name it.
    pub kind: &'static str,
}

/// What runs already.
#[derive(Debug, Clone)]
pub enum Running {
    /// A node.
    Node(RunningNode),
    /// A server that is no node; [`PairPlan::channels`] are the connections to it.
    Target(Target),
}

/// A node that runs already.
#[derive(Debug, Clone)]
pub struct RunningNode {
    /// The cluster map that names it.
    pub map: ClusterMap,
    /// The cluster secret that it wants to see proved, and the certificate.
    pub security: Option<Box<Security>>,
    /// The name under which it is called; empty for none.
    pub caller: String,
    /// Its name in the map.
    pub node: String,
    /// The service that is called.
    pub address: Address,
    /// The same as text.
    pub service: String,
}

/// The load.
#[derive(Debug, Clone)]
pub struct Calls {
    /// When calls begin.
    pub model: LoadModel,
    /// Calls in flight, or at most in an open loop.
    pub in_flight: usize,
    /// Different keys; 0 = none.
    pub keys: usize,
    /// The payload of every call.
    pub payload: Payload,
    /// Its size, for the result.
    pub size: usize,
    /// The time before the measurement.
    pub warm_up: Duration,
    /// The measured time.
    pub duration: Duration,
}

/// Both sides, running. Dropping it ends them.
pub struct Pair {
    client: Node,
    server: Option<NodeProcess>,
    called: Running,
    connections: usize,
    interrupt: Interrupt,
    server_cpus: Vec<usize>,
    client_cpus: Vec<usize>,
    // Dropped last: the client logs in there.
    supervisor: Supervisor,
    _scratch: TempDir,
}

impl Pair {
    /// Starts the server, with `program`, and the client.
    ///
    /// # Errors
    /// [`PairError`]; then nothing is left.
    pub fn start(plan: &PairPlan, program: &Program, interrupt: &Interrupt) -> Result<Pair, PairError> {
        let temp_dir = TempDir::new("bench")?;
        let mut supervisor = Supervisor::new(interrupt.clone(), |_| {});
        let allowed = allowed_cpus()?;
        let cpus = |first: usize| -> Vec<usize> {
            let round = allowed.iter().copied().cycle();
            round.skip(first).take(plan.threads).collect()
        };
        let (server, map, called) = match &plan.running {
            Some(Running::Node(node)) => (None, node.map.clone(), Running::Node(node.clone())),
            Some(Running::Target(target)) => {
                let mut target = target.clone();
                target.probe()?;
                (None, ClusterMap::new(), Running::Target(target))
            }
            None => {
                let node = NodePlan {
                    name: SERVER,
                    threads: plan.threads,
                    spin_us: plan.spin_us,
                    runtime: plan.runtime,
                    service: (SERVICE, plan.kind),
                };
                let server = NodeProcess::start(&mut supervisor, program, temp_dir.path(), &node)?;
                let map = ClusterMap::new().with(SERVER, &server.address().to_string())?;
                let service = format!("@{SERVICE}");
                let node = RunningNode {
                    map: map.clone(),
                    security: None,
                    caller: String::new(),
                    node: SERVER.to_owned(),
                    address: Address::from(service.as_str()),
                    service,
                };
                (Some(server), map, Running::Node(node))
            }
        };
        let builder = match &called {
            Running::Node(RunningNode {
                security: Some(security),
                caller,
                ..
            }) => Node::builder().security((**security).clone()).name(caller),
            _ => Node::builder(),
        };
        let client = builder
            .threads(plan.threads)
            .first_cpu(plan.threads)
            .spin(Duration::from_micros(u64::from(plan.spin_us)))
            .runtime(plan.runtime)
            .channels(plan.channels)
            .dialect(plan.dialect)
            .map(map)
            // The standard output is for the figures.
            .log_to(Destination::File(temp_dir.path().join("client.log")))
            .start()?;
        Ok(Pair {
            client,
            server_cpus: server.as_ref().map_or_else(Vec::new, |_| cpus(0)),
            client_cpus: cpus(plan.threads % allowed.len().max(1)),
            server,
            called,
            connections: plan.channels as usize,
            interrupt: interrupt.clone(),
            supervisor,
            _scratch: temp_dir,
        })
    }

    /// The called node and service, as text.
    pub fn called(&self) -> String {
        match &self.called {
            Running::Node(node) => format!("{} {}", node.node, node.service),
            Running::Target(target) => target.called(),
        }
    }

    /// The protocol of a server that is no node.
    pub fn target(&self) -> Option<&Target> {
        match &self.called {
            Running::Node(_) => None,
            Running::Target(target) => Some(target),
        }
    }

    /// The server's process, if it was started here.
    pub fn server_process(&mut self) -> Option<u32> {
        self.server.as_mut().map(|server| server.process().id())
    }

    /// The processors of the server's shards; none when it was not started here.
    pub fn server_cpus(&self) -> &[usize] {
        &self.server_cpus
    }

    /// The processors of the client's shards.
    pub fn client_cpus(&self) -> &[usize] {
        &self.client_cpus
    }

    /// The counters of the calling node.
    pub fn metrics(&self) -> &Metrics {
        self.client.metrics()
    }

    /// Makes one call, to find out at once whether the service answers it. A target has answered one before.
    ///
    /// # Errors
    /// [`PairError::FirstCall`].
    pub fn call_once(&self, payload: &Payload) -> Result<(), PairError> {
        let Running::Node(called) = &self.called else {
            return Ok(());
        };
        let (node, address, payload) = (called.node.clone(), called.address.clone(), payload.clone());
        let answer = self.client.block_on(move |caller| async move {
            let call = caller.node(node).call_payload(address, Ok(payload));
            call.timeout(FIRST_CALL_TIME_MAX).await
        })?;
        answer.map(drop).map_err(|error| PairError::FirstCall {
            called: self.called(),
            error,
        })
    }

    /// Makes calls and measures them; `observe` is called with the running load about twenty times a second.
    ///
    /// # Errors
    /// [`PairError`].
    pub fn measure(
        &mut self,
        calls: Calls,
        observe: impl FnMut(&RunningLoad),
    ) -> Result<LoadResult, PairError> {
        let server_process = self.server_process();
        let mut running = match &self.called {
            Running::Node(called) => Load {
                node: called.node.clone(),
                address: called.address.clone(),
                payload: calls.payload,
                size: calls.size,
                model: calls.model,
                in_flight: calls.in_flight,
                keys: calls.keys,
                warm_up: calls.warm_up,
                duration: calls.duration,
                server_process,
            }
            .start(&self.client)?,
            Running::Target(target) => TargetLoad {
                target: target.clone(),
                connections: self.connections,
                model: calls.model,
                in_flight: calls.in_flight,
                warm_up: calls.warm_up,
                duration: calls.duration,
            }
            .start(&self.client)?,
        };
        running
            .wait_or_interrupt(&self.interrupt, observe)?
            .ok_or(PairError::Interrupted)
    }

    /// Makes the same calls for a short while, and counts what each costs beside time. Figures of speed are not taken from
    /// these calls, because counting slows them down.
    ///
    /// # Errors
    /// [`PairError`].
    pub fn count_costs(&mut self, calls: Calls) -> Result<CallCosts, PairError> {
        let mut counter = CostCounter::open(
            self.server_process(),
            COSTS_WARM_UP,
            COSTS_WARM_UP + COSTS_TIME * 3 / 4,
        );
        let calls = Calls {
            warm_up: COSTS_WARM_UP,
            duration: COSTS_TIME,
            ..calls
        };
        self.measure(calls, |running| counter.observe(running.calls()))?;
        Ok(counter.finish())
    }

    /// Ends both sides in order, and returns the last line of the server: its counters, if any is not 0.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn end(mut self) -> Result<String, PairError> {
        self.client.stop();
        let mut last_line = String::new();
        if let Some(mut server) = self.server {
            let process = server.process();
            let id = process.id();
            process.end(STOP_TIME_MAX)?;
            // It has ended, so its lines have arrived; without them the result is not wrong.
            let _ = self.supervisor.wait(STOP_TIME_MAX, |event| match &event.kind {
                EventKind::Line(line) if event.id == id => {
                    last_line.clone_from(line);
                    None
                }
                EventKind::Closed if event.id == id => Some(()),
                _ => None,
            });
        }
        Ok(last_line)
    }
}
