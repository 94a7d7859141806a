//! The two sides of a measurement: a server, which is a process of its own or runs already, and a node of this
//! process that calls it. Both are pinned, the client's shards to the processors after the server's.

use std::io;
use std::time::Duration;

use skyring::config::ConfigError;
use skyring::log::Destination;
use skyring::{Address, ClusterMap, DialectChoice, Error, Metrics, Node, Payload, StartError};
use thiserror::Error as ThisError;

use crate::cpu::allowed_cpus;
use crate::interrupt::Interrupt;
use crate::load::{Load, LoadError, LoadResult, Pace, RunningLoad};
use crate::process::Happening;
use crate::scratch::Scratch;
use crate::server::{NodePlan, Program, Server, ServerError};
use crate::watch::{Watch, WatchError};

/// The server's name in the map, and its service.
const SERVER: &str = "server";
const SERVICE: &str = "echo";

/// Time between two looks at whether the load is done or the program is to end.
const POLL: Duration = Duration::from_millis(50);

/// How long the server may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// How long the first call may take, which finds out whether there is somebody.
const FIRST_CALL_TIME_MAX: Duration = Duration::from_secs(5);

/// Why there are no figures.
#[derive(Debug, ThisError)]
pub enum PairError {
    /// A file or the system failed.
    #[error("{0}")]
    System(#[from] io::Error),
    /// The server did not come up.
    #[error("the server: {0}")]
    Server(ServerError),
    /// The calling node did not.
    #[error("the calling node: {0}")]
    Client(#[from] StartError),
    /// The calls could not be made.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The value cannot be sent.
    #[error("{0}")]
    Values(#[from] Error),
    /// An address is none.
    #[error("{0}")]
    Map(#[from] ConfigError),
    /// The first call failed.
    #[error("a call to {called}: {error}")]
    FirstCall {
        /// The node and the service.
        called: String,
        /// How.
        error: Error,
    },
    /// Somebody wants the program to end.
    #[error("interrupted")]
    Interrupted,
}

/// What both sides are like.
#[derive(Debug, Clone)]
pub struct PairPlan {
    /// Shards of each side.
    pub threads: usize,
    /// Channels between them.
    pub channels: u32,
    /// How long shards look for work before they sleep, in microseconds.
    pub spin_us: u32,
    /// What the calling node speaks.
    pub dialect: DialectChoice,
    /// What is called if it runs already; `None` = a server is started.
    pub running: Option<Running>,
    /// The kind of the one service that a server which is started here has, as configs name it.
    pub kind: &'static str,
}

/// A node that runs already.
#[derive(Debug, Clone)]
pub struct Running {
    /// The cluster map that names it.
    pub map: ClusterMap,
    /// Its name in there.
    pub node: String,
    /// The service that is called.
    pub address: Address,
    /// The same as people write it.
    pub service: String,
}

/// How a load is to be.
#[derive(Debug, Clone)]
pub struct Calls {
    /// When calls begin.
    pub pace: Pace,
    /// Calls in flight, or at most in an open loop.
    pub in_flight: usize,
    /// Different keys; 0 = none.
    pub keys: usize,
    /// What every call carries.
    pub payload: Payload,
    /// Its size, for the result.
    pub size: usize,
    /// Time that is not counted.
    pub warm_up: Duration,
    /// Time that is.
    pub duration: Duration,
}

/// Both sides, running. Dropping it ends them.
pub struct Pair {
    client: Node,
    server: Option<Server>,
    node: String,
    address: Address,
    service: String,
    interrupt: Interrupt,
    server_cpus: Vec<usize>,
    client_cpus: Vec<usize>,
    // Dropped last: the client logs in there.
    watch: Watch,
    _scratch: Scratch,
}

impl Pair {
    /// Starts the server, with `program`, and the client.
    ///
    /// # Errors
    /// [`PairError`]; then nothing is left.
    pub fn start(plan: &PairPlan, program: &Program, interrupt: &Interrupt) -> Result<Pair, PairError> {
        let scratch = Scratch::new("bench")?;
        let mut watch = Watch::new(interrupt.clone(), |_| {});
        let allowed = allowed_cpus()?;
        let cpus = |first: usize| -> Vec<usize> {
            let round = allowed.iter().copied().cycle();
            round.skip(first).take(plan.threads).collect()
        };
        let (server, map, running) = match &plan.running {
            Some(running) => (None, running.map.clone(), running.clone()),
            None => {
                let node = NodePlan {
                    name: SERVER,
                    threads: plan.threads,
                    spin_us: plan.spin_us,
                    service: (SERVICE, plan.kind),
                };
                let server = Server::start(&mut watch, program, scratch.path(), &node).map_err(started)?;
                let map = ClusterMap::new().with(SERVER, &server.address().to_string())?;
                let service = format!("@{SERVICE}");
                let running = Running {
                    map: map.clone(),
                    node: SERVER.to_owned(),
                    address: Address::from(service.as_str()),
                    service,
                };
                (Some(server), map, running)
            }
        };
        let client = Node::builder()
            .threads(plan.threads)
            .first_cpu(plan.threads)
            .spin(Duration::from_micros(u64::from(plan.spin_us)))
            .channels(plan.channels)
            .dialect(plan.dialect)
            .map(map)
            // The standard output is for the figures.
            .log_to(Destination::File(scratch.path().join("client.log")))
            .start()?;
        Ok(Pair {
            client,
            server_cpus: server.as_ref().map_or_else(Vec::new, |_| cpus(0)),
            client_cpus: cpus(plan.threads % allowed.len().max(1)),
            server,
            node: running.node,
            address: running.address,
            service: running.service,
            interrupt: interrupt.clone(),
            watch,
            _scratch: scratch,
        })
    }

    /// Whom the client calls, as people write it: the node and the service.
    pub fn called(&self) -> String {
        format!("{} {}", self.node, self.service)
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

    /// Makes one call, to learn at once that nobody is there or that the service wants something else.
    ///
    /// # Errors
    /// [`PairError::FirstCall`].
    pub fn call_once(&self, payload: &Payload) -> Result<(), PairError> {
        let (node, address, payload) = (self.node.clone(), self.address.clone(), payload.clone());
        let answer = self.client.block_on(move |caller| async move {
            let call = caller.node(node).call_payload(address, Ok(payload));
            call.timeout(FIRST_CALL_TIME_MAX).await
        })?;
        answer.map(drop).map_err(|error| PairError::FirstCall {
            called: self.called(),
            error,
        })
    }

    /// Makes calls and measures them; `look` sees the load while it runs, about twenty times a second.
    ///
    /// # Errors
    /// [`PairError`].
    pub fn measure(
        &mut self,
        calls: Calls,
        mut look: impl FnMut(&RunningLoad),
    ) -> Result<LoadResult, PairError> {
        let load = Load {
            node: self.node.clone(),
            address: self.address.clone(),
            payload: calls.payload,
            size: calls.size,
            pace: calls.pace,
            in_flight: calls.in_flight,
            keys: calls.keys,
            warm_up: calls.warm_up,
            duration: calls.duration,
            server_process: self.server_process(),
        };
        let mut running = load.start(&self.client)?;
        loop {
            if let Some(result) = running.wait(POLL)? {
                return Ok(result);
            }
            look(&running);
            if self.interrupt.requested() {
                return Err(PairError::Interrupted);
            }
        }
    }

    /// Ends both sides in order, and gives what the server said last: its counters, if any is not 0.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn end(mut self) -> Result<String, PairError> {
        self.client.stop();
        let mut said = String::new();
        if let Some(mut server) = self.server {
            let process = server.process();
            let id = process.id();
            process.end(STOP_TIME_MAX)?;
            // It has ended, so what it said is here already; if not, nobody needs it that much.
            let _ = self.watch.wait(STOP_TIME_MAX, |event| match &event.happening {
                Happening::Line(line) if event.id == id => {
                    said.clone_from(line);
                    None
                }
                Happening::Closed if event.id == id => Some(()),
                _ => None,
            });
        }
        Ok(said)
    }
}

fn started(error: ServerError) -> PairError {
    match error {
        ServerError::Waited {
            error: WatchError::Interrupted,
            ..
        } => PairError::Interrupted,
        error => PairError::Server(error),
    }
}
