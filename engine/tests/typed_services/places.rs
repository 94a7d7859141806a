//! Clients call from everywhere.

use std::time::Duration;

use skyring::config::{Group, Policy};
use skyring::{ClusterMap, Context, Error, NodeRef};

use crate::counter::{Counter, CounterClient, Recipient, pair, serving};
use crate::start::start;
use crate::support::{open, run, serve};

#[test]
fn a_service_is_called_on_its_own_node_and_from_another_one() {
    let (db, game) = pair();
    let here = run(&db, |caller| async move {
        let counter = CounterClient::at(&caller, "@counter");
        counter.add(2).await?;
        counter.add(3).await
    });
    assert_eq!(here, Ok(5));
    let there = run(&game, |caller| async move {
        let counter = CounterClient::at(caller.node("db"), "@counter");
        counter.add(10).await?;
        counter.reset()?;
        counter.add(1).await
    });
    assert_eq!(there, Ok(1));
}

#[test]
fn a_client_can_be_kept_in_a_struct_and_cloned() {
    struct Game {
        counter: CounterClient,
    }
    let (_db, game) = pair();
    let total = run(&game, |caller| async move {
        let game = Game {
            counter: CounterClient::<NodeRef>::at(caller.node("db"), "@counter"),
        };
        let other = game.counter.clone();
        other.add(4).await?;
        game.counter.add(4).await
    });
    assert_eq!(total, Ok(8));
}

#[test]
fn a_client_calls_from_any_thread() {
    let (db, game) = pair();
    let there = CounterClient::at(game.client().node("db"), "@counter");
    let here = CounterClient::at(db.client(), "@counter");
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let there = there.clone();
            std::thread::spawn(move || {
                for _ in 0..50 {
                    there.add(1).wait().expect("an answer");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no thread panics");
    }
    assert_eq!(here.total().wait(), Ok(200));
    there.reset().expect("it is sent");
    // A send and the calls after it have the same key, and so the same channel.
    assert_eq!(there.total().wait(), Ok(0));
    here.add(7).wait().expect("an answer");
    here.reset().expect("it is sent");
    assert_eq!(here.total().wait(), Ok(0));
}

#[test]
fn a_client_calls_a_group_and_a_call_that_may_be_repeated_survives_a_member() {
    let ((first, first_address), (second, second_address)) = (serving(), serving());
    let game = start(1);
    let group = Group::new(Policy::Failover, ["db1", "db2"]).expect("a group");
    let map = ClusterMap::new()
        .with("db1", &first_address)
        .and_then(|map| map.with("db2", &second_address))
        .and_then(|map| map.with_group("db", group));
    let map = map.expect("a map");
    run(&game, |caller| async move { caller.cluster().reload(map) });
    let totals = run(&game, |caller| async move {
        let counter = CounterClient::at(caller.node("db"), "@counter");
        Ok::<_, Error>((counter.add(1).await?, counter.add(1).await?))
    });
    assert_eq!(totals, Ok((1, 2)));
    drop(first);
    let total = run(&game, |caller| async move {
        let counter = CounterClient::at(caller.node("db"), "@counter");
        counter
            .total()
            .idempotent()
            .timeout(Duration::from_secs(20))
            .await
    });
    assert_eq!(total, Ok(0));
    drop(second);
}

#[test]
fn a_key_selects_the_instance_of_a_keyed_service() {
    let node = start(2);
    let totals = run(&node, |caller| async move {
        let counters = caller.launch_keyed(|_| Counter::default()).await?;
        caller.cluster().register("counters", Some(counters))?;
        let counter = |key| CounterClient::at(caller.key(key), "@counters");
        counter(0).add(5).await?;
        counter(1).add(7).await?;
        Ok::<_, Error>((counter(2).total().await?, counter(3).total().await?))
    });
    assert_eq!(totals, Ok((5, 7)));
}

#[test]
fn a_call_has_the_deadline_that_its_caller_gives_it() {
    let (_db, game) = pair();
    let late = run(&game, |caller| async move {
        let counter = CounterClient::at(caller.node("db"), "@counter");
        let late = counter.wait().timeout(Duration::from_millis(20)).wait_for_room();
        (late.await, counter.add(1).await)
    });
    assert!(
        matches!(late, (Err(Error::Timeout { timeout_ms: 20, .. }), Ok(1))),
        "{late:?}"
    );
    let client = game.client().node("db").timeout(Duration::from_millis(20));
    let late = CounterClient::at(client, "@counter").wait().wait();
    assert!(
        matches!(late, Err(Error::Timeout { timeout_ms: 20, .. })),
        "{late:?}"
    );
}

/// Passes the calls on to the counter of another node.
struct Front;

#[skyring::service]
impl Front {
    async fn add_twice(context: &Context<Self>, number: i64) -> Result<i64, Error> {
        let counter = CounterClient::at(context.node("db"), "@counter");
        counter.add(number).await?;
        counter.add(number).await
    }

    async fn report(context: &Context<Self>, name: String) -> Result<i64, Error> {
        let counter = CounterClient::at(context.node("db"), "@counter");
        let (_, total) = counter.report(Recipient { name, copies: None }).await?;
        Ok(total)
    }
}

#[test]
fn a_typed_service_calls_another_one() {
    let (_db, game) = pair();
    serve(&game, "front", |_| Front);
    let _ = open(&game);
    let front = CounterFront(&game);
    assert_eq!(front.add_twice(4), Ok(8));
    assert_eq!(front.report("Ada"), Ok(8));
    assert_eq!(front.report("Bob"), Err(Error::remote("nobody is called Bob")));
}

/// The front of a node, from this thread.
struct CounterFront<'a>(&'a skyring::Node);

impl CounterFront<'_> {
    fn add_twice(&self, number: i64) -> Result<i64, Error> {
        FrontClient::at(self.0.client(), "@front")
            .add_twice(number)
            .wait()
    }

    fn report(&self, name: &str) -> Result<i64, Error> {
        FrontClient::at(self.0.client(), "@front")
            .report(name.to_owned())
            .wait()
    }
}
