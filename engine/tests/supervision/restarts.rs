//! A supervised service is started again, with its names; its callers see that honestly.

use std::time::Duration;

use skyring::{Backoff, Caller, Child, End, Error, Restart, Strategy, Supervisor};

use crate::mortal::{Record, mortal, mortal_with, wait_for_life};
use crate::node::{TIMEOUT, run};
use crate::start::start;

fn now() -> Backoff {
    Backoff::new(Duration::ZERO, Duration::ZERO)
}

fn often(strategy: Strategy) -> Supervisor {
    Supervisor::new("test", strategy).intensity(100, Duration::from_secs(10))
}

async fn wait_for(record: &Record, caller: &Caller, expected: &[&str]) {
    let started = std::time::Instant::now();
    while record.all() != expected {
        assert!(
            started.elapsed() < TIMEOUT,
            "{:?} instead of {expected:?}",
            record.all()
        );
        caller.sleep(Duration::from_millis(1)).await;
    }
    let _ = record.take();
}

#[test]
fn a_restarted_service_takes_its_names_back_and_its_old_handle_says_restarted() {
    for threads in [1, 3] {
        let node = start(threads);
        run(&node, |caller| async move {
            let child = mortal("a", &Record::default()).name("@a").backoff(now());
            caller
                .supervise(often(Strategy::OneForOne).child(child))
                .await
                .expect("it starts");
            let mut before = caller.find(".a").expect("a name");
            for life in 2..20 {
                let command = ["PANIC", "EXIT", "FAIL", "TASK PANIC"][life % 4];
                let _ = caller.call(".a", command).timeout(TIMEOUT).await;
                let after = wait_for_life(&caller, ".a", life).await;
                assert_ne!(before, after);
                assert_eq!(caller.find("@a"), Some(after));
                let error = caller.call(before, "LIFE").timeout(TIMEOUT).await.unwrap_err();
                assert_eq!(
                    (error.code(), error.may_have_run()),
                    ("restarted", false),
                    "{error}"
                );
                before = after;
            }
        });
        let metrics = node.metrics();
        assert_eq!(metrics.restarts.get(), 18);
        let by_cause = metrics.restarts_after_panic.get()
            + metrics.restarts_after_exit.get()
            + metrics.restarts_after_failure.get();
        assert_eq!(by_cause, 18);
    }
}

#[test]
fn calls_that_ran_and_calls_during_the_back_off_fail_with_restarted_and_say_what_is_true() {
    for threads in [1, 3] {
        let node = start(threads);
        run(&node, |caller| async move {
            let pause = Duration::from_millis(300);
            let child = mortal("a", &Record::default()).backoff(Backoff::new(pause, pause));
            caller
                .supervise(often(Strategy::OneForOne).child(child))
                .await
                .expect("it starts");
            let waits = caller.call(".a", "WAIT").timeout(TIMEOUT);
            let mut waits = Box::pin(waits);
            let early = caller.within(Duration::from_millis(5), &mut waits).await;
            assert!(early.is_err());
            let panicked = caller.call(".a", "PANIC").timeout(TIMEOUT).await.unwrap_err();
            assert!(panicked.to_string().contains("told to"), "{panicked}");
            let running = waits.await.unwrap_err();
            assert_eq!(
                (running.code(), running.may_have_run()),
                ("restarted", true),
                "{running}"
            );
            let during = caller.call(".a", "LIFE").timeout(TIMEOUT).await.unwrap_err();
            assert_eq!((during.code(), during.may_have_run()), ("restarted", false));
            assert_eq!(
                during,
                Error::ServiceRestarted {
                    address: ".a".into(),
                    may_have_run: false
                }
            );
            let end = caller.watch(".a").await.expect("a watch");
            assert_eq!(
                end,
                End::Panicked {
                    text: "told to".into()
                }
            );
            wait_for_life(&caller, ".a", 2).await;
        });
    }
}

#[test]
fn a_service_that_fails_to_start_again_is_tried_until_it_does() {
    let node = start(2);
    run(&node, |caller| async move {
        let child = mortal_with("a", &Record::default(), 5, None).backoff(now());
        caller
            .supervise(often(Strategy::OneForOne).child(child))
            .await
            .expect("it starts");
        caller.call(".a", "EXIT").await.expect("its last answer");
        wait_for_life(&caller, ".a", 7).await;
    });
    assert_eq!(node.metrics().restarts_after_failure.get(), 5);
}

#[test]
fn each_strategy_restarts_those_that_it_says_in_order() {
    let node = start(3);
    run(&node, |caller| async move {
        for (strategy, expected) in [
            (Strategy::OneForOne, vec!["start b"]),
            (Strategy::RestForOne, vec!["stop c", "start b", "start c"]),
            (
                Strategy::All,
                vec!["stop c", "stop a", "start a", "start b", "start c"],
            ),
        ] {
            let record = Record::default();
            let mut supervisor = often(strategy);
            for name in ["a", "b", "c"] {
                supervisor = supervisor.child(mortal(name, &record).backoff(now()));
            }
            let supervisor = caller.supervise(supervisor).await.expect("it starts");
            wait_for(&record, &caller, &["start a", "start b", "start c"]).await;
            let _ = caller.call(".b", "PANIC").timeout(TIMEOUT).await;
            wait_for(&record, &caller, &expected).await;
            assert_eq!(caller.stop_service(supervisor, TIMEOUT).await, Ok(End::Exited));
            wait_for(&record, &caller, &["stop c", "stop b", "stop a"]).await;
            for name in [".a", ".b", ".c"] {
                assert_eq!(caller.find(name), None);
            }
        }
    });
}

