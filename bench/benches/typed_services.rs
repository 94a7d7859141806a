//! A typed service beside one that is written by hand, in interleaved pairs of windows: calls per second on the same
//! node and to another node, and the ratio of each pair.
//!
//! `cargo bench -p skyring-bench --bench typed_services`

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use skyring::log::Destination;
use skyring::typed::Place;
use skyring::{Answer, Caller, ClusterMap, Context, Error, Message, Node, Service};

/// Pairs of windows of each kind of call.
const PAIRS: usize = 40;

/// Calls in flight.
const IN_FLIGHT: usize = 64;

/// The length of a window.
const WINDOW: Duration = Duration::from_millis(250);

/// Both services count.
#[derive(Default)]
struct ByHand(i64);

impl Service for ByHand {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        match message.unpack::<(&str, i64)>() {
            Ok(("add", number)) => {
                self.0 = self.0.wrapping_add(number);
                Answer::now(&self.0)
            }
            Ok((command, _)) => Answer::error(Error::remote(format!("unknown command {command}"))),
            Err(error) => Answer::error(error),
        }
    }
}

#[derive(Default)]
struct Typed(i64);

#[skyring::service]
impl Typed {
    fn add(&mut self, number: i64) -> i64 {
        self.0 = self.0.wrapping_add(number);
        self.0
    }
}

/// Where the calls of both kinds begin.
trait Begin: Place<Call = skyring::Call> + Clone + 'static {
    fn by_hand(&self, number: i64) -> skyring::Call;
}

impl Begin for Caller {
    fn by_hand(&self, number: i64) -> skyring::Call {
        self.call("@by_hand", &("add", number))
    }
}

impl Begin for skyring::NodeRef {
    fn by_hand(&self, number: i64) -> skyring::Call {
        self.call("@by_hand", &("add", number))
    }
}

/// Calls that a task makes between two looks at the clock.
const CALLS: i64 = 16;

/// Calls per second of one window, in which each task makes `calls` again and again.
async fn window<F>(caller: &Caller, calls: impl Fn() -> F + Clone + 'static) -> f64
where
    F: Future<Output = Result<(), Error>> + 'static,
{
    let make = calls;
    let (calls, running) = (Rc::new(Cell::new(0_u64)), Rc::new(Cell::new(IN_FLIGHT)));
    let started = Instant::now();
    for _ in 0..IN_FLIGHT {
        let (make, calls, running) = (make.clone(), Rc::clone(&calls), Rc::clone(&running));
        caller.spawn(async move {
            while started.elapsed() < WINDOW {
                make().await.expect("answers");
                calls.set(calls.get() + CALLS as u64);
            }
            running.set(running.get() - 1);
        });
    }
    while running.get() > 0 {
        caller.sleep(Duration::from_millis(1)).await;
    }
    calls.get() as f64 / started.elapsed().as_secs_f64()
}

async fn pairs<P: Begin>(caller: Caller, place: P, what: &str) {
    // Both are written as a program would write them, so that neither has a future around its calls.
    let client = TypedClient::at(place.clone(), "@typed");
    let by_hand = move || {
        let place = place.clone();
        async move {
            for number in 0..CALLS {
                place.by_hand(number).await?.unpack::<i64>()?;
            }
            Ok(())
        }
    };
    let typed = move || {
        let client = client.clone();
        async move {
            for number in 0..CALLS {
                client.add(number).await?;
            }
            Ok(())
        }
    };
    let (mut rates, mut ratios) = (Vec::new(), Vec::new());
    for pair in 0..=PAIRS {
        // The order alternates, so that a drift of the machine favours neither.
        let (first, second) = if pair % 2 == 0 {
            let first = window(&caller, by_hand.clone()).await;
            (first, window(&caller, typed.clone()).await)
        } else {
            let second = window(&caller, typed.clone()).await;
            (window(&caller, by_hand.clone()).await, second)
        };
        // The first pair only warms up.
        if pair > 0 {
            rates.push(first);
            ratios.push(second / first);
        }
    }
    println!(
        "{what}: by hand {:.0} calls/s; typed / by hand {:.4} (quartiles {:.4} to {:.4}, {PAIRS} pairs)",
        quantile(&mut rates, 2),
        quantile(&mut ratios, 2),
        quantile(&mut ratios, 1),
        quantile(&mut ratios, 3),
    );
}

/// A quarter of the way, half of it, three quarters.
fn quantile(values: &mut [f64], quarters: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() * quarters / 4]
}

fn start() -> Node {
    let log = Destination::File("/dev/null".into());
    Node::builder().log_to(log).start().expect("a node starts")
}

fn main() {
    let (db, game) = (start(), start());
    let port = db
        .block_on(|caller: Caller| async move {
            let by_hand = caller.launch(|_| ByHand::default()).await?;
            let typed = caller.launch(|_| Typed::default()).await?;
            caller.cluster().register("by_hand", Some(by_hand))?;
            caller.cluster().register("typed", Some(typed))?;
            Ok::<_, Error>(caller.cluster().open(0, None).await?.port())
        })
        .expect("the node runs")
        .expect("a free port");
    db.block_on(|caller: Caller| async move {
        let place = caller.clone();
        pairs(caller, place, "the same node").await;
    })
    .expect("the node runs");
    let map = ClusterMap::new()
        .with("db", &format!("127.0.0.1:{port}"))
        .expect("a map");
    game.block_on(|caller: Caller| async move {
        caller.cluster().reload(map);
        let place = caller.node("db");
        pairs(caller, place, "another node").await;
    })
    .expect("the node runs");
}
