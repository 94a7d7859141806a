//! Services receive the events of nodes.

use std::sync::{Arc, Mutex};

use skyring::{Answer, Context, Kind, Message, NodeChange, Service};

use crate::cluster::{map_of, reload};
use crate::events::Events;
use crate::node::{run, wait_until};
use crate::ports::{ReservedPort, open_at};
use crate::start::start;
use crate::watching::watchful;

type Received = Arc<Mutex<Vec<(String, String)>>>;

/// Subscribes to `db`, repeatedly, and must get each event once.
struct Listener(Received);

impl Service for Listener {
    fn start(&mut self, context: &Context<Self>) -> Result<(), skyring::Error> {
        context.cluster().subscribe("db")?;
        context.cluster().subscribe("db")
    }

    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        if message.is_call() {
            context.cluster().unsubscribe("db");
            return Answer::now(&());
        }
        assert_eq!(message.kind, Kind::SYSTEM);
        let (what, node, change, cause, time_ms) = message
            .unpack::<(&str, &str, &str, &str, u64)>()
            .expect("the values that are promised");
        assert_eq!((what, node), ("node", "db"));
        assert!(time_ms > 1_600_000_000_000);
        self.0
            .lock()
            .expect("no panic with the lock")
            .push((change.to_owned(), cause.to_owned()));
        Answer::none()
    }
}

#[test]
fn a_service_that_subscribes_gets_each_change_once_as_a_message() {
    let gate = watchful(3);
    let port = ReservedPort::new();
    let received = Received::default();
    let listener = run(&gate, {
        let received = Arc::clone(&received);
        |caller| async move {
            caller
                .launch(move |_| Listener(received))
                .await
                .expect("it launches")
        }
    });
    let changes = || -> Vec<String> {
        let received = received.lock().expect("no panic with the lock");
        received.iter().map(|(change, _)| change.clone()).collect()
    };
    // The map names the node only now.
    reload(&gate, map_of("db", &port.address()));
    wait_until("the node is reported down", || changes() == ["suspect", "down"]);
    let cause = received.lock().expect("no panic with the lock")[1].1.clone();
    assert!(cause.contains("refused"), "{cause}");
    let db = start(1);
    open_at(&db, &port.address()).expect("the port is free");
    wait_until("the node is reported up", || {
        changes() == ["suspect", "down", "up"]
    });
    // A later monitor begins with the present state.
    assert_eq!(Events::of(&gate, "db").next().change, NodeChange::Up);
    run(&gate, move |caller| async move {
        caller.call(listener, &"that is enough").await.expect("an answer");
    });
    let events = Events::of(&gate, "db");
    drop(db);
    events.wait_for(&[NodeChange::Down]);
    assert_eq!(changes(), ["suspect", "down", "up"]);
}
