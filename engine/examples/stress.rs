//! Sends messages between the shards of a node and checks that none is lost, doubled or overtaken and that no
//! shard slept with work to do: `cargo run --release -p skyring --example stress -- 1000000000 [SHARDS]`.
//! Exit code 1 if anything was.

#[path = "../tests/common/flood.rs"]
mod flood;
#[path = "../tests/common/start.rs"]
mod start;
#[path = "../tests/common/together.rs"]
mod together;

use std::process::ExitCode;
use std::time::Duration;

use skyring::{Error, Node};

/// The work is done in so many parts, so that one sees it go on.
const PARTS: u64 = 10;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let messages = arguments.next().map_or(Ok(100_000_000), |text| text.parse());
    let shards = arguments.next().map_or(Ok(2), |text| text.parse());
    let (Ok(messages), Ok(shards @ 2..=64)) = (messages, shards) else {
        eprintln!("usage: stress [MESSAGES] [SHARDS], with 2 to 64 shards");
        return ExitCode::from(2);
    };
    let node = start::start(shards);
    let outcome = run(&node, messages);
    if let Err(error) = &outcome {
        eprintln!("failed: {error}");
    }
    let rescued = node.metrics().sleeps_rescued.get();
    println!("rescued sleeps: {rescued}");
    println!("counters: {}", node.metrics());
    match outcome.is_ok() && rescued == 0 {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn run(node: &Node, messages: u64) -> Result<(), Error> {
    let shards = node.threads();
    for part in 0..PARTS {
        let share = messages / PARTS + u64::from(messages % PARTS > part);
        report("messages", share, flood::flood(node, share)?);
        // Every message of a flood finds its receiver awake; of these hardly any does.
        let round_trips = share / 1_000;
        for in_flight in 1..=4 {
            let what = format!("round trips, {in_flight} in flight");
            report(
                &what,
                round_trips,
                flood::ping_pong(node, round_trips, in_flight)?,
            );
        }
        let bursts = share / 20_000;
        report("bursts", bursts * shards as u64, flood::bursts(node, bursts)?);
        let rescued = node.metrics().sleeps_rescued.get();
        println!("part {} of {PARTS}: rescued sleeps so far: {rescued}", part + 1);
    }
    Ok(())
}

fn report(what: &str, count: u64, took: Duration) {
    let rate = count as f64 / took.as_secs_f64().max(1e-9);
    println!("{count} {what} in {:.3} s: {rate:.0}/s", took.as_secs_f64());
}
