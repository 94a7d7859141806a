//! A service's state is its own: one thing at a time touches it, and no message is lost on the way to it.

use std::time::Duration;

use skyring::{Answer, Context, Error, Message, Payload, Service};

use crate::node::{TIMEOUT, run};
use crate::start::start;
use crate::together::all;

/// Counts, also from its own futures and through itself.
#[derive(Default)]
struct Counter {
    total: i64,
}

impl Service for Counter {
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        // Its first message: handled once it has started.
        context.send(context.handle(), &("ADD", 1_000))
    }

    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        let context = context.clone();
        match message.unpack::<(&str, i64)>() {
            Ok(("ADD", number)) => {
                self.total += number;
                Answer::now(&self.total)
            }
            Ok(("ADD LATER", number)) => Answer::later(async move {
                for _ in 0..number {
                    context.sleep(Duration::from_micros(100)).await;
                    context.update(|counter| counter.total += 1);
                }
                Payload::pack(&context.update(|counter| counter.total))
            }),
            Ok(("ADD THROUGH ITSELF", number)) => Answer::later(async move {
                for _ in 0..number {
                    context.call(context.handle(), &("ADD", 1)).await?;
                }
                Payload::pack(&context.update(|counter| counter.total))
            }),
            Ok(("ADD BESIDE", number)) => {
                context.clone().spawn(async move {
                    context.update(|counter| counter.total += number);
                });
                Answer::now(&self.total)
            }
            Ok(("SEND WITHIN UPDATE", number)) => Answer::later(async move {
                let seen = context.update(|counter| {
                    let before = counter.total;
                    for _ in 0..number {
                        context.send(context.handle(), &("ADD", 1)).ok();
                    }
                    (before, counter.total)
                });
                Payload::pack(&seen)
            }),
            Ok((command, _)) => Answer::error(Error::remote(format!("unknown command {command}"))),
            Err(error) => Answer::error(error),
        }
    }
}

#[test]
fn a_message_that_a_service_sends_itself_in_its_start_arrives() {
    for threads in [1, 3] {
        let node = start(threads);
        run(&node, |caller| async move {
            for _ in 0..6 {
                let counter = caller.launch(|_| Counter::default()).await.expect("it starts");
                let reply = caller
                    .call(counter, &("ADD", 1))
                    .timeout(TIMEOUT)
                    .await
                    .expect("a sum");
                assert_eq!(reply.unpack::<i64>().expect("a number"), 1_001);
            }
        });
    }
}

#[test]
fn futures_of_a_service_change_its_state_one_at_a_time() {
    let node = start(2);
    run(&node, |caller| async move {
        let counter = caller.launch(|_| Counter::default()).await.expect("it starts");
        let calls = (0..20).map(|_| caller.call(counter, &("ADD LATER", 20)).timeout(TIMEOUT));
        for outcome in all(&caller, calls).await {
            outcome.expect("each ends");
        }
        let reply = caller.call(counter, &("ADD", 0)).await.expect("a sum");
        assert_eq!(reply.unpack::<i64>().expect("a number"), 1_400);
    });
}

#[test]
fn a_spawned_task_updates_the_state_once_the_handler_is_done() {
    let node = start(2);
    run(&node, |caller| async move {
        let counter = caller.launch(|_| Counter::default()).await.expect("it starts");
        let reply = caller
            .call(counter, &("ADD BESIDE", 5))
            .timeout(TIMEOUT)
            .await
            .expect("a sum");
        assert_eq!(reply.unpack::<i64>().expect("a number"), 1_000);
        caller.sleep(Duration::from_millis(5)).await;
        let reply = caller
            .call(counter, &("ADD", 0))
            .timeout(TIMEOUT)
            .await
            .expect("a sum");
        assert_eq!(reply.unpack::<i64>().expect("a number"), 1_005);
    });
    assert_eq!(node.metrics().panics.get(), 0);
}

#[test]
fn a_service_can_call_itself_from_a_future() {
    let node = start(2);
    run(&node, |caller| async move {
        let counter = caller.launch(|_| Counter::default()).await.expect("it starts");
        let call = caller
            .call(counter, &("ADD THROUGH ITSELF", 10_000))
            .timeout(TIMEOUT);
        let reply = call.await.expect("no deadlock");
        assert_eq!(reply.unpack::<i64>().expect("a number"), 11_000);
    });
}

#[test]
fn nothing_else_of_a_service_runs_while_a_future_updates_it() {
    let node = start(1);
    run(&node, |caller| async move {
        let counter = caller.launch(|_| Counter::default()).await.expect("it starts");
        let call = caller
            .call(counter, &("SEND WITHIN UPDATE", 100))
            .timeout(TIMEOUT);
        let reply = call.await.expect("the service lives on");
        assert_eq!(reply.unpack::<(i64, i64)>().expect("two sums"), (1_000, 1_000));
        let reply = caller
            .call(counter, &("ADD", 0))
            .timeout(TIMEOUT)
            .await
            .expect("a sum");
        assert_eq!(reply.unpack::<i64>().expect("a number"), 1_100);
    });
    assert_eq!(node.metrics().panics.get(), 0);
}
