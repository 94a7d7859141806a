//! A slow peer: the unsent bytes are bounded, calls wait or fail as their callers choose, sends are dropped and
//! counted, the server stops reading, and no other peer is slowed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use skyring::limits::UNFINISHED_BYTES_MAX;
use skyring::{Answer, Caller, Node, Payload};

use crate::cluster::{Echo, map_of, open, reload, serve, who};
use crate::handler::launch;
use crate::node::{TIMEOUT, run, wait_until};
use crate::ports::{ReservedPort, open_at};
use crate::start::{builder, start};
use crate::support::{serve_gate, serve_record};
use crate::together::all;

const MIB: usize = 1 << 20;

/// Messages of one MiB: more than the out-buffer, the server and two sockets hold together.
const MESSAGES: usize = 110;

/// The least number of messages that do not fit: 64 MiB wait at the caller, and sockets hold up to about 20 MiB.
const TOO_MANY: usize = 15;

/// `("WAIT", filler)` of one MiB, for a gate that keeps it open.
fn large() -> Payload {
    let filler = "x".repeat(MIB);
    Payload::pack(&("WAIT", filler.as_str())).expect("it can be packed")
}

/// A node with a gate as `@gate`, which answers only on command, a node that calls it, and the number of its calls.
fn slow_node() -> (Node, Node, Arc<AtomicUsize>) {
    let (db, game) = (start(1), start(1));
    let (_, waiting) = serve_gate(&db);
    reload(&game, map_of("db", &open(&db)));
    (db, game, waiting)
}

/// Does the first handshake, so that the next requests go to the channel at once.
fn do_handshake(game: &Node) {
    let answer = run(game, |caller: Caller| async move {
        caller.node("db").call("@nobody", &()).await
    });
    assert_eq!(answer.expect_err("an unknown name").code(), "no-such-service");
}

