//! Queues are bounded: what does not fit is refused or counted, and never lost in silence.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use skyring::limits::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX, WAITING_CALLS_MAX};
use skyring::placement::shard_of_handle;
use skyring::{Answer, Error, Payload};

use crate::gate::Gate;
use crate::handler::launch;
use crate::node::{TIMEOUT, run, wait_until};
use crate::recorder::Record;
use crate::start::start;
use crate::together::all;

#[test]
fn a_call_past_the_inbox_bound_is_overloaded_and_every_other_one_is_answered() {
    fill_the_inbox(false, 0);
}

#[test]
fn a_call_that_waits_for_space_is_not_refused_until_too_many_wait() {
    fill_the_inbox(true, WAITING_CALLS_MAX);
}

/// Makes more calls than may be answered later. `more`: how many of them wait for space behind the inbox.
fn fill_the_inbox(waits: bool, more: usize) {
    const EXTRA: usize = 500;
    let node = start(1);
    run(&node, move |caller| async move {
        let gate = Gate::launch(&caller, Arc::default()).await;
        let began = Arc::new(AtomicUsize::new(0));
        let service = launch(&caller, {
            let began = Arc::clone(&began);
            move |caller, _| {
                if began.fetch_add(1, Ordering::AcqRel) == 0 {
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
        let calls = (0..INBOX_MESSAGES_MAX + more + EXTRA).map(|_| {
            let call = caller.call(service, &());
            let call = if waits { call.wait_for_room() } else { call };
            let overloaded = Arc::clone(&overloaded);
            async move {
                let error = call.await.expect_err("there is no answer");
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
        assert_eq!(began.load(Ordering::Acquire), INBOX_MESSAGES_MAX + more);
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
            INBOX_MESSAGES_MAX + more
        );
    });
}

/// One handler sends far more than fits; the received messages and those counted as dropped add up.
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
                .timeout(TIMEOUT)
                .await
                .expect("the burst ends");
            // There is space again: the service continues.
            while caller.call(recorder, &-1).timeout(TIMEOUT).await.is_err() {
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

/// One handler sends more bytes than fit; the received messages and those counted as dropped add up.
fn bytes_add_up(threads: usize, other_shard: bool) {
    const MIB: usize = 1 << 20;
    const SENT: usize = INBOX_BYTES_MAX / MIB + 20;
    let node = start(threads);
    let taken = Arc::new(AtomicUsize::new(0));
    run(&node, {
        let taken = Arc::clone(&taken);
        move |caller| async move {
            let (sender, _) = loop {
                let taken = Arc::clone(&taken);
                let sink = launch(&caller, move |_, _| {
                    taken.fetch_add(1, Ordering::AcqRel);
                    Answer::none()
                })
                .await;
                let sender = launch(&caller, move |caller, _| {
                    let filler = Payload(Bytes::from(vec![0; MIB]));
                    for _ in 0..SENT {
                        caller.send_payload(sink, filler.clone()).expect("a send");
                    }
                    Answer::now(&())
                })
                .await;
                let shards = caller.shards();
                if (shard_of_handle(sink, shards) != shard_of_handle(sender, shards)) == other_shard {
                    break (sender, sink);
                }
            };
            let sent = caller.call(sender, &()).timeout(TIMEOUT).await;
            sent.expect("the burst ends");
        }
    });
    wait_until("every message is either there or counted", || {
        taken.load(Ordering::Acquire) + node.metrics().sends_dropped.get() as usize == SENT
    });
    assert_eq!(taken.load(Ordering::Acquire), INBOX_BYTES_MAX / MIB);
}

#[test]
fn an_inbox_is_bounded_in_bytes_too() {
    bytes_add_up(1, false);
}

#[test]
fn what_waits_for_another_shard_is_bounded_in_bytes_too() {
    bytes_add_up(2, true);
}
