//! Chains of messages are loops in the engine, whatever their length: the stack stays as it is.

use std::sync::mpsc;

use skyring::{Answer, Caller, Handle};

use crate::handler::launch;
use crate::node::{TIMEOUT, run};
use crate::start::start;

/// Three services that pass a number around, each taking one from it, until it is 0.
async fn launch_ring(caller: &Caller, ended: mpsc::Sender<()>) -> Handle {
    let mut ring = Vec::new();
    for _ in 0..3 {
        let ended = ended.clone();
        let mut next = Handle::NONE;
        let service = launch(caller, move |caller, message| {
            match message.unpack::<(&str, i64)>() {
                Ok(("NEXT", handle)) => next = Handle(handle as u32),
                Ok((_, 0)) => ended.send(()).expect("the test listens"),
                Ok((word, left)) => caller.send(next, &(word, left - 1)).expect("the ring is closed"),
                Err(error) => return Answer::error(error),
            }
            Answer::now(&())
        })
        .await;
        ring.push(service);
    }
    for (index, &service) in ring.iter().enumerate() {
        let next = ring[(index + 1) % ring.len()];
        caller
            .call(service, &("NEXT", next.0))
            .await
            .expect("it knows its next");
    }
    ring[0]
}

fn a_ring_ends(threads: usize, length: i64) {
    let node = start(threads);
    let (ended, end) = mpsc::channel();
    run(&node, move |caller| async move {
        let first = launch_ring(&caller, ended).await;
        caller.send(first, &("GO", length)).expect("a send");
    });
    end.recv_timeout(TIMEOUT).expect("the ring ends");
    assert_eq!(node.metrics().sends_dropped.get(), 0);
}

#[test]
fn a_ring_of_sends_on_one_shard_uses_no_stack() {
    a_ring_ends(1, 100_000);
}

#[test]
fn a_ring_of_sends_across_shards_ends() {
    // Each of its steps wakes a thread, which a loaded machine lets wait.
    a_ring_ends(2, 1_000);
}

#[test]
fn a_tower_of_calls_ends() {
    let node = start(1);
    run(&node, |caller| async move {
        // Each level calls the next before it answers, so all of them are open at once.
        let tower = launch(&caller, |caller, message| {
            let Ok(left) = message.unpack::<i64>() else {
                return Answer::none();
            };
            let caller = caller.clone();
            Answer::later(async move {
                match left {
                    0 => Ok(message.payload),
                    left => caller.call(caller.handle(), &(left - 1)).await,
                }
            })
        })
        .await;
        let reply = caller
            .call(tower, &20_000)
            .timeout(TIMEOUT * 2)
            .await
            .expect("the top");
        assert_eq!(reply.unpack::<i64>().expect("a number"), 0);
    });
}
