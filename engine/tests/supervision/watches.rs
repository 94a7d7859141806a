//! A watch ends once, with how its service ended, and leaves nothing behind.

use std::time::Duration;

use skyring::{Answer, Caller, End, Error, Handle};

use crate::handler::{launch, launch_echo};
use crate::mortal::{Mortal, Record};
use crate::node::{TIMEOUT, run};
use crate::start::start;

async fn launch_mortal(caller: &Caller) -> Handle {
    let mortal = caller.launch(|_| Mortal {
        name: "mortal",
        record: Record::default(),
        life: 1,
        failing_starts: 0,
        stop_time: None,
    });
    mortal.await.expect("it starts")
}

#[test]
fn a_watch_resolves_with_how_the_service_ended() {
    for threads in [1, 3] {
        let node = start(threads);
        run(&node, |caller| async move {
            for (command, expected) in [
                ("EXIT", End::Exited),
                (
                    "PANIC",
                    End::Panicked {
                        text: "told to".into(),
                    },
                ),
                (
                    "TASK PANIC",
                    End::Panicked {
                        text: "told to, in a task".into(),
                    },
                ),
                (
                    "FAIL",
                    End::Failed {
                        text: "told to fail".into(),
                    },
                ),
            ] {
                let mortal = launch_mortal(&caller).await;
                let (watch, second) = (caller.watch(mortal), caller.watch(mortal));
                let watched = launch(&caller, |caller, message| {
                    let (mortal, command): (u32, String) = message.unpack().expect("a handle and a text");
                    Answer::later({
                        let caller = caller.clone();
                        async move {
                            // The watches below have begun by then.
                            caller.sleep(Duration::from_millis(5)).await;
                            let _ = caller.call(Handle(mortal), &command).timeout(TIMEOUT).await;
                            skyring::Payload::pack(&())
                        }
                    })
                })
                .await;
                caller.send(watched, &(mortal.0, command)).expect("a send");
                assert_eq!(watch.await, Ok(expected.clone()), "{command}");
                // It was not polled before the end.
                assert_eq!(second.await, Ok(End::NoSuchService));
            }
            let mortal = launch_mortal(&caller).await;
            let mut watch = Box::pin(caller.watch(mortal));
            let _ = caller.within(Duration::from_millis(2), &mut watch).await;
            caller.end_service(mortal);
            assert_eq!(watch.await, Ok(End::Killed));
            assert_eq!(caller.watch("@nobody").await, Ok(End::NoSuchService));
            assert_eq!(caller.watch(Handle(77_777)).await, Ok(End::NoSuchService));
        });
    }
}

#[test]
fn a_dropped_watch_leaves_no_waiter_and_no_entry_behind() {
    let node = start(2);
    run(&node, |caller| async move {
        let echo = launch_echo(&caller).await;
        let before = caller.waiting();
        // More than a service may have at a time.
        for _ in 0..skyring::limits::WATCHES_MAX / 64 + 10 {
            let mut watches = Vec::new();
            for _ in 0..64 {
                let mut watch = Box::pin(caller.watch(echo));
                let pending = std::future::poll_fn(|context| {
                    std::task::Poll::Ready(std::future::Future::poll(watch.as_mut(), context).is_pending())
                });
                assert!(pending.await);
                watches.push(watch);
            }
            drop(watches);
            // The other shard takes the jobs.
            caller.call(echo, &1).timeout(TIMEOUT).await.expect("an echo");
        }
        assert_eq!(caller.waiting(), before);
    });
    // An answer to a watch would count.
    assert_eq!(node.metrics().replies_late.get(), 0);
}

#[test]
fn a_linked_service_ends_with_the_other_one() {
    let node = start(2);
    run(&node, |caller| async move {
        let first = launch_mortal(&caller).await;
        let second = launch(&caller, move |caller, _| {
            caller.end_with(first);
            Answer::now(&())
        })
        .await;
        caller.call(second, &()).await.expect("it links itself");
        caller.spawn({
            let caller = caller.clone();
            async move {
                caller.sleep(Duration::from_millis(5)).await;
                caller.call(first, "FAIL").await.expect("its last answer");
            }
        });
        let end = caller.watch(second).await.expect("a watch");
        assert!(
            end.to_string().contains("has ended: failed: told to fail"),
            "{end}"
        );
    });
}

#[test]
fn a_failed_start_is_an_end_and_a_services_own_error_stays_its_own() {
    let node = start(1);
    run(&node, |caller| async move {
        let failed = caller.launch(|_| Mortal {
            name: "mortal",
            record: Record::default(),
            life: 2,
            failing_starts: 1,
            stop_time: None,
        });
        assert_eq!(failed.await, Err(Error::remote("cannot start yet")));
        let liar = launch(&caller, |_, _| {
            Answer::error(Error::remote(
                "restarted: service x has ended and is started again",
            ))
        })
        .await;
        assert_eq!(caller.call(liar, &1).await.unwrap_err().code(), "remote");
    });
}
