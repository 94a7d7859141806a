//! A load with a ledger: each call has a number, its callee records it, and the two sides are compared.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use skyring::{Answer, Caller, Message, Node};

use crate::handler::{Handler, launch};
use crate::node::{TIMEOUT, run};

/// The ledger of the callee: for each caller the numbers of its messages, in the order in which they ran.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<HashMap<u64, Vec<u64>>>>);

impl Ledger {
    /// Registers a service that records each message and answers with its number.
    pub(crate) fn serve(&self, node: &Node) {
        let ledger = self.clone();
        crate::cluster::serve(node, "book", move |_| {
            Handler(move |_: &Caller, message: Message| {
                let (caller, number, _) = message.unpack::<(u64, u64, &[u8])>().expect("an entry");
                ledger
                    .0
                    .lock()
                    .expect("no panic")
                    .entry(caller)
                    .or_default()
                    .push(number);
                Answer::now(&number)
            })
        });
    }

    /// The numbers of a caller's messages.
    pub(crate) fn of(&self, caller: u64) -> Vec<u64> {
        let ledger = self.0.lock().expect("no panic");
        ledger.get(&caller).cloned().unwrap_or_default()
    }
}

/// Whether a caller's message is a send: every third is.
pub(crate) fn is_send(number: u64) -> bool {
    number % 3 == 2
}

/// Makes `callers` services call `@book` of `db` at once, `count` messages each with up to eight calls in flight, and
/// waits for all answers. Sizes vary, up to several reads. Each call must be answered with its own number.
pub(crate) fn load(node: &Node, callers: u64, count: u64) {
    let services = run(node, move |caller| async move {
        let mut services = Vec::new();
        for number in 0..callers {
            services.push(launch(&caller, move |caller, _| one_caller(caller, number, count)).await);
        }
        services
    });
    let client = node.client();
    let calls: Vec<_> = services
        .into_iter()
        .map(|service| client.call(service, &()))
        .collect();
    for call in calls {
        call.wait().expect("the caller ends");
    }
}

fn one_caller(caller: &Caller, number: u64, count: u64) -> Answer {
    let caller = caller.clone();
    Answer::later(async move {
        let db = caller.node("db").key(number);
        let unanswered = Rc::new(std::cell::Cell::new(0u64));
        let large = vec![7u8; 60_000];
        for entry in 0..count {
            let bytes = &large[..[0, 10, 700, 60_000][(entry % 41 % 4) as usize] / (1 + entry as usize % 7)];
            let values = (number, entry, bytes);
            if is_send(entry) {
                db.send("@book", &values)?;
                continue;
            }
            while unanswered.get() >= 8 {
                caller.sleep(std::time::Duration::from_millis(1)).await;
            }
            unanswered.set(unanswered.get() + 1);
            let call = Box::pin(db.call("@book", &values).timeout(TIMEOUT * 4));
            let (done, own) = (Rc::clone(&unanswered), caller.clone());
            // Sent in order, and awaited concurrently with the next ones.
            let mut call = call;
            let early = std::future::poll_fn(|context| {
                std::task::Poll::Ready(std::future::Future::poll(call.as_mut(), context))
            })
            .await;
            assert!(early.is_pending(), "it cannot have been answered");
            own.spawn(async move {
                let reply = call.await.expect("each call is answered");
                assert_eq!(reply.unpack::<u64>(), Ok(entry));
                done.set(done.get() - 1);
            });
        }
        while unanswered.get() > 0 {
            caller.sleep(std::time::Duration::from_millis(1)).await;
        }
        skyring::Payload::pack(&())
    })
}
