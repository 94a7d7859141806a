//! Several nodes, and a network that breaks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use skyring::testing::{Simulation, TestNode};
use skyring::{Caller, Context, Error, NodeState};

/// Sums numbers.
#[derive(Default)]
struct Counter {
    total: i64,
}

#[skyring::service]
impl Counter {
    fn add(&mut self, number: i64) -> i64 {
        self.total += number;
        self.total
    }

    async fn slowly(context: &Context<Self>, milliseconds: u64) -> u64 {
        context.sleep(Duration::from_millis(milliseconds)).await;
        milliseconds
    }
}

async fn start_counter(caller: Caller) -> Result<(), Error> {
    let counter = caller.launch(|_| Counter::default()).await?;
    caller.cluster().register("counter", Some(counter))
}

/// Two nodes, with a counter on the second.
fn pair(simulation: &Simulation) -> Result<(TestNode, TestNode), Error> {
    let db = simulation.node("db").threads(2).start(start_counter)?;
    let game = simulation.node("game").threads(2).start(|_| async { Ok(()) })?;
    Ok((game, db))
}

fn add(game: &TestNode, number: i64) -> Result<i64, Error> {
    game.block_on(|caller| async move {
        let counter = CounterClient::at(caller.node("db"), "@counter");
        counter.add(number).timeout(Duration::from_secs(20)).await
    })
}

fn state(game: &TestNode) -> NodeState {
    game.run(|caller| caller.cluster().state("db"))
}

#[test]
fn a_service_of_another_node_is_called_over_simulated_links() -> Result<(), Error> {
    let simulation = Simulation::new(1);
    let (game, _db) = pair(&simulation)?;
    assert_eq!(add(&game, 2)?, 2);
    assert_eq!(add(&game, 3)?, 5);
    let took = {
        let before = simulation.time();
        add(&game, 1)?;
        simulation.time() - before
    };
    assert!(took > Duration::from_micros(100), "{took:?}");
    assert!(took < Duration::from_millis(5), "{took:?}");
    Ok(())
}

#[test]
fn long_messages_go_through_the_socket_buffers() -> Result<(), Error> {
    let simulation = Simulation::new(1);
    let db = simulation.node("db").start(|_| async { Ok(()) })?;
    let game = simulation.node("game").start(|_| async { Ok(()) })?;
    let probe = db.probe("@sink")?;
    let long = "x".repeat(5 << 20);
    let sent = long.clone();
    let answered = Rc::new(Cell::new(false));
    let done = Rc::clone(&answered);
    game.spawn(|caller| async move {
        let answer = caller.node("db").call("@sink", &sent).await;
        done.set(answer.and_then(|answer| answer.unpack::<bool>()) == Ok(true));
    });
    assert!(simulation.advance_until(Duration::from_secs(10), || probe.waiting() > 0));
    let received = probe.next().expect("it has come");
    assert!(received.unpack::<&str>()? == long);
    received.answer(&true)?;
    simulation.advance(Duration::from_secs(1));
    assert!(answered.get());
    Ok(())
}

#[test]
fn a_cut_connection_is_resumed_and_calls_run_once() -> Result<(), Error> {
    let simulation = Simulation::new(7);
    let (game, _db) = pair(&simulation)?;
    add(&game, 1)?;
    let results = Rc::new(RefCell::new(Vec::new()));
    for number in 0..20 {
        let results = Rc::clone(&results);
        game.spawn(|caller| async move {
            caller.sleep(Duration::from_micros(number * 700)).await;
            let counter = CounterClient::at(caller.node("db"), "@counter");
            let result = counter.add(1).await;
            results.borrow_mut().push(result);
        });
    }
    for _ in 0..5 {
        simulation.advance(Duration::from_millis(3));
        simulation.cut("game", "db");
    }
    simulation.half_open("game", "db");
    simulation.advance(Duration::from_secs(10));
    let results = results.borrow();
    assert_eq!(results.len(), 20);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(add(&game, 0)?, 21, "each ran once");
    Ok(())
}

#[test]
fn a_killed_node_is_found_down_and_back_again() -> Result<(), Error> {
    let simulation = Simulation::new(3);
    let (game, db) = pair(&simulation)?;
    add(&game, 5)?;
    let monitor = game.run(|caller| caller.cluster().monitor("db"))?;
    db.kill();
    assert!(!db.is_running());
    simulation.advance(Duration::from_secs(20));
    assert_eq!(state(&game), NodeState::Down);
    assert_eq!(add(&game, 1).expect_err("it is down").code(), "unreachable");
    db.start_again();
    simulation.advance(Duration::from_secs(5));
    assert_eq!(state(&game), NodeState::Up);
    assert_eq!(add(&game, 1)?, 1, "its memory is gone");
    drop(monitor);
    Ok(())
}

