//! A call ends at its deadline, and its message is dropped if it was not handled yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use skyring::{Answer, Error};

use crate::gate::Gate;
use crate::handler::launch;
use crate::node::{TIMEOUT, run, wait_until};
use crate::recorder::Record;
use crate::start::start;
use crate::together::all;

#[test]
fn a_local_call_ends_at_its_deadline_and_its_late_answer_is_dropped() {
    for threads in [1, 3] {
        let node = start(threads);
        let waiting = Arc::new(AtomicUsize::new(0));
        run(&node, {
            let waiting = Arc::clone(&waiting);
            |caller| async move {
                let gate = Gate::launch(&caller, waiting).await;
                let started = Instant::now();
                let error = caller
                    .call(gate, "WAIT")
                    .timeout(Duration::from_millis(60))
                    .await
                    .unwrap_err();
                let target = gate.to_string().into();
                let timeout_ms = 60;
                assert_eq!(error, Error::Timeout { target, timeout_ms });
                assert!(error.may_have_run());
                assert!(
                    started.elapsed() >= Duration::from_millis(50),
                    "{:?}",
                    started.elapsed()
                );
                caller
                    .call(gate, &("OPEN", "late"))
                    .await
                    .expect("the gate opens");
            }
        });
        wait_until("the late answer is counted", || {
            node.metrics().replies_late.get() == 1
        });
    }
}

#[test]
fn a_deadline_below_a_millisecond_is_one_all_the_same() {
    let node = start(1);
    run(&node, |caller| async move {
        let gate = Gate::launch(&caller, Arc::default()).await;
        let call = caller.call(gate, "WAIT").timeout(Duration::from_micros(300));
        let guard = caller.clone();
        caller.spawn(async move {
            // Without its deadline the call would wait for this.
            guard.sleep(TIMEOUT).await;
            guard.send(gate, &("OPEN", "too late")).ok();
        });
        assert_eq!(call.await.unwrap_err().code(), "timeout");
    });
}

#[test]
fn a_call_that_is_answered_in_time_leaves_no_timer_that_matters() {
    let node = start(2);
    run(&node, |caller| async move {
        let record = Record::default();
        let recorder = record.launch(&caller).await;
        let calls = (0..200i64).map(|number| caller.call(recorder, &number).timeout(TIMEOUT));
        for outcome in all(&caller, calls).await {
            outcome.expect("an answer in time");
        }
        assert_eq!(record.len(), 200);
    });
    assert_eq!(node.metrics().replies_late.get(), 0);
}

#[test]
fn a_message_whose_caller_has_timed_out_is_not_handled() {
    let node = start(2);
    let record = Record::default();
    run(&node, {
        let record = record.clone();
        |caller| async move {
            // A recorder on the other shard, and a service there that blocks that shard.
            let recorder = loop {
                let recorder = record.launch(&caller).await;
                if skyring::placement::shard_of_handle(recorder, 2) != caller.shard_index() {
                    break recorder;
                }
            };
            let blocker = loop {
                let blocker = launch(&caller, |_, _| {
                    std::thread::sleep(Duration::from_millis(400));
                    Answer::now(&())
                })
                .await;
                if skyring::placement::shard_of_handle(blocker, 2) != caller.shard_index() {
                    break blocker;
                }
            };
            caller.send(blocker, &()).expect("a send");
            // Leaves in another batch than the send, which the other shard is busy with by then.
            caller.sleep(Duration::from_millis(50)).await;
            let error = caller
                .call(recorder, &1)
                .timeout(Duration::from_millis(50))
                .await
                .unwrap_err();
            assert_eq!(error.code(), "timeout");
            caller
                .call(recorder, &2)
                .timeout(TIMEOUT)
                .await
                .expect("an answer");
        }
    });
    assert_eq!(record.numbers(), [2]);
    assert_eq!(node.metrics().messages_expired.get(), 1);
}

#[test]
fn a_dropped_call_is_given_up() {
    let node = start(1);
    run(&node, |caller| async move {
        let waiting = Arc::new(AtomicUsize::new(0));
        let gate = Gate::launch(&caller, Arc::clone(&waiting)).await;
        let before = caller.waiting();
        let mut call = Box::pin(caller.call(gate, "WAIT"));
        std::future::poll_fn(|context| std::task::Poll::Ready(call.as_mut().poll(context).is_ready())).await;
        assert_eq!(
            (waiting.load(Ordering::Acquire), caller.waiting()),
            (1, before + 1)
        );
        drop(call);
        assert_eq!(caller.waiting(), before);
        caller
            .call(gate, &("OPEN", "nobody"))
            .await
            .expect("the gate opens");
    });
    assert_eq!(node.metrics().replies_late.get(), 1);
}
