//! A service that exits leaves nothing behind: no name, no task, no call that waits in vain.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use skyring::{Answer, Error};

use crate::gate::Gate;
use crate::handler::{launch, launch_echo};
use crate::node::{TIMEOUT, run, wait_until};
use crate::start::start;
use crate::together::all;

#[test]
fn exit_frees_names_and_later_calls_find_no_service() {
    for threads in [1, 3] {
        let node = start(threads);
        run(&node, |caller| async move {
            for _ in 0..4 {
                let service = launch(&caller, |caller, message| match message.unpack::<&str>() {
                    Ok("NAME") => {
                        caller.name("mortal").expect("the name is free");
                        Answer::now(&())
                    }
                    _ => {
                        caller.exit();
                        Answer::now("bye")
                    }
                })
                .await;
                caller.call(service, "NAME").await.expect("it has a name now");
                caller
                    .cluster()
                    .register("mortal", Some(service))
                    .expect("the name is free");
                assert_eq!(
                    (caller.find(".mortal"), caller.find("@mortal")),
                    (Some(service), Some(service))
                );
                // The message that ends it is still answered.
                let reply = caller.call(".mortal", "EXIT").await.expect("its last answer");
                assert_eq!(reply.unpack::<&str>().expect("a text"), "bye");
                let error = caller.call(service, &1).timeout(TIMEOUT).await.unwrap_err();
                let address = service.to_string().into();
                assert_eq!(error, Error::NoSuchService { address });
                assert_eq!((caller.find(".mortal"), caller.find("@mortal")), (None, None));
                let error = caller.call("@mortal", &1).await.unwrap_err();
                assert_eq!(error.code(), "no-such-service");
            }
        });
    }
}

/// Counts when it is dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

#[test]
fn exit_drops_the_tasks_and_the_state_of_a_service() {
    let node = start(2);
    let dropped = Arc::new(AtomicUsize::new(0));
    run(&node, {
        let dropped = Arc::clone(&dropped);
        |caller| async move {
            let in_state = Dropped(Arc::clone(&dropped));
            let service = launch(&caller, move |caller, message| {
                let _kept = &in_state;
                if message.unpack::<&str>() == Ok("EXIT") {
                    caller.exit();
                }
                for _ in 0..10 {
                    let (in_task, caller_of_task) = (Dropped(Arc::clone(&dropped)), caller.clone());
                    caller.spawn(async move {
                        caller_of_task.sleep(TIMEOUT * 10).await;
                        drop(in_task);
                    });
                }
                Answer::now(&())
            })
            .await;
            caller.call(service, "SPAWN").await.expect("ten tasks");
            // These ten are spawned and never polled before the end.
            caller.call(service, "EXIT").await.expect("ten more");
        }
    });
    wait_until("the state and every task are dropped", || {
        dropped.load(Ordering::Acquire) == 21
    });
}

#[test]
fn unanswered_calls_fail_when_their_service_exits() {
    for threads in [1, 3] {
        let node = start(threads);
        run(&node, |caller| async move {
            let waiting = Arc::new(AtomicUsize::new(0));
            let gate = Gate::launch(&caller, Arc::clone(&waiting)).await;
            caller.spawn({
                let caller = caller.clone();
                async move {
                    while waiting.load(Ordering::Acquire) < 50 {
                        caller.sleep(Duration::from_millis(1)).await;
                    }
                    caller.send(gate, "EXIT").expect("a send");
                }
            });
            let calls = (0..50).map(|_| caller.call(gate, "WAIT").timeout(TIMEOUT));
            for outcome in all(&caller, calls).await {
                assert_eq!(
                    outcome,
                    Err(Error::remote("the service ended before it answered"))
                );
            }
        });
    }
}

#[test]
fn a_service_whose_work_is_done_leaves_no_waiter_behind() {
    let node = start(1);
    run(&node, |caller| async move {
        let echo = launch_echo(&caller).await;
        let before = caller.waiting();
        let waiting = Arc::new(AtomicUsize::new(0));
        let gate = Gate::launch(&caller, Arc::clone(&waiting)).await;
        let sleeper = launch(&caller, move |caller, message| {
            if message.unpack::<&str>() == Ok("EXIT") {
                caller.exit();
                return Answer::now(&());
            }
            let caller = caller.clone();
            Answer::later(async move {
                let _ = caller.call(gate, "WAIT").await;
                caller.call(echo, &1).await
            })
        })
        .await;
        caller.spawn({
            let caller = caller.clone();
            async move {
                while waiting.load(Ordering::Acquire) < 1 {
                    caller.sleep(Duration::from_millis(1)).await;
                }
                caller.send(sleeper, "EXIT").expect("a send");
            }
        });
        caller.call(sleeper, "WORK").timeout(TIMEOUT).await.unwrap_err();
        caller.sleep(Duration::from_millis(5)).await;
        assert_eq!(caller.waiting(), before);
    });
}