/// Sends to the gate until the sockets are full and there is no space for a while.
fn fill(game: &Node) {
    let mut refused_in_a_row = 0;
    while refused_in_a_row < 30 {
        let before = game.metrics().sends_dropped.get();
        run(game, |caller: Caller| async move {
            caller.node("db").send_payload("@gate", large())
        });
        match game.metrics().sends_dropped.get() == before {
            true => refused_in_a_row = 0,
            false => {
                refused_in_a_row += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// Opens the gate again and again until the test is over.
fn keep_open(db: &Node) {
    let opening = db.run(|caller: Caller| async move {
        loop {
            caller.call("@gate", &("OPEN", "done")).await.expect("it opens");
            caller.sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(opening.is_ok());
}

#[test]
fn calls_past_the_bound_are_overloaded_at_once_and_the_server_has_stopped_reading() {
    let (db, game, waiting) = slow_node();
    do_handshake(&game);
    let refused = Arc::new(AtomicUsize::new(0));
    let calling = game.run({
        let refused = Arc::clone(&refused);
        move |caller: Caller| async move {
            let payload = large();
            let node = caller.node("db");
            let calls = (0..MESSAGES).map(|_| {
                let (call, refused) = (
                    node.call_payload("@gate", Ok(payload.clone())),
                    Arc::clone(&refused),
                );
                async move {
                    let outcome = call.timeout(TIMEOUT).await;
                    if outcome.is_err() {
                        refused.fetch_add(1, Ordering::AcqRel);
                    }
                    outcome
                }
            });
            all(&caller, calls.collect::<Vec<_>>()).await
        }
    });
    let calling = calling.expect("it begins");
    wait_until("calls are refused", || {
        refused.load(Ordering::Acquire) >= TOO_MANY
    });
    wait_until("the server stops reading", || db.metrics().reads_paused.get() > 0);
    // It accepted no more than it may: at most one message above the bound.
    assert!(waiting.load(Ordering::Acquire) * MIB <= UNFINISHED_BYTES_MAX + MIB);
    keep_open(&db);
    let outcomes = calling.recv_timeout(TIMEOUT).expect("all calls end");
    let answered = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(answered >= 60, "{answered}");
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!(error.code(), "overloaded", "{error}");
        assert!(error.to_string().contains("channel to db"), "{error}");
        assert!(!error.may_have_run());
    }
}

#[test]
fn calls_that_wait_for_space_are_all_answered_in_order_of_their_caller() {
    let (db, game, _) = slow_node();
    let record = serve_record(&db, "recorder");
    let calling = game.run(|caller: Caller| async move {
        let payload = large();
        let node = caller.node("db").wait_for_room();
        let mut calls = Vec::new();
        for number in 0..MESSAGES as i64 {
            calls.push(node.call_payload("@gate", Ok(payload.clone())).timeout(TIMEOUT));
            let small = caller.node("db").call("@recorder", &number);
            calls.push(small.wait_for_room().timeout(TIMEOUT));
        }
        all(&caller, calls).await
    });
    let calling = calling.expect("it begins");
    wait_until("the server stops reading", || db.metrics().reads_paused.get() > 0);
    // A call of a client waits as well.
    let client = game.client().wait_for_room().timeout(TIMEOUT);
    let outside = client.node("db").call_payload("@gate", Ok(large()));
    keep_open(&db);
    for outcome in calling.recv_timeout(TIMEOUT).expect("all calls end") {
        assert!(outcome.is_ok(), "{outcome:?}");
    }
    assert!(outside.wait().is_ok());
    assert_eq!(record.numbers(), (0..MESSAGES as i64).collect::<Vec<_>>());
}

#[test]
fn a_call_that_waits_for_space_fails_at_its_deadline_and_has_not_run() {
    let (_db, game, _) = slow_node();
    do_handshake(&game);
    fill(&game);
    run(&game, |caller: Caller| async move {
        let node = caller.node("db");
        for timeout_ms in [50, 200] {
            let timeout = Duration::from_millis(timeout_ms);
            let started = Instant::now();
            let waiting = node
                .call_payload("@gate", Ok(large()))
                .wait_for_room()
                .timeout(timeout);
            let error = waiting.await.unwrap_err();
            // A shard's time may be a turn old.
            assert!(started.elapsed() >= timeout / 2);
            assert_eq!(error.code(), "overloaded", "{error}");
            assert!(
                error
                    .to_string()
                    .contains(&format!("no space within {timeout_ms} ms")),
                "{error}"
            );
            assert!(!error.may_have_run());
            // Without waiting for space the call fails at once, whatever its timeout.
            let error = node.call_payload("@gate", Ok(large())).await.unwrap_err();
            assert_eq!(error.code(), "overloaded", "{error}");
        }
        // Nothing overtakes a waiting call: requests that do not wait are refused meanwhile, even small ones.
        let waits = node.call_payload("@gate", Ok(large())).wait_for_room();
        caller.spawn(async move {
            let _ = waits.await;
        });
        caller.sleep(Duration::from_millis(5)).await;
        let error = node.call("@gate", &1).await.unwrap_err();
        assert_eq!(error.code(), "overloaded", "{error}");
    });
}

#[test]
fn sends_past_the_bound_are_dropped_and_counted() {
    let (db, game, _) = slow_node();
    let taken = Arc::new(AtomicUsize::new(0));
    run(&db, {
        let taken = Arc::clone(&taken);
        move |caller: Caller| async move {
            let sink = launch(&caller, move |_, _| {
                taken.fetch_add(1, Ordering::AcqRel);
                Answer::none()
            })
            .await;
            caller.cluster().register("sink", Some(sink)).expect("free");
        }
    });
    do_handshake(&game);
    run(&game, |caller: Caller| async move {
        let node = caller.node("db");
        let filler = Payload(Bytes::from(vec![0; MIB]));
        for _ in 0..MESSAGES {
            // In one turn: nothing is written in between.
            node.send_payload("@sink", filler.clone());
        }
    });
    assert!(game.metrics().sends_dropped.get() as usize >= TOO_MANY);
    wait_until("every send has arrived or is counted", || {
        taken.load(Ordering::Acquire) + game.metrics().sends_dropped.get() as usize == MESSAGES
    });
}

#[test]
fn sends_that_wait_too_long_for_their_peer_are_dropped_and_counted() {
    const SENDS: u64 = 5;
    let port = ReservedPort::new();
    let address = port.address();
    let game = builder(1)
        .call_timeout(Duration::from_millis(50))
        .start()
        .expect("a node starts");
    reload(&game, map_of("db", &address));
    run(&game, |caller: Caller| async move {
        for number in 0..SENDS as i64 {
            caller
                .node("db")
                .send("@recorder", &number)
                .expect("it can be packed");
        }
        caller.sleep(Duration::from_millis(150)).await;
    });
    let db = start(1);
    let record = serve_record(&db, "recorder");
    open_at(&db, &address).expect("the port is ours");
    let answered = run(&game, |caller: Caller| async move {
        caller.node("db").call("@recorder", &100).timeout(TIMEOUT).await
    });
    assert!(answered.is_ok(), "{answered:?}");
    assert_eq!(record.numbers(), [100]);
    wait_until("they are counted", || game.metrics().sends_dropped.get() == SENDS);
}

#[test]
fn a_slow_peer_does_not_delay_calls_to_another() {
    let (_db, game, _) = slow_node();
    let healthy = start(1);
    serve(&healthy, "echo", |_| Echo("healthy"));
    let address = open(&healthy);
    reload(&game, map_of("healthy", &address));
    run(&game, |caller: Caller| async move {
        let behind = caller.node("db").wait_for_room();
        for _ in 0..MESSAGES {
            let call = behind.call_payload("@gate", Ok(large()));
            caller.spawn(async move {
                let _ = call.await;
            });
        }
        for _ in 0..300 {
            assert_eq!(who(&caller, "healthy").await.as_deref(), Ok("healthy"));
        }
    });
    assert_eq!(game.metrics().sends_dropped.get(), 0);
}