#[test]
fn a_machine_that_is_switched_off_says_nothing() -> Result<(), Error> {
    let simulation = Simulation::new(3);
    let (game, db) = pair(&simulation)?;
    add(&game, 5)?;
    db.switch_off();
    simulation.advance(Duration::from_secs(1));
    assert_eq!(state(&game), NodeState::Up, "nobody knows yet");
    simulation.advance(Duration::from_secs(60));
    assert_eq!(state(&game), NodeState::Down);
    db.start_again();
    simulation.advance(Duration::from_secs(10));
    assert_eq!(add(&game, 1)?, 1);
    Ok(())
}

#[test]
fn a_stopped_node_finishes_the_calls_of_its_peers() -> Result<(), Error> {
    let simulation = Simulation::new(5);
    let (game, db) = pair(&simulation)?;
    let answer = Rc::new(RefCell::new(None));
    let result = Rc::clone(&answer);
    game.spawn(|caller| async move {
        let counter = CounterClient::at(caller.node("db"), "@counter");
        let answer = counter.slowly(400).await;
        *result.borrow_mut() = Some(answer);
    });
    simulation.advance(Duration::from_millis(100));
    db.stop();
    simulation.advance(Duration::from_millis(100));
    assert_eq!(state(&game), NodeState::Down, "it has said goodbye");
    assert!(db.is_running());
    simulation.advance(Duration::from_secs(5));
    assert!(!db.is_running());
    assert_eq!(*answer.borrow(), Some(Ok(400)));
    Ok(())
}

#[test]
fn a_paused_node_answers_late_and_its_clock_has_gone_on() -> Result<(), Error> {
    let simulation = Simulation::new(5);
    let (game, db) = pair(&simulation)?;
    add(&game, 1)?;
    db.pause(Duration::from_secs(1));
    let before = simulation.time();
    add(&game, 1)?;
    assert!(simulation.time() - before >= Duration::from_secs(1));
    Ok(())
}

#[test]
fn a_clock_that_runs_slowly_makes_timeouts_longer() -> Result<(), Error> {
    let simulation = Simulation::new(5);
    let node = simulation.node("slow").start(|_| async { Ok(()) })?;
    node.set_clock_rate(500_000);
    let before = simulation.time();
    node.block_on(|caller| caller.sleep(Duration::from_secs(1)));
    let took = simulation.time() - before;
    assert!(
        took >= Duration::from_secs(2) && took < Duration::from_millis(2_010),
        "{took:?}"
    );
    Ok(())
}

#[test]
fn delays_and_stalls_hold_messages_back() -> Result<(), Error> {
    let simulation = Simulation::new(5);
    let (game, _db) = pair(&simulation)?;
    add(&game, 1)?;
    let time_of = |work: &dyn Fn()| {
        let before = simulation.time();
        work();
        simulation.time() - before
    };
    simulation.delay("game", "db", Duration::from_millis(100), Duration::from_secs(10));
    assert!(time_of(&|| drop(add(&game, 1))) >= Duration::from_millis(200));
    simulation.heal();
    assert!(time_of(&|| drop(add(&game, 1))) < Duration::from_millis(50));
    simulation.silence("db", "game", Duration::from_secs(1));
    assert!(time_of(&|| drop(add(&game, 1))) >= Duration::from_millis(990));
    Ok(())
}

#[test]
fn a_start_that_fails_is_repeated_after_a_restart() -> Result<(), Error> {
    let simulation = Simulation::new(5);
    let starts = Rc::new(Cell::new(0));
    let count = Rc::clone(&starts);
    let node = simulation.node("db").start(move |_| {
        count.set(count.get() + 1);
        let result = match count.get() {
            2 => Err(Error::remote("the disk is not there yet")),
            _ => Ok(()),
        };
        async move { result }
    })?;
    node.kill();
    node.start_again();
    simulation.advance(Duration::from_secs(2));
    assert!(node.is_running());
    assert_eq!(starts.get(), 3);
    let failed = simulation
        .node("other")
        .start(|_| async { Err(Error::remote("never")) });
    assert_eq!(failed.err(), Some(Error::remote("never")));
    Ok(())
}
