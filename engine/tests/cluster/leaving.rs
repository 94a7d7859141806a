//! A stopping node finishes the calls that it has accepted, and its peers stop calling it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use skyring::{Answer, DialectChoice, Error, Node, NodeState, Payload};

use crate::cluster::{map_of, open, reload};
use crate::node::{TIMEOUT, run, wait_until};
use crate::start::{builder, start};
use crate::support::serve_gate;

/// A node whose `@slow` answers after a number of milliseconds, and the count of its calls in progress.
fn slow_node(threads: usize, stop_timeout: Duration) -> (Node, Arc<AtomicUsize>) {
    let node = builder(threads)
        .stop_timeout(stop_timeout)
        .start()
        .expect("a node starts");
    let in_progress = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&in_progress);
    run(&node, |caller| async move {
        let slow = crate::handler::launch(&caller, move |caller, message| {
            let (caller, counted) = (caller.clone(), Arc::clone(&counted));
            counted.fetch_add(1, Ordering::AcqRel);
            Answer::later(async move {
                let milliseconds: u64 = message.unpack()?;
                caller.sleep(Duration::from_millis(milliseconds)).await;
                counted.fetch_sub(1, Ordering::AcqRel);
                Payload::pack(&milliseconds)
            })
        });
        let slow = slow.await;
        caller
            .cluster()
            .register("slow", Some(slow))
            .expect("a free name");
    });
    (node, in_progress)
}

#[test]
fn calls_that_a_stopping_node_has_accepted_are_answered_and_new_ones_fail_at_once() {
    for dialect in [DialectChoice::Auto, DialectChoice::Skynet] {
        let (db, in_progress) = slow_node(2, TIMEOUT);
        let gate = builder(2).dialect(dialect).start().expect("a node starts");
        reload(&gate, map_of("db", &open(&db)));
        let calls: Vec<_> = (0..50)
            .map(|_| gate.client().node("db").timeout(TIMEOUT).call("@slow", &400))
            .collect();
        wait_until("all calls are in progress", || {
            in_progress.load(Ordering::Acquire) == 50
        });
        let stopping = std::thread::spawn(move || db.stop());
        for call in calls {
            assert_eq!(call.wait().expect("it was accepted").unpack::<u64>(), Ok(400));
        }
        stopping.join().expect("it stops");
        let error = gate
            .client()
            .node("db")
            .timeout(Duration::from_millis(100))
            .call("@slow", &1);
        let error = error.wait().unwrap_err();
        assert_eq!(
            (error.code(), error.may_have_run()),
            ("unreachable", false),
            "{error}"
        );
    }
}

#[test]
fn peers_mark_a_stopping_node_down_while_its_last_calls_still_run() {
    let (db, in_progress) = slow_node(1, TIMEOUT);
    let gate = start(2);
    reload(&gate, map_of("db", &open(&db)));
    let call = gate.client().node("db").timeout(TIMEOUT).call("@slow", &1_500);
    wait_until("the call is in progress", || {
        in_progress.load(Ordering::Acquire) == 1
    });
    let stopping = std::thread::spawn(move || db.stop());
    wait_until("the node is down", || {
        run(&gate, |caller| async move { caller.cluster().state("db") }) == NodeState::Down
    });
    assert_eq!(
        in_progress.load(Ordering::Acquire),
        1,
        "before the last call has ended"
    );
    let error = gate.client().node("db").call("@slow", &1).wait().unwrap_err();
    assert_eq!((error.code(), error.may_have_run()), ("unreachable", false));
    assert!(error.to_string().contains("goodbye"), "{error}");
    assert_eq!(call.wait().expect("it was accepted").unpack::<u64>(), Ok(1_500));
    stopping.join().expect("it stops");
    assert_eq!(gate.metrics().connections_lost.get(), 0);
}

#[test]
fn under_load_no_accepted_call_fails_when_its_node_stops() {
    for channels in [1, 3] {
        let (db, _) = slow_node(3, TIMEOUT);
        let gate = builder(3).channels(channels).start().expect("a node starts");
        reload(&gate, map_of("db", &open(&db)));
        let is_over = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = (0..24)
            .map(|number| {
                let is_over = Arc::clone(&is_over);
                gate.run(move |caller| async move {
                    let db = caller.node("db").key(number);
                    let (mut answered, mut refused) = (0, 0);
                    while !is_over.load(Ordering::Acquire) {
                        match db.call("@slow", &(number % 3)).await {
                            Ok(_) => answered += 1,
                            Err(error) if error.code() == "unreachable" && !error.may_have_run() => {
                                refused += 1;
                                caller.sleep(Duration::from_millis(1)).await;
                            }
                            Err(error) => return Err(error),
                        }
                    }
                    Ok::<(u64, u64), Error>((answered, refused))
                })
                .expect("the job is accepted")
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        db.stop();
        std::thread::sleep(Duration::from_millis(50));
        is_over.store(true, Ordering::Release);
        for caller in callers {
            let counted = caller.recv_timeout(TIMEOUT).expect("it ends");
            let (answered, refused) = counted.expect("no call was lost");
            assert!(answered > 0 && refused > 0, "{answered} {refused}");
        }
    }
}

#[test]
fn a_stop_waits_no_longer_than_its_timeout() {
    let db = builder(2)
        .stop_timeout(Duration::from_millis(300))
        .start()
        .expect("a node starts");
    let (_, waiting) = serve_gate(&db);
    let gate = start(1);
    reload(&gate, map_of("db", &open(&db)));
    let call = gate
        .client()
        .node("db")
        .timeout(TIMEOUT * 10)
        .call("@gate", "WAIT");
    wait_until("the call is in progress", || waiting.load(Ordering::Acquire) == 1);
    let started = Instant::now();
    db.stop();
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(300) && took < TIMEOUT, "{took:?}");
    assert!(call.wait().unwrap_err().may_have_run());
}
