//! Many calls at once are all answered, each with its own answer.

use skyring::Answer;

use crate::cluster::{map_of, open, reload, serve};
use crate::handler::Handler;
use crate::node::{TIMEOUT, run};
use crate::start::start;
use crate::together::all;

const CALLS: usize = 10_000;

fn all_are_answered(threads: usize) {
    let (gate, db) = (start(threads), start(threads));
    serve(&db, "double", |_| {
        Handler(|caller: &skyring::Caller, message: skyring::Message| {
            let Ok(number) = message.unpack::<usize>() else {
                return Answer::none();
            };
            if number % 10 != 0 {
                return Answer::now(&(number * 2));
            }
            // Some take a while, so that answers overtake each other.
            let caller = caller.clone();
            Answer::later(async move {
                caller
                    .sleep(std::time::Duration::from_millis(number as u64 % 50))
                    .await;
                skyring::Payload::pack(&(number * 2))
            })
        })
    });
    reload(&gate, map_of("db", &open(&db)));
    run(&gate, |caller| async move {
        let db = caller.node("db");
        let calls = (0..CALLS).map(|number| db.call("@double", &number).timeout(TIMEOUT * 3));
        let answers = all(&caller, calls).await;
        assert_eq!(answers.len(), CALLS);
        for (number, answer) in answers.into_iter().enumerate() {
            let doubled = answer.and_then(|payload| payload.unpack::<usize>());
            assert_eq!(doubled, Ok(number * 2));
        }
    });
    assert_eq!(db.metrics().connections_accepted.get(), 1);
    assert_eq!(gate.metrics().replies_late.get(), 0);
    assert_eq!(
        gate.metrics().sleeps_rescued.get() + db.metrics().sleeps_rescued.get(),
        0
    );
}

#[test]
fn ten_thousand_calls_at_once_are_all_answered() {
    all_are_answered(1);
}

#[test]
fn ten_thousand_calls_at_once_are_all_answered_across_shards() {
    all_are_answered(3);
}

#[test]
fn many_services_and_threads_call_at_once() {
    let (gate, db) = (start(2), start(2));
    serve(&db, "double", |_| {
        Handler(
            |_: &skyring::Caller, message: skyring::Message| match message.unpack::<usize>() {
                Ok(number) => Answer::now(&(number * 2)),
                Err(error) => Answer::error(error),
            },
        )
    });
    reload(&gate, map_of("db", &open(&db)));
    std::thread::scope(|scope| {
        for thread in 0..4usize {
            let node = gate.client().node("db").timeout(TIMEOUT);
            let gate = &gate;
            scope.spawn(move || {
                for number in 0..200 {
                    let answer = node.call("@double", &(thread * 1_000 + number)).wait();
                    let doubled = answer.and_then(|payload| payload.unpack::<usize>());
                    assert_eq!(doubled, Ok((thread * 1_000 + number) * 2));
                }
            });
            scope.spawn(move || {
                run(gate, |caller| async move {
                    for number in 0..500usize {
                        let reply = caller.node("db").call("@double", &number).timeout(TIMEOUT).await;
                        assert_eq!(
                            reply.and_then(|payload| payload.unpack::<usize>()),
                            Ok(number * 2)
                        );
                    }
                });
            });
        }
    });
}
