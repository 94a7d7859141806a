//! One node of a simulation: the production shards of a process, each at a place of the manual runtime.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use super::network::{Ending, Network};
use super::random::Random;
use super::world::World;
use crate::api::node_service::NodeService;
use crate::config::ClusterMap;
use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::injector::Injector;
use crate::error::{Error, Text};
use crate::log::{Captured, Logger};
use crate::node::NodeBuilder;
use crate::rt::manual::{self, PlaceId};
use crate::rt::{self, Runtime};
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::context::Context;
use crate::service::launch::launch_here;
use crate::service::message::{Answer, Message};
use crate::shard::{Parts, Shard, tasks};
use crate::socket::SocketShard;

/// Microseconds that a clock counts in a second when it is right.
pub(super) const CLOCK_RATE: u32 = 1_000_000;

/// Work of a test on a node.
pub(super) type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// How a node is started, each time.
pub(super) struct Setup {
    pub(super) builder: Box<dyn Fn() -> NodeBuilder>,
    pub(super) start: Box<dyn Fn(Caller) -> LocalFuture<Result<(), Error>>>,
    /// It can be reached by other nodes.
    pub(super) is_open: bool,
}

/// A node, whether its process runs or not.
pub(super) struct SimulatedNode {
    pub(super) name: Text,
    pub(super) index: usize,
    pub(super) setup: Setup,
    pub(super) life: RefCell<Option<Life>>,
    /// How many processes it has had.
    pub(super) lives: Cell<u64>,
    /// Its process does nothing until then.
    pub(super) paused_until: Cell<Duration>,
    /// Its machine is off.
    pub(super) is_off: Cell<bool>,
    pub(super) clock_rate: Cell<u32>,
}

/// A shard, and its place.
#[derive(Clone)]
pub(super) struct SimulatedShard {
    pub(super) place: PlaceId,
    pub(super) core: Rc<ShardCore<Shard>>,
    /// Until when its last pass takes.
    pub(super) busy_until: Rc<Cell<Duration>>,
}

impl SimulatedShard {
    /// The shard as its rooms see it.
    pub(super) fn as_core(&self) -> Rc<ShardCore> {
        Rc::clone(&self.core) as _
    }
}

/// One process of a node.
pub(super) struct Life {
    pub(super) number: u64,
    pub(super) parts: Arc<Parts>,
    pub(super) shards: Vec<SimulatedShard>,
    pub(super) log: Captured,
    /// The test's own service on the node.
    pub(super) tester: Caller,
    /// How the start has ended, when it has.
    pub(super) started: Rc<RefCell<Option<Result<(), Error>>>>,
}

/// The service in whose name the test calls.
struct Tester;

impl Service for Tester {
    const STOPS_AT_ONCE: bool = true;

    fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
        Answer::error(Error::remote("this service takes no messages"))
    }
}

/// A future whose panic is its output.
pub(super) struct Caught<F>(pub(super) Pin<Box<F>>);

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(context))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic_text(&*panic))),
        }
    }
}

/// The text of a panic.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no text".to_owned())
}

impl Life {
    /// Starts a process of a node.
    pub(super) fn start(world: &World, node: &SimulatedNode, map: ClusterMap) -> Life {
        let number = node.lives.replace(node.lives.get() + 1);
        let builder = (node.setup.builder)();
        let builder = match builder.own_name() {
            "" => builder.name(&node.name),
            _ => builder,
        };
        let mut random = Random::new(world.seed).stream(&format!("{} {number}", node.name));
        let (mut injectors, mut places) = (Vec::new(), Vec::new());
        for _ in 0..builder.shards() {
            // Only the kernel can refuse a doorbell, and is not asked.
            let Ok(injector) = Injector::new(Runtime::Manual) else {
                continue;
            };
            places.push(manual::add_place(
                node.clock_rate.get(),
                random.next_number(),
                injector.bell(),
            ));
            injectors.push(injector);
        }
        let (logger, log) = Logger::captured();
        let (parts, bring_up) = manual::within(places[0], || builder.assemble(map, injectors.into(), logger));
        let shards: Vec<SimulatedShard> = places
            .into_iter()
            .enumerate()
            .map(|(index, place)| {
                let core = manual::within(place, || {
                    let shard = Shard::new(index, &parts);
                    rt::spawn(tasks::run(Rc::clone(&shard)));
                    shard
                });
                SimulatedShard {
                    place,
                    core,
                    busy_until: Rc::default(),
                }
            })
            .collect();
        let own = &shards[NodeService::shard(shards.len())];
        let launched = manual::within(own.place, || NodeService::launch(&own.as_core()));
        let started: Rc<RefCell<Option<Result<(), Error>>>> = Rc::default();
        let tester = manual::within(shards[0].place, || launch_tester(&shards[0].as_core()));
        let bringing_up = {
            let (tester, started) = (tester.clone(), Rc::clone(&started));
            let start = (node.setup.start)(tester.clone());
            let (is_open, name) = (node.setup.is_open, node.name.to_string());
            async move {
                let result = async {
                    launched?;
                    bring_up(&tester).await?;
                    let panicked = |text| Err(Error::remote(format!("its start panicked: {text}")));
                    Caught(Box::pin(start)).await.unwrap_or_else(panicked)?;
                    if is_open {
                        tester.cluster().open(name.as_str(), None).await?;
                    }
                    Ok(())
                }
                .await;
                *started.borrow_mut() = Some(result);
            }
        };
        manual::within(shards[0].place, || tester.spawn(bringing_up));
        Life {
            number,
            parts,
            shards,
            log,
            tester,
            started,
        }
    }

    /// Ends the process as a kill does: nothing of it runs any more, and nothing that it still says is heard.
    pub(super) fn end(self, world: &Rc<World>, node: usize, ending: Ending) {
        world.network.end_process(world, node, self.number, ending);
        self.parts.cluster.close_listeners();
        for shard in &self.shards {
            manual::within(shard.place, || {
                let core = shard.as_core();
                core.stopping.set(true);
                core.services().end_all(&core);
                core.cluster().close(&core);
                core.room::<SocketShard>().close_all();
                core.node.injectors[core.index].close();
                core.end_external_waiters();
            });
        }
        for shard in &self.shards {
            manual::within(shard.place, || manual::remove_place(shard.place));
        }
    }
}

fn launch_tester(core: &Rc<ShardCore>) -> Caller {
    let handle: Handle = core.node.next_handle_on(0);
    let mut tester = None;
    // It cannot fail: its start does nothing.
    let _ = launch_here::<Tester>(core, handle, |context| {
        tester = Some((**context).clone());
        Tester
    });
    match tester {
        Some(tester) => tester,
        None => panic!("the test's service was not made"),
    }
}

/// The map of the nodes with these names.
pub(super) fn map_of<'a>(nodes: impl IntoIterator<Item = (usize, &'a str)>) -> ClusterMap {
    let mut map = ClusterMap::new();
    for (index, name) in nodes {
        let address = Network::address(index).to_string();
        match map.clone().with(name, &address) {
            Ok(with) => map = with,
            Err(error) => panic!("a node cannot be called {name}: {error}"),
        }
    }
    map
}
