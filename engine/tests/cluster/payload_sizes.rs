//! Payloads of every size up to the limit are transferred in both directions; only larger ones are refused.

use skyring::{Answer, Error, Payload};

use crate::cluster::{map_of, open, reload, serve};
use crate::handler::Handler;
use crate::node::{TIMEOUT, run};
use crate::start::start;
use crate::support::pair;

/// The largest message of a channel.
const LIMIT: usize = (16 * 1024 + 64) * 1024;

/// A pattern in which a lost, duplicated or moved part is visible.
fn pattern(bytes: usize) -> Payload {
    let pattern: Vec<u8> = (0..bytes)
        .map(|index| (index / 251 + index % 251) as u8)
        .collect();
    Payload(pattern.into())
}

#[test]
fn payloads_of_all_sizes_return_unchanged() {
    for threads in [1, 3] {
        let (gate, db) = (start(threads), start(threads));
        serve(&db, "mirror", |_| {
            Handler(|_: &skyring::Caller, message: skyring::Message| Answer::payload(message.payload))
        });
        reload(&gate, map_of("db", &open(&db)));
        run(&gate, |caller| async move {
            let edges = [0, 1, 127, 128, 32_767, 32_768, 32_769, 65_535, 65_536, 98_304];
            for bytes in edges.into_iter().chain([40 << 10, 1 << 20, 16 << 20, LIMIT]) {
                let sent = pattern(bytes);
                let call = caller
                    .node("db")
                    .call_payload("@mirror", Ok(sent.clone()))
                    .timeout(TIMEOUT);
                let received = call
                    .await
                    .unwrap_or_else(|error| panic!("{bytes} bytes: {error}"));
                assert!(received == sent, "{bytes} bytes came back as others");
            }
        });
        assert_eq!(db.metrics().connections_accepted.get(), 1);
    }
}

#[test]
fn large_sends_arrive_unchanged() {
    let (gate, db) = pair();
    let (sender, receiver) = std::sync::mpsc::channel();
    serve(&db, "sink", move |_| {
        Handler(move |_: &skyring::Caller, message: skyring::Message| {
            sender.send(message.payload).expect("the test listens");
            Answer::none()
        })
    });
    let sizes = [40 << 10, 1 << 20, 16 << 20, 3];
    run(&gate, move |caller| async move {
        for bytes in sizes {
            caller.node("db").send_payload("@sink", pattern(bytes));
        }
    });
    for bytes in sizes {
        let received = receiver.recv_timeout(TIMEOUT).expect("every send arrives");
        assert!(received == pattern(bytes), "{bytes} bytes arrived as others");
    }
}

#[test]
fn a_message_over_the_limit_is_too_large_and_the_channel_continues() {
    let (gate, db) = pair();
    serve(&db, "giver", |_| {
        Handler(
            |_: &skyring::Caller, message: skyring::Message| match message.unpack::<usize>() {
                Ok(bytes) => Answer::payload(pattern(bytes)),
                Err(error) => Answer::error(error),
            },
        )
    });
    run(&gate, |caller| async move {
        let db = caller.node("db");
        assert!(db.call("@echo", &1).timeout(TIMEOUT).await.is_ok());
        for over in [LIMIT + 1, LIMIT * 2] {
            let error = Error::TooLarge {
                bytes: over as u64,
                limit: LIMIT as u64,
            };
            let request = db.call_payload("@echo", Ok(pattern(over))).timeout(TIMEOUT).await;
            assert_eq!(request, Err(error.clone()));
            let answer = db.call("@giver", &over).timeout(TIMEOUT).await;
            assert_eq!(answer.unwrap_err(), error);
            db.send_payload("@echo", pattern(over));
            assert!(db.call("@echo", &1).timeout(TIMEOUT).await.is_ok());
        }
        let reply = db
            .call("@giver", &LIMIT)
            .timeout(TIMEOUT)
            .await
            .expect("just small enough");
        assert_eq!(reply.0.len(), LIMIT);
    });
    assert_eq!(gate.metrics().sends_dropped.get(), 2);
    assert_eq!(db.metrics().connections_accepted.get(), 1);
}
