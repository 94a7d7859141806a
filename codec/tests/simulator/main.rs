//! Whatever goes wrong with connections and processes, the link keeps its promises: many simulated runs,
//! each from a seed that is printed when it fails.

mod simulation;

use simulation::{Trace, check_all, run};

/// Seeds that are run with every test; `examples/simulate.rs` runs more.
const SEEDS: u64 = 2_000;

#[test]
fn every_promise_holds_whatever_goes_wrong() {
    let counts = check_all(0..SEEDS, || ()).unwrap_or_else(|failure| panic!("{failure}"));
    // A simulator in which something never happens proves nothing about it.
    for (what, count) in counts.all() {
        assert!(count >= SEEDS / 200, "{what}: {count} in {SEEDS} runs");
    }
    // Nor does one in which some kind of message is never disturbed in some way.
    let missing = counts.coverage.missing();
    assert!(
        missing.is_empty(),
        "never met: {}\n{}",
        missing.join(", "),
        counts.coverage
    );
}

/// A run ended while an acknowledgement was still held up by a stall that had been called off.
#[test]
fn a_run_ends_only_when_what_was_held_up_has_arrived() {
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
