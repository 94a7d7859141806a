//! Connections that are cut again and again under load.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use skyring::{Answer, NodeBuilder, Payload, Security};

use crate::cluster::{map_of, open, reload};
use crate::cutter::{Cut, Cutter};
use crate::handler::{Handler, launch_echo};
use crate::ledger::{Ledger, is_send, load};
use crate::node::{TIMEOUT, run, wait_until};
use crate::start::{builder, start};

const CALLERS: u64 = 6;
const COUNT: u64 = 1_500;

/// Cuts all connections while the load runs; how many that were.
fn cut_under_load(threads: usize, channels: u32, cuts: &[Cut]) -> usize {
    cut_under_load_between(|| builder(threads), channels, cuts)
}

/// The same between two nodes with these settings.
fn cut_under_load_between(settings: impl Fn() -> NodeBuilder, channels: u32, cuts: &[Cut]) -> usize {
    let (db, ledger) = (settings().start().expect("a node starts"), Ledger::default());
    ledger.serve(&db);
    let cutter = Cutter::to(&open(&db));
    let gate = settings().channels(channels).start().expect("a node starts");
    reload(&gate, map_of("db", &cutter.address()));
    let is_over = AtomicBool::new(false);
    let cut = std::thread::scope(|scope| {
        let cutting = scope.spawn(|| {
            let mut cut = 0;
            for how in cuts.iter().cycle() {
                if is_over.load(Ordering::Acquire) {
                    return cut;
                }
                std::thread::sleep(Duration::from_millis(20));
                cut += cutter.cut(*how);
            }
            cut
        });
        // A load that fails must not leave the other thread cutting for ever.
        let loaded = catch_unwind(AssertUnwindSafe(|| load(&gate, CALLERS, COUNT)));
        is_over.store(true, Ordering::Release);
        loaded.unwrap_or_else(|panic| resume_unwind(panic));
        cutting.join().expect("no panic")
    });
    // All calls are answered; the rest are sends, none of which may be lost while both nodes live.
    wait_until("all sends have arrived", || {
        (0..CALLERS).all(|caller| ledger.of(caller).len() as u64 >= COUNT)
    });
    for caller in 0..CALLERS {
        let recorded = ledger.of(caller);
        let expected: Vec<u64> = (0..COUNT).collect();
        assert!(
            recorded == expected,
            "caller {caller}: {} entries, first wrong {:?} (send: {:?})",
            recorded.len(),
            recorded
                .iter()
                .zip(&expected)
                .find(|(got, expected)| got != expected),
            recorded
                .iter()
                .zip(&expected)
                .find(|(got, expected)| got != expected)
                .map(|(_, number)| is_send(*number)),
        );
    }
    if cut > 0 {
        assert!(db.metrics().sessions_resumed.get() > 0);
    }
    assert_eq!(db.metrics().connections_malformed.get(), 0);
    cut
}

#[test]
fn every_message_runs_once_and_in_order_though_connections_are_cut_all_the_time() {
    let cut = cut_under_load(2, 2, &[Cut::Both]);
    assert!(cut > 0, "nothing was cut");
}

#[test]
fn the_same_where_the_old_connections_still_seem_to_be_there() {
    let cut = cut_under_load(1, 1, &[Cut::HalfOpen, Cut::Both, Cut::HalfOpen]);
    assert!(cut > 0, "nothing was cut");
}

#[test]
fn the_same_with_a_proof_of_the_cluster_secret_on_each_connection() {
    let secret = "the secret of two nodes whose connections break";
    let security = Security::new(&[secret]).expect("a valid secret");
    let settings = || builder(2).security(security.clone());
    let cut = cut_under_load_between(settings, 2, &[Cut::Both, Cut::HalfOpen]);
    assert!(cut > 0, "nothing was cut");
}

#[test]
fn a_channel_that_is_cut_while_nothing_is_under_way_goes_on_when_it_is_used() {
    let (db, gate) = (start(1), start(1));
    run(&db, |caller| async move {
        let echo = launch_echo(&caller).await;
        caller
            .cluster()
            .register("echo", Some(echo))
            .expect("a free name");
    });
    let cutter = Cutter::to(&open(&db));
    reload(&gate, map_of("db", &cutter.address()));
    let node = gate.client().node("db").timeout(TIMEOUT);
    for number in 0..10u64 {
        let reply = node.call("@echo", &number).wait().expect("an answer");
        assert_eq!(reply.unpack::<u64>(), Ok(number));
        cutter.cut(if number % 2 == 0 { Cut::Both } else { Cut::HalfOpen });
    }
}

#[test]
fn an_answer_that_is_given_while_there_is_no_connection_comes_with_the_next_one() {
    let (db, gate) = (start(2), start(1));
    let (runs, may_answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, gate_open) = (Arc::clone(&runs), Arc::clone(&may_answer));
    crate::cluster::serve(&db, "slow", move |_| {
        Handler(move |caller: &skyring::Caller, _| {
            counted.fetch_add(1, Ordering::AcqRel);
            let (caller, gate_open) = (caller.clone(), Arc::clone(&gate_open));
            Answer::later(async move {
                while !gate_open.load(Ordering::Acquire) {
                    caller.sleep(Duration::from_millis(1)).await;
                }
                Payload::pack("done")
            })
        })
    });
    let cutter = Cutter::to(&open(&db));
    reload(&gate, map_of("db", &cutter.address()));
    let call = gate.client().node("db").timeout(TIMEOUT).call("@slow", &1);
    wait_until("it runs", || runs.load(Ordering::Acquire) == 1);
    // There is no way back until it has been answered.
    cutter.set_target("127.0.0.1:1");
    assert_eq!(cutter.cut(Cut::Both), 1);
    may_answer.store(true, Ordering::Release);
    std::thread::sleep(Duration::from_millis(100));
    cutter.set_target(&open(&db));
    assert_eq!(
        call.wait().expect("an answer").unpack::<String>(),
        Ok("done".to_owned())
    );
    assert_eq!(runs.load(Ordering::Acquire), 1);
}
