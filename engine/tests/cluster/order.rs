//! Messages of one caller to another node arrive in the order in which they were sent, whatever their sizes.

use std::future::Future;
use std::task::Poll;

use crate::cluster::{map_of, open, reload};
use crate::handler::launch;
use crate::node::{TIMEOUT, run};
use crate::start::start;
use crate::support::serve_record;

const COUNT: i64 = 400;

#[test]
fn small_and_large_messages_of_one_caller_keep_their_order() {
    for threads in [1, 3] {
        let (gate, db) = (start(threads), start(threads));
        let records = [0, 1, 2, 3].map(|number| serve_record(&db, &format!("record{number}")));
        reload(&gate, map_of("db", &open(&db)));
        run(&gate, |caller| async move {
            // Four callers at once, on any shards.
            let mut callers = Vec::new();
            for number in 0..4 {
                let service = launch(&caller, move |caller, _| {
                    let caller = caller.clone();
                    skyring::Answer::later(async move {
                        let (db, address) = (caller.node("db"), format!("@record{number}"));
                        let large = "x".repeat(100_000);
                        for number in 0..COUNT {
                            let text = if number % 7 == 3 { large.as_str() } else { "" };
                            if number % 5 != 1 {
                                db.send(address.as_str(), &(number, text))?;
                                continue;
                            }
                            let mut call =
                                Box::pin(db.call(address.as_str(), &(number, text)).timeout(TIMEOUT));
                            // Polled once, so that it is sent now; the next does not wait for its answer.
                            std::future::poll_fn(|context| {
                                let _ = call.as_mut().poll(context);
                                Poll::Ready(())
                            })
                            .await;
                            caller.spawn(async move {
                                call.await.expect("each call is answered");
                            });
                        }
                        db.call(address.as_str(), &COUNT).timeout(TIMEOUT * 2).await
                    })
                })
                .await;
                callers.push(caller.call(service, &()).timeout(TIMEOUT * 2));
            }
            for outcome in crate::together::all(&caller, callers).await {
                outcome.expect("every caller ends");
            }
        });
        for record in records {
            assert_eq!(record.numbers(), (0..=COUNT).collect::<Vec<i64>>());
        }
    }
}
