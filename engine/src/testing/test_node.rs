//! A node of a simulation, as a test uses it.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use super::probe::Probe;
use super::simulation::Simulation;
use crate::config::ClusterMap;
use crate::core::handle::{Address, Handle};
use crate::core::payload::Payload;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::rt::manual::{self, PlaceId};
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::context::Context;
use skyring_codec::seri::Pack;

/// How long a future that the test waits for may take, in virtual time.
const WAIT_TIME_MAX: Duration = Duration::from_secs(24 * 3_600);

/// A node of a [`Simulation`]: [`new`](Self::new) makes one by itself, [`NodeSetup::start`](super::NodeSetup::start) one of a
/// cluster. A clone is the same node.
#[derive(Clone)]
pub struct TestNode {
    simulation: Simulation,
    index: usize,
}

impl Default for TestNode {
    fn default() -> TestNode {
        TestNode::new()
    }
}

impl TestNode {
    /// A node with one shard and without a network, for a unit test of a service.
    ///
    /// # Panics
    /// When this thread has a simulation already.
    pub fn new() -> TestNode {
        TestNode::with_threads(1)
    }

    /// The same with several shards.
    ///
    /// # Panics
    /// When this thread has a simulation already.
    pub fn with_threads(threads: usize) -> TestNode {
        let simulation = Simulation::new(0);
        let setup = simulation.node("test").threads(threads).closed();
        match setup.start(|_| async { Ok(()) }) {
            Ok(node) => node,
            Err(error) => panic!("a node without services does not start: {error}"),
        }
    }

    pub(super) fn of(simulation: &Simulation, index: usize) -> TestNode {
        TestNode {
            simulation: simulation.clone(),
            index,
        }
    }

    pub(super) fn life_started(&self) -> Rc<RefCell<Option<Result<(), Error>>>> {
        let node = self.simulation.world().node(self.index);
        let life = node.life.borrow();
        life.as_ref()
            .map(|life| Rc::clone(&life.started))
            .unwrap_or_default()
    }

    /// The simulation that it is a node of.
    pub fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.simulation.world().name_of(self.index)
    }

    /// The operations of the test's own service, on the node's first shard.
    ///
    /// # Panics
    /// When the node does not run.
    pub(super) fn caller(&self) -> Caller {
        self.first().1
    }

    /// The place of the first shard, and the test's own service on it.
    fn first(&self) -> (PlaceId, Caller) {
        let node = self.simulation.world().node(self.index);
        let life = node.life.borrow();
        match &*life {
            Some(life) => (life.shards[0].place, life.tester.clone()),
            None => panic!("node {} does not run", node.name),
        }
    }

    /// Runs a future as code of a service of the node, on its first shard, and lets the virtual time pass that it takes.
    /// In its shape it is [`Node::block_on`](crate::Node::block_on).
    ///
    /// # Panics
    /// When the node does not run or its process ends first, when it takes a day of virtual time, and when an invariant is
    /// violated.
    pub fn block_on<T, F: Future<Output = T>>(&self, work: impl FnOnce(Caller) -> F) -> T {
        let (place, caller) = self.first();
        let future = manual::within(place, || work(caller));
        let waited = self.simulation.wait(self.index, WAIT_TIME_MAX, future);
        self.simulation.check();
        match waited {
            Some(value) => value,
            None => panic!(
                "what the test waits for has not come: node {} has ended, or a day has passed",
                self.name()
            ),
        }
    }

    /// Runs a future beside the test, as code of a service of the node, on its first shard. It goes on as time passes, and
    /// is dropped when the node's process ends.
    ///
    /// # Panics
    /// When the node does not run.
    pub fn spawn<F: Future<Output = ()> + 'static>(&self, work: impl FnOnce(Caller) -> F) {
        let (place, caller) = self.first();
        manual::within(place, || caller.spawn(work(caller.clone())));
    }

    /// Runs code as a service of the node does, on its first shard, without waiting for anything.
    ///
    /// # Panics
    /// When the node does not run.
    pub fn run<T>(&self, work: impl FnOnce(&Caller) -> T) -> T {
        let (place, caller) = self.first();
        manual::within(place, || work(&caller))
    }

    /// Launches a service on the shard that its handle hashes to.
    ///
    /// # Errors
    /// The error that its [`Service::start`] returns.
    pub fn launch<S, M>(&self, make: M) -> Result<Handle, Error>
    where
        S: Service,
        M: FnOnce(&Context<S>) -> S + Send + 'static,
    {
        self.block_on(|caller| async move { caller.launch(make).await })
    }

    /// Calls a service, and waits for the answer.
    ///
    /// # Errors
    /// Those of [`Caller::call`].
    pub fn call<T: Pack + ?Sized>(&self, address: impl Into<Address>, values: &T) -> Result<Payload, Error> {
        self.block_on(|caller| caller.call(address, values))
    }

    /// Sends a message to a service.
    ///
    /// # Errors
    /// Those of [`Caller::send`].
    pub fn send<T: Pack + ?Sized>(&self, address: impl Into<Address>, values: &T) -> Result<(), Error> {
        self.run(|caller| caller.send(address, values))
    }

    /// A service that notes what it gets, with this name: `.name`, or `@name` for other nodes. What the test does not
    /// answer waits.
    ///
    /// # Errors
    /// [`Error::Invalid`] when another service has the name.
    pub fn probe(&self, name: &str) -> Result<Probe, Error> {
        Probe::launch(self, name)
    }

    /// Lets virtual time pass, with all that happens in it.
    ///
    /// # Panics
    /// When an invariant is violated.
    pub fn advance(&self, time: Duration) {
        self.simulation.advance(time);
    }

    /// Whether its process runs.
    pub fn is_running(&self) -> bool {
        self.simulation.world().life_of(self.index).is_some()
    }

    /// Ends its process at once, as `kill -9` does; its machine closes the connections, or resets them.
    pub fn kill(&self) {
        self.simulation.world().kill(self.index);
    }

    /// Switches its machine off: the process is gone, and the peers hear nothing.
    pub fn switch_off(&self) {
        self.simulation.world().switch_off(self.index);
    }

    /// Stops it in order, as [`Node::stop`](crate::Node::stop) does: peers are told, their calls finish, services run their
    /// `stop`. Returns at once; see [`is_running`](Self::is_running).
    pub fn stop(&self) {
        self.simulation.world().stop(self.index);
    }

    /// Starts it again, if it does not run. Returns at once: it starts as time passes.
    pub fn start_again(&self) {
        self.simulation.world().start(self.index);
    }

    /// Its process does nothing for a time, as one that is swapped out; connections stay.
    pub fn pause(&self, time: Duration) {
        self.simulation.world().pause(self.index, time);
    }

    /// Has its clock count `microseconds` in a second from now on.
    pub fn set_clock_rate(&self, microseconds: u32) {
        self.simulation.world().set_clock_rate(self.index, microseconds);
    }

    /// Merges a change into its cluster map, as [`Cluster::reload`](crate::Cluster::reload) does.
    pub fn reload(&self, map: ClusterMap) {
        self.simulation.reload(self.index, map);
    }

    /// Reads its counters, if it runs.
    pub fn metrics<T>(&self, read: impl FnOnce(&Metrics) -> T) -> Option<T> {
        let node = self.simulation.world().node(self.index);
        let life = node.life.borrow();
        life.as_ref().map(|life| read(&life.parts.node.metrics))
    }
}
