//! `skyring bench ledger` in real processes: with all faults the ledgers of callers and callees agree. Longer runs are
//! the same command with more seconds.

use std::process::{Command, Output};

/// Runs `skyring` with these arguments, separated by spaces.
fn skyring(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_skyring"))
        .args(arguments.split(' '))
        .output()
        .expect("the command runs")
}

/// Runs a ledger, which must agree; returns its result as JSON.
fn assert_agrees(arguments: &str) -> String {
    let output = skyring(&format!(
        "bench ledger --rate 500 --callers 8 --timeout-ms 15000 --json - {arguments}"
    ));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    let violations = r#""violations":{"lost":0,"duplicated":0,"out_of_order":0,"dishonest":0,"unanswered":0,"late":0,"mixed_up":0,"invented":0}"#;
    assert!(text.contains(violations), "{text}{errors}");
    assert!(!text.contains(r#""answered":0,"#), "{text}{errors}");
    text
}

#[test]
fn nothing_is_lost_while_every_connection_is_cut_ten_times_a_second() {
    assert_agrees("--seconds 3 --cuts-per-second 10 --size 2000");
}

#[test]
fn nothing_is_lost_with_resets_delays_and_several_channels() {
    assert_agrees("--seconds 2 --cuts-per-second 5 --reset --delay-ms 5 --channels 2 --threads 2");
}

#[test]
fn nothing_is_lost_in_the_dialect_of_skynet() {
    assert_agrees("--seconds 2 --cuts-per-second 5 --dialect skynet");
}

#[test]
fn a_callee_that_is_killed_and_restarted_has_run_the_answered_calls() {
    assert_agrees("--seconds 3 --kill-every 1");
}

#[test]
fn calls_that_wait_for_a_killed_callee_fail_only_if_they_had_been_sent_and_the_others_run_once() {
    let result = assert_agrees("--seconds 6 --when-down wait --kill-every 1.5 --down-seconds 3");
    for code in ["unreachable", "timeout", "disabled", "absent", "overloaded"] {
        assert!(!result.contains(code), "{result}");
    }
}

#[test]
fn every_idempotent_call_that_may_wait_is_answered_although_its_callee_is_killed_for_seconds() {
    let result = assert_agrees("--seconds 6 --when-down wait --idempotent --kill-every 1.5 --down-seconds 3");
    assert!(result.contains(r#""failed":{},"#), "{result}");
}

#[test]
fn a_callee_that_is_paused_and_resumed_has_run_the_answered_calls() {
    assert_agrees("--seconds 4 --pause-every 1 --pause-seconds 1");
}

#[test]
fn reloads_lose_nothing() {
    assert_agrees("--seconds 3 --reload-every 0.3");
}

#[test]
fn a_group_loses_at_most_the_calls_in_flight_when_its_first_member_is_killed() {
    let result = assert_agrees("--seconds 3 --group --kill-every 1.2");
    // Only calls that had been sent failed.
    for code in ["unreachable", "timeout", "disabled", "absent", "overloaded"] {
        assert!(!result.contains(code), "{result}");
    }
}

#[test]
fn a_group_answers_every_idempotent_call_while_its_first_member_is_killed() {
    let result = assert_agrees("--seconds 3 --group --idempotent --kill-every 1.2");
    assert!(result.contains(r#""failed":{},"#), "{result}");
}

#[test]
fn a_group_answers_every_call_while_its_first_member_is_stopped() {
    let result = assert_agrees("--seconds 4 --group --terminate-every 1.5");
    assert!(result.contains(r#""failed":{},"#), "{result}");
}
