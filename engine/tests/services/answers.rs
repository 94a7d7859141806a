//! A call is answered exactly once: at once, later, by the holder of its responder, or with an error.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use skyring::{Answer, Context, Error, Message, Payload, Service};

use crate::gate::Gate;
use crate::handler::{launch, launch_echo};
use crate::node::{TIMEOUT, run};
use crate::start::start;
use crate::together::all;

#[test]
fn a_handler_answers_at_once() {
    for threads in [1, 3] {
        let node = start(threads);
        run(&node, |caller| async move {
            for _ in 0..8 {
                let echo = launch_echo(&caller).await;
                let reply = caller.call(echo, &(1, "two")).await.expect("an answer");
                assert_eq!(reply.unpack::<(i64, &str)>().expect("two values"), (1, "two"));
            }
        });
    }
}

#[test]
fn a_later_answer_lets_other_messages_through_and_calls_and_sleeps_meanwhile() {
    for threads in [1, 3] {
        let node = start(threads);
        run(&node, |caller| async move {
            let waiting = Arc::new(AtomicUsize::new(0));
            let gate = Gate::launch(&caller, Arc::clone(&waiting)).await;
            let service = launch(&caller, move |caller, message| {
                let caller = caller.clone();
                match message.unpack::<&str>() {
                    Ok("SLOW") => Answer::later(async move {
                        caller.sleep(Duration::from_millis(5)).await;
                        let word = caller.call(gate, "WAIT").await?;
                        caller.sleep(Duration::from_millis(5)).await;
                        Payload::pack(&("slow", word.unpack::<String>()?))
                    }),
                    _ => Answer::now("fast"),
                }
            })
            .await;
            let ended: Rc<RefCell<Vec<String>>> = Rc::default();
            let slow = {
                let (caller, ended) = (caller.clone(), Rc::clone(&ended));
                async move {
                    let reply = caller.call(service, "SLOW").timeout(TIMEOUT).await.expect("slow");
                    let (first, second) = reply.unpack::<(String, String)>().expect("two texts");
                    ended.borrow_mut().push(first + &second);
                }
            };
            let others = {
                let (caller, ended) = (caller.clone(), Rc::clone(&ended));
                async move {
                    while waiting.load(Ordering::Acquire) == 0 {
                        caller.sleep(Duration::from_millis(1)).await;
                    }
                    // The slow answer cannot end before the gate opens, and these come through.
                    for _ in 0..10 {
                        let reply = caller.call(service, "FAST").timeout(TIMEOUT).await.expect("fast");
                        ended.borrow_mut().push(reply.unpack::<String>().expect("a text"));
                    }
                    caller.call(gate, &("OPEN", "!")).await.expect("the gate opens");
                }
            };
            all::<(), std::pin::Pin<Box<dyn Future<Output = ()>>>>(
                &caller,
                [Box::pin(slow) as _, Box::pin(others) as _],
            )
            .await;
            let mut expected = vec!["fast".to_owned(); 10];
            expected.push("slow!".to_owned());
            assert_eq!(*ended.borrow(), expected);
        });
    }
}

#[test]
fn a_kept_responder_answers_from_another_message() {
    for threads in [1, 3] {
        let node = start(threads);
        run(&node, |caller| async move {
            let waiting = Arc::new(AtomicUsize::new(0));
            let gate = Gate::launch(&caller, Arc::clone(&waiting)).await;
            let opener = {
                let caller = caller.clone();
                async move {
                    while waiting.load(Ordering::Acquire) < 20 {
                        caller.sleep(Duration::from_millis(1)).await;
                    }
                    caller.send(gate, &("OPEN", "sesame")).expect("a send");
                }
            };
            caller.spawn(opener);
            let calls = (0..20).map(|_| caller.call(gate, "WAIT").timeout(TIMEOUT));
            for reply in all(&caller, calls).await {
                let reply = reply.expect("the gate opens");
                assert_eq!(reply.unpack::<&str>().expect("a text"), "sesame");
            }
        });
    }
}

#[test]
fn a_call_that_is_not_answered_gets_an_error() {
    let node = start(2);
    run(&node, |caller| async move {
        for _ in 0..6 {
            let silent = launch(&caller, |_, _| Answer::none()).await;
            let error = caller.call(silent, &1).timeout(TIMEOUT).await.unwrap_err();
            assert_eq!(error, Error::remote("the service did not answer"));
        }
    });
}

#[test]
fn an_error_answer_arrives_with_its_exact_text() {
    let node = start(2);
    run(&node, |caller| async move {
        for _ in 0..6 {
            let refuser = launch(&caller, |_, _| Answer::error(Error::remote("no such key: a: b"))).await;
            let error = caller.call(refuser, &1).await.unwrap_err();
            assert_eq!(
                (error.code(), error.to_string().as_str()),
                ("remote", "no such key: a: b")
            );
        }
    });
}

/// Answers each call with an error of the engine that it got itself, in the way that the call asks for.
struct PassesOn;

impl Service for PassesOn {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        let inner = Error::NoSuchService {
            address: "@inner".into(),
        };
        match message.unpack::<&str>() {
            Ok("LATER") => {
                let caller = (**context).clone();
                Answer::later(async move { caller.call("@inner", &1).await })
            }
            Ok("RESPONDER") => {
                context.responder().answer(Err(inner));
                Answer::none()
            }
            _ => Answer::error(inner),
        }
    }
}

#[test]
fn an_error_that_a_handler_passes_on_does_not_say_that_the_handler_did_not_run() {
    let node = start(2);
    run(&node, |caller| async move {
        let service = caller.launch(|_| PassesOn).await.expect("it launches");
        for way in ["NOW", "LATER", "RESPONDER"] {
            let error = caller.call(service, way).await.unwrap_err();
            assert_eq!(error, Error::remote("no-such-service: @inner"), "{way}");
            assert!(error.may_have_run(), "{way}");
        }
    });
}

/// Answers each call twice: with its responder, and with its return value.
struct Twice;

impl Service for Twice {
    fn handle(&mut self, context: &Context<Self>, _message: Message) -> Answer {
        context.responder().answer(Payload::pack("first"));
        Answer::now("second")
    }
}

#[test]
fn a_call_is_answered_only_once() {
    let node = start(1);
    run(&node, |caller| async move {
        let twice = caller.launch(|_| Twice).await.expect("it launches");
        for _ in 0..10 {
            let reply = caller.call(twice, &()).await.expect("an answer");
            assert_eq!(reply.unpack::<&str>().expect("a text"), "first");
        }
    });
    // The second answers were dropped: none reached the next call's waiter.
    assert_eq!(node.metrics().replies_late.get(), 0);
}

#[test]
fn a_send_is_seen_as_one_and_a_call_as_one() {
    let node = start(1);
    run(&node, |caller| async move {
        let (sender, receiver) = std::sync::mpsc::channel();
        let service = launch(&caller, move |_, message| {
            sender
                .send((message.is_call(), message.source))
                .expect("the test listens");
            Answer::now(&())
        })
        .await;
        caller.send(service, &1).expect("a send");
        caller.call(service, &2).await.expect("an answer");
        let seen: Vec<_> = receiver.try_iter().collect();
        assert_eq!(seen, [(false, caller.handle()), (true, caller.handle())]);
    });
}
