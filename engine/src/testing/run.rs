//! One run of a scenario: its set-up, its operations, its faults, and its end.

use std::cell::Cell;
use std::future::Future;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

use super::fault::Fault;
use super::node::{Caught, LocalFuture, panic_text};
use super::random::Random;
use super::scenario::Scenario;
use super::simulation::Simulation;
use super::trace::{Detail, TraceEntry};
use super::world::{Step, Violation, World};
use crate::error::Error;
use crate::rt::manual;
use crate::service::caller::Caller;

/// How long a final check may take, in virtual time.
const FINAL_TIME_MAX: Duration = Duration::from_secs(120);

/// An operation: something that a client of the services does.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Its number, from 0.
    pub number: usize,
    /// Random numbers of its own.
    pub random: Random,
}

type OperationWork = Rc<dyn Fn(Caller, Operation) -> LocalFuture<()>>;

/// Operations of one kind.
struct Operations {
    node: String,
    count: usize,
    work: OperationWork,
}

type FinalWork = Box<dyn FnOnce(Caller) -> LocalFuture<Result<(), String>>>;

/// A check at the end.
struct Final {
    what: String,
    node: String,
    work: FinalWork,
}

/// One run of a scenario, while it is set up: a [`Simulation`], and what happens on it.
pub struct Run {
    simulation: Simulation,
    random: Random,
    operations: Vec<Operations>,
    finals: Vec<Final>,
}

impl Deref for Run {
    type Target = Simulation;

    fn deref(&self) -> &Simulation {
        &self.simulation
    }
}

impl Run {
    /// Random numbers for the set-up.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Has clients at a node begin so many operations, at times that the seed decides. An operation whose node does not
    /// run then is left out; one whose node ends is dropped. A panic in one fails the run; a call that fails does not, as
    /// calls do when nodes die: look at it.
    pub fn operations<F>(&mut self, node: &str, count: usize, work: impl Fn(Caller, Operation) -> F + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        self.operations.push(Operations {
            node: node.to_owned(),
            count,
            work: Rc::new(move |caller, operation| Box::pin(work(caller, operation))),
        });
    }

    /// Has `check` hold at the end, when all nodes run again, the network is well, and time has passed. It runs as code of
    /// a service of the node, and may call others.
    pub fn finally<F>(&mut self, what: &str, node: &str, check: impl FnOnce(Caller) -> F + 'static)
    where
        F: Future<Output = Result<(), String>> + 'static,
    {
        self.finals.push(Final {
            what: what.to_owned(),
            node: node.to_owned(),
            work: Box::new(move |caller| Box::pin(check(caller))),
        });
    }
}

/// Which of the planned faults and operations a run has; those that are not mentioned it has.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    pub(super) faults: Vec<bool>,
    pub(super) operations: Vec<bool>,
}

fn is_kept(kept: &[bool], index: usize) -> bool {
    kept.get(index).copied().unwrap_or(true)
}

/// How a run went.
pub(super) struct Outcome {
    pub(super) violation: Option<Violation>,
    /// Those that were planned, kept or not.
    pub(super) faults: Vec<Fault>,
    /// How many operations were planned.
    pub(super) operations: usize,
    pub(super) fingerprint: u64,
    pub(super) steps: u64,
    /// When the set-up had ended.
    pub(super) began: Duration,
    pub(super) trace: Vec<TraceEntry>,
}

thread_local! {
    /// Panics of this thread are in the trace, and not on the standard error.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Has the panics of a run be quiet: services may panic as part of a scenario, and a printed stack takes a hundred times as
/// long as the rest. Other threads print theirs.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_QUIET.try_with(Cell::get).unwrap_or_default() {
                before(panic);
            }
        }));
    });
    IS_QUIET.set(true);
    // What panics in it is caught where it can be.
    let result = catch_unwind(AssertUnwindSafe(work));
    IS_QUIET.set(false);
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs a scenario once.
pub(super) fn run(scenario: &Scenario, seed: u64, kept: &Kept, is_traced: bool) -> Outcome {
    quietly(|| run_once(scenario, seed, kept, is_traced))
}

