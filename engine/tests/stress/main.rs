//! Shards lose no message and no wake-up, however many there are and however often they sleep. Alone in its
//! binary: it keeps every processor busy. `examples/stress.rs` runs the same for as long as you like.

#[path = "../common/flood.rs"]
mod flood;
#[path = "../common/start.rs"]
mod start;
#[path = "../common/together.rs"]
mod together;

use std::sync::{Mutex, MutexGuard, PoisonError};

use skyring::Node;

use flood::{bursts, flood, ping_pong};
use start::start;

/// One at a time: each wants the whole machine, and sleeps are rare on a busy one.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn assert_nothing_was_lost(node: &Node) {
    let metrics = node.metrics();
    assert_eq!(metrics.sleeps_rescued.get(), 0);
    assert_eq!(metrics.sends_dropped.get() + metrics.replies_late.get(), 0);
}

#[test]
fn ten_million_messages_between_two_shards_arrive_once_and_in_order() {
    let _alone = alone();
    let node = start(2);
    let took = flood(&node, 10_000_000).expect("every message arrives once and in order");
    println!("10,000,000 messages in {took:?}");
    assert_nothing_was_lost(&node);
}

#[test]
fn messages_between_four_shards_arrive_once_and_in_order() {
    let _alone = alone();
    let node = start(4);
    flood(&node, 1_000_000).expect("every message arrives once and in order");
    assert_nothing_was_lost(&node);
}

#[test]
fn no_wake_up_is_lost_between_two_shards_that_sleep_all_the_time() {
    let _alone = alone();
    let node = start(2);
    // More calls in flight mean less sleep for each, so they take about the same time.
    for in_flight in 1..=4 {
        let round_trips = 20_000 * in_flight;
        let took = ping_pong(&node, round_trips, in_flight).expect("every call is answered");
        println!("{round_trips} round trips with {in_flight} in flight in {took:?}");
    }
    assert_nothing_was_lost(&node);
}

#[test]
fn no_wake_up_is_lost_in_bursts_with_pauses() {
    let _alone = alone();
    for shards in [2, 4] {
        let node = start(shards);
        bursts(&node, 1_000).expect("every message arrives once and in order");
        assert_nothing_was_lost(&node);
    }
}
