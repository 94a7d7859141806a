//! A post with a session of its own is answered once, in order, with an error if there is no answer.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use skyring::{Answer, Context, Error, Handle, Kind, Message, Payload, Service};

use crate::handler::{launch, launch_echo};
use crate::node::{TIMEOUT, run};
use crate::start::start;

type Posted = (u32, Result<Payload, Error>);

/// Posts on command, and reports the answers.
struct Poster {
    answered: Sender<Posted>,
}

impl Service for Poster {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        match message.unpack::<(u32, u32)>() {
            Ok((0, milliseconds)) => {
                context.wake_after(Duration::from_millis(u64::from(milliseconds)), 900);
            }
            Ok((target, count)) => {
                for session in 1..=count {
                    let payload = Payload::pack(&session).expect("a number packs");
                    context.post(Handle(target), Kind::LUA, session, payload);
                }
            }
            Err(error) => return Answer::error(error),
        }
        Answer::none()
    }

    fn answered(&mut self, _context: &Context<Self>, session: u32, result: Result<Payload, Error>) {
        self.answered.send((session, result)).expect("the test listens");
    }
}

#[test]
fn every_post_is_answered_once_and_in_order() {
    for threads in [1, 3] {
        let node = start(threads);
        let (answered, answers) = channel();
        run(&node, |caller| async move {
            for _ in 0..4 {
                let answered = answered.clone();
                let poster = caller
                    .launch(move |_| Poster { answered })
                    .await
                    .expect("it starts");
                let echo = launch_echo(&caller).await;
                caller.send(poster, &(echo.0, 100u32)).expect("it is there");
                // Sent behind the posts, so it must be answered behind them too.
                caller.send(poster, &(0u32, 20u32)).expect("it is there");
            }
        });
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..404 {
            let (session, result) = answers.recv_timeout(TIMEOUT).expect("every post is answered");
            let payload = result.expect("the echo answers");
            if session != 900 {
                assert_eq!(payload.unpack::<u32>().expect("a number"), session);
            }
            *counts.entry(session).or_insert(0) += 1;
        }
        assert!(
            counts.len() == 101 && counts.values().all(|&count| count == 4),
            "{counts:?}"
        );
        assert!(answers.try_recv().is_err(), "nothing is answered twice");
    }
}

#[test]
fn a_post_to_an_unknown_handle_and_one_whose_service_ends_are_answered_with_the_cause() {
    let node = start(2);
    let (answered, answers) = channel();
    run(&node, |caller| async move {
        let poster = caller
            .launch(move |_| Poster { answered })
            .await
            .expect("it starts");
        caller.send(poster, &(4_000_000u32, 1u32)).expect("it is there");
        let keeper = launch(&caller, |caller, _| {
            caller.exit();
            Answer::later(std::future::pending())
        })
        .await;
        caller.send(poster, &(keeper.0, 1u32)).expect("it is there");
    });
    let mut texts: Vec<String> = (0..2)
        .map(|_| {
            let (session, result) = answers.recv_timeout(TIMEOUT).expect("every post is answered");
            assert_eq!(session, 1);
            result.expect_err("there is no service").to_string()
        })
        .collect();
    texts.sort();
    assert_eq!(texts[0], "no-such-service: :003d0900");
    assert_eq!(texts[1], "the service ended before it answered");
}
