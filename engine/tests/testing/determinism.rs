//! The same seed gives the same run.

use std::time::Duration;

use skyring::testing::{Simulation, TraceEntry};
use skyring::{Answer, Caller, Context, Error, Message, Service};

struct Echo;

impl Service for Echo {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        Answer::payload(message.payload)
    }
}

async fn start(caller: Caller) -> Result<(), Error> {
    let echo = caller.launch(|_| Echo).await?;
    caller.cluster().register("echo", Some(echo))
}

/// Three nodes that call each other while connections break and processes end.
fn run(seed: u64) -> Result<(Vec<TraceEntry>, u64), Error> {
    let simulation = Simulation::new(seed);
    simulation.trace_all();
    let names = ["a", "b", "c"];
    let nodes: Vec<_> = names
        .iter()
        .map(|name| simulation.node(name).threads(2).start(start))
        .collect::<Result<_, _>>()?;
    for round in 0..10 {
        for node in nodes.iter().filter(|node| node.is_running()) {
            for (number, name) in names.into_iter().enumerate() {
                node.spawn(|caller| async move {
                    // What fails is in the trace, too.
                    let _ = caller.node(name).call("@echo", &(number as u64, "hello")).await;
                });
            }
        }
        simulation.advance(Duration::from_millis(round));
        match round {
            2 => simulation.cut("a", "b"),
            3 => simulation.half_open("b", "c"),
            4 => nodes[2].kill(),
            5 => nodes[0].stop(),
            6 => nodes[2].start_again(),
            7 => nodes[1].switch_off(),
            8 => nodes[1].start_again(),
            _ => {}
        }
    }
    simulation.advance(Duration::from_secs(20));
    Ok((simulation.trace(), simulation.fingerprint()))
}

#[test]
fn the_same_seed_gives_the_same_trace() -> Result<(), Error> {
    for seed in 0..3 {
        let (first, fingerprint) = run(seed)?;
        let (second, again) = run(seed)?;
        assert!(first.len() > 1_000, "{}", first.len());
        let differs = first.iter().zip(&second).position(|(one, other)| one != other);
        if let Some(at) = differs {
            panic!("seed {seed}: entry {at}: {} and {}", first[at], second[at]);
        }
        assert_eq!((first.len(), fingerprint), (second.len(), again));
    }
    Ok(())
}

#[test]
fn the_same_seed_gives_the_same_run_on_another_thread() {
    let run_on_thread = || {
        std::thread::spawn(|| run(4).expect("it runs").1)
            .join()
            .expect("it runs")
    };
    assert_eq!(run_on_thread(), run_on_thread());
}

#[test]
fn another_seed_gives_another_run() -> Result<(), Error> {
    assert_ne!(run(1)?.1, run(2)?.1);
    Ok(())
}
