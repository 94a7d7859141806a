//! The link keeps its promises under failures of connections and processes: many simulated runs, each from a seed
//! that is printed when the run fails.

mod simulation;

use simulation::{Trace, check_all, run};

/// Seeds of the test; `examples/simulate.rs` runs more.
const SEEDS: u64 = 2_000;

#[test]
fn every_promise_holds_under_all_disturbances() {
    let counts = check_all(0..SEEDS, || ()).unwrap_or_else(|failure| panic!("{failure}"));
    // A simulator in which an incident never occurs proves nothing about it.
    for (what, count) in counts.all() {
        assert!(count >= SEEDS / 200, "{what}: {count} in {SEEDS} runs");
    }
    // The same holds for a kind of message that some disturbance never meets.
    let missing = counts.coverage.missing();
    assert!(
        missing.is_empty(),
        "never met: {}\n{}",
        missing.join(", "),
        counts.coverage
    );
}

/// Regression test: a run ended while a stall that had been cancelled still delayed an acknowledgement.
#[test]
fn a_run_ends_only_when_all_delayed_bytes_have_arrived() {
    if let Err(failure) = check_all(7_099_870..7_099_871, || ()) {
        panic!("{failure}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [0, 7, 4_711] {
        let traces = [Trace::kept(), Trace::kept()];
        let outcomes = traces.each_ref().map(|trace| run(seed, trace));
        assert_eq!(outcomes[0], outcomes[1]);
        assert_eq!(traces[0].lines(), traces[1].lines());
        assert!(traces[0].lines().len() > 10);
    }
}
