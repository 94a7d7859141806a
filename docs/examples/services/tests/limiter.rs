//! The rate limiter: what it grants, in virtual time and under faults.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use skyring::Error;
use skyring::testing::{FaultKind, Faults, Run, Scenario, TestNode};
use skyring_examples::limiter::{Limiter, LimiterClient, Limits, Verdict, open};

const LIMITS: Limits = Limits {
    burst: 10,
    per_second: 5,
};

fn take(node: &TestNode, client: &'static str) -> Result<Verdict, Error> {
    node.block_on(|caller| async move { LimiterClient::at(caller, "@limiter").take(client).await })
}

fn node_with_a_limiter() -> Result<TestNode, Error> {
    let node = TestNode::new();
    node.block_on(|caller| open(caller, Limiter::new(LIMITS)))?;
    Ok(node)
}

#[test]
fn a_bucket_fills_at_its_rate_and_no_higher_than_its_burst() -> Result<(), Error> {
    let node = node_with_a_limiter()?;
    assert!(!take(&node, "Ada")?.is_allowed, "it has just started");
    // An hour: full, and no more.
    node.advance(Duration::from_secs(3_600));
    for _ in 0..LIMITS.burst {
        assert!(take(&node, "Ada")?.is_allowed);
    }
    let refused = take(&node, "Ada")?;
    assert!(!refused.is_allowed);
    assert!((150..=200).contains(&refused.retry_after_ms), "{refused:?}");
    node.advance(Duration::from_millis(refused.retry_after_ms + 1));
    assert!(take(&node, "Ada")?.is_allowed);
    assert!(!take(&node, "Ada")?.is_allowed);
    Ok(())
}

#[test]
fn clients_have_buckets_of_their_own() -> Result<(), Error> {
    let node = node_with_a_limiter()?;
    node.advance(Duration::from_secs(10));
    while take(&node, "Ada")?.is_allowed {}
    assert!(take(&node, "Bob")?.is_allowed);
    Ok(())
}

/// Many requests from two gates, while nodes die and the network breaks.
fn two_gates(run: &mut Run, limiter: fn(Limits) -> Limiter) -> Result<(), Error> {
    run.node("limiter")
        .start(move |caller| open(caller, limiter(LIMITS)))?;
    let granted: Rc<Cell<u64>> = Rc::default();
    for gate in ["gate1", "gate2"] {
        run.node(gate).start(|_| async { Ok(()) })?;
        let granted = Rc::clone(&granted);
        run.operations(gate, 60, move |caller, _| {
            let granted = Rc::clone(&granted);
            async move {
                let limiter = LimiterClient::at(caller.node("limiter"), "@limiter");
                if let Ok(Verdict { is_allowed: true, .. }) = limiter.take("Ada").await {
                    granted.set(granted.get() + 1);
                }
            }
        });
    }
    run.always("no more is granted than the burst and the rate", move || {
        // What arrives late is granted late: the faults' time, and the time to recover.
        let most = LIMITS.burst + 5 * LIMITS.per_second;
        match granted.get() {
            count if count > most => Err(format!("{count} grants, {most} are the most")),
            _ => Ok(()),
        }
    });
    run.finally("the limiter works at the end", "gate1", |caller| async move {
        let limiter = LimiterClient::at(caller.node("limiter"), "@limiter");
        match limiter.take("Bob").await {
            Ok(Verdict { is_allowed: true, .. }) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    Ok(())
}

fn scenario(limiter: fn(Limits) -> Limiter) -> Scenario {
    Scenario::new("limiter", move |run| two_gates(run, limiter))
        .time(Duration::from_secs(4))
        .faults(Faults::all().without(FaultKind::Clock))
}

#[test]
fn a_limiter_with_full_buckets_grants_too_much_after_a_restart() {
    let failure = scenario(Limiter::with_full_buckets)
        .seeds(0..200)
        .explore()
        .expect_err("it grants too much");
    println!("{failure}");
    assert_eq!(failure.what(), "no more is granted than the burst and the rate");
    assert!(failure.is_repeatable());
}

#[test]
fn a_limiter_with_empty_buckets_keeps_its_promise() {
    scenario(Limiter::new).seeds(0..20).check();
}
