//! A panic ends its service and fails its calls, and has no other effect.

use std::time::Duration;

use skyring::{Answer, Error};

use crate::handler::{launch, launch_echo};
use crate::node::{TIMEOUT, run};
use crate::start::start;

#[test]
fn a_panicking_handler_answers_with_an_error_and_ends_that_service_only() {
    for threads in [1, 3] {
        let node = start(threads);
        run(&node, |caller| async move {
            for _ in 0..4 {
                let echo = launch_echo(&caller).await;
                let victim = launch(&caller, |_, _| panic!("handler of lead")).await;
                caller.send(victim, &1).expect("a send");
                let error = caller.call(victim, &2).timeout(TIMEOUT).await.unwrap_err();
                // The send has ended it already, or ends it before the call is handled.
                assert_eq!(error.code(), "no-such-service", "{error}");
                let victim = launch(&caller, |_, _| panic!("handler of lead")).await;
                let error = caller.call(victim, &3).timeout(TIMEOUT).await.unwrap_err();
                assert_eq!(error.code(), "remote");
                assert!(error.to_string().contains("handler of lead"), "{error}");
                let error = caller.call(victim, &4).timeout(TIMEOUT).await.unwrap_err();
                assert_eq!(error.code(), "no-such-service", "{error}");
                assert!(caller.call(echo, &5).timeout(TIMEOUT).await.is_ok());
            }
        });
        assert_eq!(node.metrics().panics.get(), 8);
    }
}

#[test]
fn a_panicking_answer_fails_its_call_and_ends_that_service_only() {
    for threads in [1, 3] {
        let node = start(threads);
        run(&node, |caller| async move {
            for _ in 0..4 {
                let echo = launch_echo(&caller).await;
                let victim = launch(&caller, |caller, _| {
                    let caller = caller.clone();
                    Answer::later(async move {
                        caller.sleep(Duration::from_millis(2)).await;
                        panic!("answer of lead")
                    })
                })
                .await;
                let error = caller.call(victim, &1).timeout(TIMEOUT).await.unwrap_err();
                assert_eq!(error.code(), "remote", "{error}");
                let error = caller.call(victim, &2).timeout(TIMEOUT).await.unwrap_err();
                assert_eq!(error.code(), "no-such-service", "{error}");
                assert!(caller.call(echo, &3).timeout(TIMEOUT).await.is_ok());
            }
        });
        assert_eq!(node.metrics().panics.get(), 4);
    }
}

#[test]
fn a_panicking_task_ends_its_service_and_fails_its_unanswered_calls() {
    let node = start(2);
    run(&node, |caller| async move {
        for _ in 0..4 {
            let victim = launch(&caller, |caller, _| {
                caller.spawn({
                    let caller = caller.clone();
                    async move {
                        caller.sleep(Duration::from_millis(5)).await;
                        panic!("task of lead")
                    }
                });
                let caller = caller.clone();
                Answer::later(async move {
                    caller.sleep(TIMEOUT * 10).await;
                    Err(Error::remote("the task did not end the service"))
                })
            })
            .await;
            let error = caller.call(victim, &1).timeout(TIMEOUT).await.unwrap_err();
            assert_eq!(error, Error::remote("the service ended before it answered"));
        }
    });
    assert_eq!(node.metrics().panics.get(), 4);
}
