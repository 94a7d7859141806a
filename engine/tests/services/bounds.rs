//! Queues are bounded: what does not fit is refused or counted, and never lost in silence.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use skyring::limits::INBOX_MESSAGES_MAX;
use skyring::placement::shard_of_handle;
use skyring::{Answer, Error};

use crate::gate::Gate;
use crate::handler::launch;
use crate::node::{PATIENCE, run, wait_until};
use crate::recorder::Record;
use crate::start::start;
use crate::together::all;

#[test]
fn a_call_past_the_inbox_bound_is_overloaded_and_every_other_one_is_answered() {
    const EXTRA: usize = 500;
    let node = start(1);
    run(&node, |caller| async move {
        let gate = Gate::launch(&caller, Arc::default()).await;
        let begun = Arc::new(AtomicUsize::new(0));
        let service = launch(&caller, {
            let begun = Arc::clone(&begun);
            move |caller, _| {
                if begun.fetch_add(1, Ordering::AcqRel) == 0 {
                    let caller = caller.clone();
                    caller.clone().spawn(async move {
                        caller.call(gate, "WAIT").await.expect("the gate opens");
                        caller.exit();
                    });
                }
                // Never answers of itself, so each message keeps its place in the inbox.
                Answer::later(std::future::pending())
            }
        })
        .await;
        let overloaded = Arc::new(AtomicUsize::new(0));
        let calls = (0..INBOX_MESSAGES_MAX + EXTRA).map(|_| {
            let (call, overloaded) = (caller.call(service, &()), Arc::clone(&overloaded));
            async move {
                let error = call.await.unwrap_err();
                overloaded.fetch_add(usize::from(error.code() == "overloaded"), Ordering::AcqRel);
                error
            }
        });
        caller.spawn({
            let (caller, overloaded) = (caller.clone(), Arc::clone(&overloaded));
            async move {
                while overloaded.load(Ordering::Acquire) < EXTRA {
                    caller.sleep(Duration::from_millis(5)).await;
                }
                caller.send(gate, "OPEN").expect("a send");
            }
        });
        let errors = all(&caller, calls).await;
        assert_eq!(begun.load(Ordering::Acquire), INBOX_MESSAGES_MAX);
        let refused: Vec<&Error> = errors
            .iter()
            .filter(|error| error.code() == "overloaded")
            .collect();
        assert_eq!(refused.len(), EXTRA);
        assert!(
            refused
                .iter()
                .all(|error| error.to_string().contains(&service.to_string()))
        );
        assert!(refused.iter().all(|error| !error.may_have_run()));
        let ended = Error::remote("the service ended before it answered");
        assert_eq!(
            errors.iter().filter(|error| **error == ended).count(),
            INBOX_MESSAGES_MAX
        );
    });
}

/// One handler sends far more than fits; what the receiver gets and what is counted as dropped add up.
fn sends_add_up(threads: usize, other_shard: bool) {
    const SENT: usize = INBOX_MESSAGES_MAX + 5_000;
    let node = start(threads);
    let record = Record::default();
    run(&node, {
        let record = record.clone();
        move |caller| async move {
            let (sender, recorder) = loop {
                let recorder = record.launch(&caller).await;
                let sender = launch(&caller, move |caller, _| {
                    for number in 0..SENT as i64 {
                        caller.send(recorder, &number).expect("a send");
                    }
                    Answer::now(&())
                })
                .await;
                let shards = caller.shards();
                if (shard_of_handle(recorder, shards) != shard_of_handle(sender, shards)) == other_shard {
                    break (sender, recorder);
                }
            };
            caller
                .call(sender, &())
                .timeout(PATIENCE)
                .await
                .expect("the burst ends");
            // Room again: the service goes on as before.
            while caller.call(recorder, &-1).timeout(PATIENCE).await.is_err() {
                caller.sleep(Duration::from_millis(5)).await;
            }
        }
    });
    wait_until("every message is either there or counted", || {
        let numbers = record.numbers().iter().filter(|number| **number >= 0).count();
        numbers + node.metrics().sends_dropped.get() as usize == SENT
    });
    let numbers: Vec<i64> = record
        .numbers()
        .into_iter()
        .filter(|number| *number >= 0)
        .collect();
    assert!(numbers.len() >= INBOX_MESSAGES_MAX, "{}", numbers.len());
    assert!(numbers.is_sorted(), "what fits keeps its order");
    assert!(node.metrics().sends_dropped.get() > 0, "the bound was reached");
}

#[test]
fn sends_past_the_inbox_bound_are_counted() {
    sends_add_up(1, false);
}

#[test]
fn sends_past_the_bound_between_two_shards_are_counted() {
    sends_add_up(2, true);
}
