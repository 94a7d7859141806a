//! Handles are spread over the shards by the published rule, and any shard reaches any other.

use std::collections::BTreeSet;

use skyring::placement::shard_of_handle;
use skyring::{Answer, Caller, Handle};

use crate::handler::launch;
use crate::node::{TIMEOUT, run};
use crate::start::start;
use crate::together::all;

/// Answers with its shard; called with a handle, it calls that service.
async fn launch_relay(caller: &Caller) -> Handle {
    launch(caller, |caller, message| match message.unpack::<Option<u32>>() {
        Ok(Some(handle)) => {
            let call = caller.call(Handle(handle), &None::<u32>).timeout(TIMEOUT);
            Answer::later(call)
        }
        _ => Answer::now(&caller.shard_index()),
    })
    .await
}

fn every_shard_reaches_every_shard(shards: usize) {
    let node = start(shards);
    assert_eq!(node.threads(), shards);
    run(&node, move |caller| async move {
        assert_eq!(caller.shards(), shards);
        let mut relays: Vec<Handle> = Vec::new();
        let mut covered = BTreeSet::new();
        // Handles in sequence cover so few shards soon; 64 for each is far more than it takes.
        for _ in 0..shards * 64 {
            if covered.len() == shards {
                break;
            }
            let relay = launch_relay(&caller).await;
            if covered.insert(shard_of_handle(relay, shards)) {
                relays.push(relay);
            }
        }
        assert_eq!(covered, (0..shards).collect());
        let mut calls = Vec::new();
        for &from in &relays {
            for &to in &relays {
                let call = caller.call(from, &Some(to.0)).timeout(TIMEOUT);
                calls.push(async move { (to, call.await) });
            }
        }
        for (to, outcome) in all(&caller, calls).await {
            let reply = outcome.expect("every pair of shards can talk");
            assert_eq!(
                reply.unpack::<usize>().expect("a shard"),
                shard_of_handle(to, shards)
            );
        }
    });
    assert_eq!(node.metrics().sleeps_rescued.get(), 0);
}

#[test]
fn services_are_where_their_handles_hash_to_and_all_of_four_shards_talk() {
    every_shard_reaches_every_shard(4);
}

#[test]
fn more_shards_than_processors_talk_as_well() {
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
    every_shard_reaches_every_shard((processors + 1).clamp(8, 16));
}
