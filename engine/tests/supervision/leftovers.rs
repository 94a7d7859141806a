//! Many restarts leave nothing behind.

use std::time::{Duration, Instant};

use skyring::{Backoff, Strategy, Supervisor};

use crate::mortal::{Record, mortal, wait_for_life};
use crate::node::{TIMEOUT, run};
use crate::start::start;

#[test]
fn thousands_of_restarts_leave_no_service_no_name_no_waiter_and_no_task() {
    const RESTARTS: usize = 3_000;
    for threads in [1, 2] {
        let node = start(threads);
        run(&node, |caller| async move {
            let now = Backoff::new(Duration::ZERO, Duration::ZERO);
            let record = Record::default();
            let supervisor = Supervisor::new("test", Strategy::OneForOne)
                .intensity(RESTARTS, Duration::from_secs(3_600))
                .child(mortal("a", &record).name("@a").backoff(now));
            caller.supervise(supervisor).await.expect("it starts");
            let counts = |services: Vec<skyring::ServiceInfo>| {
                let tasks: usize = services.iter().map(|service| service.tasks).sum();
                let waiting: usize = services.iter().map(|service| service.messages_waiting).sum();
                let names: usize = services.iter().map(|service| service.names.len()).sum();
                (services.len(), tasks, waiting, names)
            };
            let before = (counts(caller.services().await.expect("a list")), caller.waiting());
            let mut ran = 0;
            for life in 0..RESTARTS {
                // A task that sleeps, and then the end.
                let mut waits = Box::pin(caller.call(".a", "WAIT").timeout(TIMEOUT));
                std::future::poll_fn(|context| {
                    let _ = std::future::Future::poll(waits.as_mut(), context);
                    std::task::Poll::Ready(())
                })
                .await;
                caller
                    .call("@a", "EXIT")
                    .timeout(TIMEOUT)
                    .await
                    .expect("its last answer");
                // A call that had to wait for its turn was sent only after the exit, and so did not run.
                let error = waits.await.unwrap_err();
                assert_eq!(error.code(), "restarted");
                ran += usize::from(error.may_have_run());
                wait_for_life(&caller, ".a", life + 2).await;
                let _ = record.take();
            }
            assert!(ran > RESTARTS / 2, "{ran}");
            let services = caller.services().await.expect("a list");
            let restarted = services
                .iter()
                .find(|service| service.restarts > 0)
                .expect("a child");
            assert_eq!(restarted.restarts, RESTARTS as u64);
            // Tasks are dropped when they are polled for the last time.
            let started = Instant::now();
            loop {
                let now = (counts(caller.services().await.expect("a list")), caller.waiting());
                if now == before {
                    break;
                }
                assert!(started.elapsed() < TIMEOUT, "{now:?} instead of {before:?}");
                caller.sleep(Duration::from_millis(1)).await;
            }
        });
        assert_eq!(node.metrics().restarts_after_exit.get(), RESTARTS as u64);
    }
}
