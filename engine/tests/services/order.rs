//! Messages of one caller arrive in the order in which they were sent.

use std::time::Duration;

use skyring::placement::shard_of_handle;
use skyring::{Answer, Caller, Handle};

use crate::handler::launch;
use crate::node::{TIMEOUT, run};
use crate::recorder::Record;
use crate::start::start;
use crate::together::all;

/// Sends 0..count, every tenth as a call whose answer is not waited for at once, and some after a pause.
async fn send_numbers(caller: Caller, to: Handle, count: i64) {
    for number in 0..count {
        match number % 10 {
            3 => {
                let caller_of_task = caller.clone();
                let mut call = Box::pin(caller_of_task.call(to, &number).timeout(TIMEOUT));
                // Polled once here, so that it leaves now; its answer is taken elsewhere.
                let sent = std::future::poll_fn(|context| {
                    std::task::Poll::Ready(call.as_mut().poll(context).is_ready())
                })
                .await;
                if !sent {
                    caller.spawn(async move {
                        call.await.expect("each call is answered");
                    });
                }
            }
            _ => caller.send(to, &number).expect("a send"),
        }
        if number % 1_000 == 999 {
            caller.sleep(Duration::from_micros(500)).await;
        }
    }
}

#[test]
fn a_callers_order_is_kept_on_its_shard_and_across_shards() {
    const COUNT: i64 = 5_000;
    let node = start(4);
    run(&node, |caller| async move {
        // Each sender has a record of its own; with twelve pairs some share a shard and most do not.
        let mut pairs = Vec::new();
        for _ in 0..12 {
            let record = Record::default();
            let recorder = record.launch(&caller).await;
            let sender = launch(&caller, move |caller, _| {
                let caller = caller.clone();
                Answer::later(async move {
                    send_numbers(caller.clone(), recorder, COUNT).await;
                    caller.call(recorder, &COUNT).await
                })
            })
            .await;
            pairs.push((record, sender));
        }
        let calls = pairs
            .iter()
            .map(|(_, sender)| caller.call(*sender, &()).timeout(TIMEOUT));
        for outcome in all(&caller, calls).await {
            outcome.expect("every sender ends");
        }
        for (record, _) in pairs {
            assert_eq!(record.numbers(), (0..=COUNT).collect::<Vec<i64>>());
        }
    });
}

#[test]
fn a_callers_order_is_kept_when_the_other_shard_is_far_behind() {
    // As many as one shard accepts from another before it must wait, and some more, which stay with their sender.
    const FIRST: i64 = 60_000;
    const ALL: i64 = 110_000;
    let node = start(2);
    let record = Record::default();
    run(&node, {
        let record = record.clone();
        |caller| async move {
            let elsewhere = |handle| shard_of_handle(handle, 2) != caller.shard_index();
            let recorder = loop {
                let recorder = record.launch(&caller).await;
                if elsewhere(recorder) {
                    break recorder;
                }
            };
            let blocker = loop {
                let blocker = launch(&caller, |_, _| {
                    std::thread::sleep(Duration::from_millis(700));
                    Answer::none()
                })
                .await;
                if elsewhere(blocker) {
                    break blocker;
                }
            };
            caller.send(blocker, &()).expect("a send");
            caller.sleep(Duration::from_millis(50)).await;
            for number in 0..ALL {
                caller.send(recorder, &number).expect("a send");
                if number == FIRST {
                    // They are handed over meanwhile.
                    caller.sleep(Duration::from_millis(50)).await;
                }
            }
            let reply = caller.call(recorder, &ALL).timeout(TIMEOUT).await;
            reply.expect("the other shard goes on");
        }
    });
    assert_eq!(node.metrics().sends_dropped.get(), 0);
    assert_eq!(record.numbers(), (0..=ALL).collect::<Vec<i64>>());
}
