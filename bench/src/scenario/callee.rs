//! The operations of a scenario as what a load calls.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use skyring::{Address, Caller, Error, NodeRef, Payload};

use super::check::Scenario;
use super::cluster::ADDRESS;
use super::file::OperationKind;
use super::sequence::Operation;
use super::stats::Stats;
use crate::load::{Callee, LoadModel};

/// The operations of one shard's callers in one phase.
pub(super) struct ScenarioCallee {
    scenario: Arc<Scenario>,
    phase: usize,
    nodes: Vec<NodeRef>,
    address: Address,
    shard: u64,
    shards: u64,
    /// How many callers the shard has in a closed loop.
    callers: u64,
    is_closed: bool,
    stats: RefCell<Stats>,
    /// Where the counts go when the phase is over.
    merged: Arc<Mutex<Stats>>,
}

/// The next operation of a caller, or the only one of a call by the timetable.
pub(super) struct Path {
    number: Cell<u64>,
    operation: RefCell<Operation>,
}

impl ScenarioCallee {
    pub(super) fn new(
        caller: &Caller,
        scenario: &Arc<Scenario>,
        phase: usize,
        merged: &Arc<Mutex<Stats>>,
    ) -> ScenarioCallee {
        let (shard, shards) = (caller.shard_index(), caller.shards());
        let plan = scenario.phases.get(phase);
        let in_flight = plan.map_or(1, |plan| plan.in_flight);
        ScenarioCallee {
            scenario: Arc::clone(scenario),
            phase,
            nodes: scenario
                .nodes
                .iter()
                .map(|node| caller.node(node.name.as_str()))
                .collect(),
            address: Address::from(ADDRESS),
            shard: shard as u64,
            shards: shards as u64,
            callers: (in_flight / shards + usize::from(shard < in_flight % shards)) as u64,
            is_closed: plan.is_some_and(|plan| plan.model == LoadModel::Closed),
            stats: RefCell::new(Stats::new(scenario.operations.len())),
            merged: Arc::clone(merged),
        }
    }

    /// The number of an operation among those of all shards.
    fn everywhere(&self, number: u64) -> u64 {
        number * self.shards + self.shard
    }
}

impl Callee for ScenarioCallee {
    type Path = Path;

    fn path(&self, number: u64, _worker: usize) -> Path {
        Path {
            number: Cell::new(number),
            operation: RefCell::new(self.scenario.operation(self.phase, self.everywhere(number))),
        }
    }

    async fn call(&self, path: &Path) -> Result<(), &'static str> {
        let number = self.everywhere(path.number.get());
        let operation = self.scenario.operation(self.phase, number);
        self.stats.borrow_mut().begin(operation.digest(number));
        let plan = self.scenario.operations.get(operation.index);
        let (Some(plan), Some(node)) = (plan, self.nodes.get(operation.node)) else {
            return Err("internal");
        };
        let node = match operation.key {
            Some(key) => node.clone().key(key),
            None => node.clone(),
        };
        let payload = Payload::pack(&"x".repeat(operation.size));
        path.operation.replace(operation);
        let code = |error: Error| error.code();
        match plan.kind {
            OperationKind::Send => {
                node.send_payload(self.address.clone(), payload.map_err(code)?);
                Ok(())
            }
            OperationKind::Call => {
                let call = node.call_payload(self.address.clone(), payload);
                call.timeout(plan.timeout).await.map(drop).map_err(code)
            }
        }
    }

    fn ended(&self, path: &Path, outcome: Result<Duration, &'static str>) -> Duration {
        let operation = path.operation.borrow();
        self.stats.borrow_mut().end(operation.index, outcome);
        if self.is_closed {
            // A caller makes every so manieth operation of its shard.
            path.number.set(path.number.get() + self.callers.max(1));
        }
        operation.think
    }

    fn finished(&self) {
        let mut merged = self.merged.lock().unwrap_or_else(PoisonError::into_inner);
        merged.add(&self.stats.borrow());
    }
}