fn run_once(scenario: &Scenario, seed: u64, kept: &Kept, is_traced: bool) -> Outcome {
    let simulation = Simulation::new(seed);
    if is_traced {
        simulation.trace_on();
    }
    let world = Rc::clone(simulation.world());
    let random = Random::new(seed);
    let mut run = Run {
        simulation,
        random: random.stream("set-up"),
        operations: Vec::new(),
        finals: Vec::new(),
    };
    let mut outcome = Outcome {
        violation: None,
        faults: Vec::new(),
        operations: 0,
        fingerprint: 0,
        steps: 0,
        began: Duration::ZERO,
        trace: Vec::new(),
    };
    let set_up = catch_unwind(AssertUnwindSafe(|| (scenario.set_up)(&mut run)));
    match set_up
        .map_err(|panic| Error::remote(panic_text(&*panic)))
        .and_then(|it| it)
    {
        Ok(()) => execute(&mut run, scenario, &random, kept, &mut outcome),
        Err(error) => world.violated("the set-up succeeds", error.to_string()),
    }
    outcome.violation = world.violation.borrow().clone();
    outcome.fingerprint = run.simulation.fingerprint();
    outcome.steps = run.simulation.steps();
    outcome.trace = run.simulation.trace();
    // Its closures may hold the simulation's nodes.
    drop(run);
    outcome
}

fn execute(run: &mut Run, scenario: &Scenario, random: &Random, kept: &Kept, outcome: &mut Outcome) {
    let world = Rc::clone(run.simulation.world());
    let began = manual::time();
    outcome.began = began;
    let mut begins = Vec::new();
    for (kind, operations) in run.operations.iter().enumerate() {
        let index = run.simulation.index(&operations.node);
        for number in 0..operations.count {
            let mut own = random.stream(&format!("operation {kind} {number}"));
            let at = own.duration(Duration::ZERO..scenario.time);
            if is_kept(&kept.operations, begins.len()) {
                let operation = Operation { number, random: own };
                let work = Rc::clone(&operations.work);
                world.at(began + at, move |world| begin(world, index, &work, operation));
            }
            begins.push(at);
        }
    }
    outcome.operations = begins.len();
    let nodes: Vec<String> = {
        let nodes = world.nodes.borrow();
        nodes.iter().map(|node| node.name.to_string()).collect()
    };
    outcome.faults = scenario
        .faults
        .plan(&mut random.stream("faults"), &nodes, scenario.time, &begins);
    for (index, fault) in outcome.faults.iter().enumerate() {
        if is_kept(&kept.faults, index) {
            let fault = fault.clone();
            world.at(began + fault.at, move |world| fault.inject(world));
        }
    }
    if !pass(&world, began + scenario.time) {
        return;
    }
    world.note(Detail::Events, "", || "the faults end".to_owned());
    world.mend();
    if !pass(&world, began + scenario.time + scenario.settle_time) {
        return;
    }
    // A node may have been stopped as the faults ended.
    world.mend();
    for check in std::mem::take(&mut run.finals) {
        let index = run.simulation.index(&check.node);
        let Some(place) = world
            .node(index)
            .life
            .borrow()
            .as_ref()
            .map(|life| life.shards[0].place)
        else {
            world.violated(&check.what, format!("{} does not run", check.node));
            return;
        };
        let caller = run.simulation.get(&check.node).caller();
        let future = manual::within(place, || Caught(Box::pin((check.work)(caller))));
        let checked = run.simulation.wait(index, FINAL_TIME_MAX, future);
        let why = match checked {
            Some(Ok(Ok(()))) => None,
            Some(Ok(Err(why))) => Some(why),
            Some(Err(panic)) => Some(format!("the check panicked: {panic}")),
            None => Some(format!("the check did not end within {FINAL_TIME_MAX:?}")),
        };
        if let Some(why) = why {
            world.violated(&check.what, why);
        }
        if world.violation.borrow().is_some() {
            return;
        }
    }
}

/// Lets time pass; false when something was violated.
fn pass(world: &Rc<World>, until: Duration) -> bool {
    while world.step(until) == Step::Moved {
        if world.violation.borrow().is_some() {
            return false;
        }
    }
    world.violation.borrow().is_none()
}

/// Begins an operation.
fn begin(world: &Rc<World>, index: usize, work: &OperationWork, operation: Operation) {
    let node = world.node(index);
    let (place, tester) = {
        let life = node.life.borrow();
        let Some(life) = &*life else { return };
        if !matches!(&*life.started.borrow(), Some(Ok(()))) {
            return;
        }
        (life.shards[0].place, life.tester.clone())
    };
    let number = operation.number;
    world.note(Detail::Events, &node.name, || {
        format!("operation {number} begins")
    });
    manual::within(place, || {
        let future = Caught(Box::pin(work(tester.clone(), operation)));
        let (world, name) = (Rc::downgrade(world), node.name.to_string());
        tester.spawn(async move {
            let ended = future.await;
            let Some(world) = world.upgrade() else { return };
            match ended {
                Ok(()) => world.note(Detail::Events, &name, || format!("operation {number} has ended")),
                Err(panic) => world.violated(&format!("operation {number} at {name}"), panic),
            }
        });
    });
}
