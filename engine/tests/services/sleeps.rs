//! Sleeps are never shorter than asked, and spawned tasks run beside their service.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use skyring::Answer;

use crate::handler::launch;
use crate::node::run;
use crate::start::start;
use crate::together::all;

#[test]
fn a_sleep_is_never_shorter_than_asked() {
    let node = start(1);
    run(&node, |caller| async move {
        let durations: Vec<Duration> = [0, 1, 400, 999, 1_000, 1_900, 2_999, 10_000, 33_300]
            .into_iter()
            .map(Duration::from_micros)
            .collect();
        for round in 0..40 {
            // Begins at another place within the millisecond each time.
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_micros(round * 137 % 1_000) {
                std::hint::spin_loop();
            }
            let sleeps = durations.iter().map(|&duration| {
                let caller = caller.clone();
                async move {
                    let started = Instant::now();
                    caller.sleep(duration).await;
                    (duration, started.elapsed())
                }
            });
            for (asked, slept) in all(&caller, sleeps).await {
                assert!(slept >= asked, "asked for {asked:?}, slept {slept:?}");
            }
        }
    });
}

#[test]
fn many_sleeps_end_in_the_order_of_their_times() {
    let node = start(1);
    run(&node, |caller| async move {
        let ended = Arc::new(std::sync::Mutex::new(Vec::new()));
        let sleeps = (0..50u64).rev().map(|number| {
            let (caller, ended) = (caller.clone(), Arc::clone(&ended));
            async move {
                caller.sleep(Duration::from_millis(number * 5)).await;
                ended.lock().expect("no panic with the lock").push(number);
            }
        });
        all(&caller, sleeps).await;
        let ended = ended.lock().expect("no panic with the lock").clone();
        assert_eq!(ended, (0..50).collect::<Vec<u64>>());
    });
}

#[test]
fn a_spawned_task_runs_beside_the_handler() {
    let node = start(1);
    run(&node, |caller| async move {
        let finished = Arc::new(AtomicUsize::new(0));
        let service = launch(&caller, {
            let finished = Arc::clone(&finished);
            move |caller, _| {
                let (sleeper, finished) = (caller.clone(), Arc::clone(&finished));
                caller.spawn(async move {
                    sleeper.sleep(Duration::from_millis(3)).await;
                    finished.fetch_add(1, Ordering::AcqRel);
                });
                Answer::now(&())
            }
        })
        .await;
        for _ in 0..100 {
            caller.call(service, &()).await.expect("an answer");
        }
        while finished.load(Ordering::Acquire) < 100 {
            caller.sleep(Duration::from_millis(1)).await;
        }
    });
}