#[test]
fn on_failure_restarts_after_a_panic_and_not_after_an_exit_and_never_never() {
    let node = start(2);
    run(&node, |caller| async move {
        let record = Record::default();
        let supervisor = often(Strategy::OneForOne)
            .child(mortal("a", &record).restart(Restart::OnFailure).backoff(now()))
            .child(mortal("b", &record).restart(Restart::Never));
        caller.supervise(supervisor).await.expect("it starts");
        let _ = caller.call(".a", "PANIC").await;
        wait_for_life(&caller, ".a", 2).await;
        for (name, command) in [(".a", "EXIT"), (".b", "PANIC")] {
            let end = caller.watch(name);
            let _ = caller.call(name, command).await;
            let _ = end.await;
            let error = caller.call(name, "LIFE").await.unwrap_err();
            assert_eq!(error.code(), "no-such-service");
        }
    });
}

#[test]
fn past_its_intensity_a_supervisor_ends_and_its_own_supervisor_restarts_it() {
    let node = start(2);
    run(&node, |caller| async move {
        let record = Record::default();
        let inner = {
            let record = record.clone();
            move || {
                Supervisor::new("inner", Strategy::OneForOne)
                    .intensity(2, Duration::from_secs(60))
                    .child(mortal("a", &record).backoff(now()))
                    .child(mortal("b", &record).backoff(now()))
            }
        };
        let outer = often(Strategy::OneForOne).child(Child::supervisor("inner", inner).backoff(now()));
        caller.supervise(outer).await.expect("it starts");
        for life in [2, 3] {
            let _ = caller.call(".a", "PANIC").await;
            wait_for_life(&caller, ".a", life).await;
        }
        let _ = record.take();
        let _ = caller.call(".a", "PANIC").await;
        // The inner supervisor has another life, and so its children begin with their first.
        wait_for(&record, &caller, &["stop b", "start a", "start b"]).await;
        wait_for_life(&caller, ".b", 1).await;
    });
    assert_eq!(node.metrics().escalations.get(), 1);
}

#[test]
fn a_killed_supervisor_takes_its_children_and_their_names_with_it() {
    let node = start(3);
    run(&node, |caller| async move {
        let record = Record::default();
        let supervisor = often(Strategy::OneForOne)
            .child(mortal("a", &record))
            .child(mortal("b", &record));
        let supervisor = caller.supervise(supervisor).await.expect("it starts");
        let (a, b) = (
            caller.find(".a").expect("a name"),
            caller.find(".b").expect("a name"),
        );
        caller.end_service(supervisor);
        for child in [a, b] {
            let _ = caller.watch(child).await;
        }
        for address in [".a", ".b"] {
            let error = caller.call(address, "LIFE").timeout(TIMEOUT).await.unwrap_err();
            assert_eq!(error.code(), "no-such-service", "{error}");
        }
    });
}

#[test]
fn an_instance_of_a_keyed_service_is_restarted_in_its_place() {
    let node = start(3);
    run(&node, |caller| async move {
        let child = mortal("a", &Record::default()).keyed().backoff(now());
        caller
            .supervise(often(Strategy::OneForOne).child(child))
            .await
            .expect("it starts");
        let shard = |key| caller.key(key);
        // Three instances have taken the lives 1 to 3.
        let _ = shard(1).call(".a", "PANIC").timeout(TIMEOUT).await;
        let mut lives = Vec::new();
        for key in 0..3 {
            let life = loop {
                match shard(key).call(".a", "LIFE").timeout(TIMEOUT).await {
                    Ok(life) => break life.unpack::<usize>().expect("a number"),
                    Err(error) => assert_eq!((key, error.code()), (1, "restarted")),
                }
                caller.sleep(Duration::from_millis(1)).await;
            };
            lives.push(life);
        }
        assert_eq!((lives[0].max(lives[2]) < 4, lives[1]), (true, 4), "{lives:?}");
    });
}

#[test]
fn a_child_that_does_not_start_at_first_is_the_error_of_supervise_and_nothing_stays() {
    let node = start(2);
    run(&node, |caller| async move {
        let record = Record::default();
        let supervisor = often(Strategy::OneForOne)
            .child(mortal("a", &record))
            .child(Child::kind("b", "dragon", ""));
        let error = caller.supervise(supervisor).await.unwrap_err();
        assert!(
            error.to_string().contains("b: ") && error.to_string().contains("dragon"),
            "{error}"
        );
        assert_eq!(caller.find(".a"), None);
        wait_for(&record, &caller, &["start a", "stop a"]).await;
        // A name that another service has is such an error too.
        caller.name(".taken").expect("a free name");
        let supervisor = often(Strategy::OneForOne).child(mortal("c", &record).name(".taken"));
        let error = caller.supervise(supervisor).await.unwrap_err();
        assert!(error.to_string().contains(".taken belongs to"), "{error}");
        assert_eq!(caller.find(".c"), None);
    });
}
