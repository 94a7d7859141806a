//! A service that stops has time to write, takes no more messages, and a node stops its services in reverse order.

use std::time::Duration;

use skyring::{Answer, Context, End, Error, Message, Payload, Service, Stop, Strategy, Supervisor};

use crate::mortal::{Mortal, Record, mortal, mortal_with};
use crate::node::{TIMEOUT, run};
use crate::start::{builder, start};

#[test]
fn an_exit_runs_the_stop_to_its_end_before_the_service_is_gone() {
    for threads in [1, 3] {
        let node = start(threads);
        let record = Record::default();
        run(&node, {
            let record = record.clone();
            |caller| async move {
                let mortal = Mortal {
                    name: "a",
                    record,
                    life: 1,
                    failing_starts: 0,
                    stop_time: Some(Duration::from_millis(30)),
                };
                let mortal = caller.launch(move |_| mortal).await.expect("it starts");
                let mut watch = Box::pin(caller.watch(mortal));
                assert!(caller.within(Duration::from_millis(1), &mut watch).await.is_err());
                let mut waits = Box::pin(caller.call(mortal, "WAIT").timeout(TIMEOUT));
                assert!(caller.within(Duration::from_millis(1), &mut waits).await.is_err());
                caller.call(mortal, "EXIT").await.expect("its last answer");
                // It stops, and takes no more messages; what it has begun goes on.
                let error = caller.call(mortal, "LIFE").timeout(TIMEOUT).await.unwrap_err();
                assert_eq!((error.code(), error.may_have_run()), ("no-such-service", false));
                assert_eq!(watch.await, Ok(End::Exited));
                assert_eq!(waits.await.unwrap_err().code(), "remote");
            }
        });
        assert_eq!(record.all(), ["start a", "stop a"]);
    }
}

#[test]
fn a_stop_that_takes_too_long_ends_and_counts() {
    let node = start(2);
    run(&node, |caller| async move {
        let record = Record::default();
        let slow =
            mortal_with("slow", &record, 0, Some(TIMEOUT * 10)).stop_timeout(Duration::from_millis(20));
        let supervisor = Supervisor::new("test", Strategy::OneForOne).child(slow);
        let supervisor = caller.supervise(supervisor).await.expect("it starts");
        assert_eq!(caller.stop_service(supervisor, TIMEOUT).await, Ok(End::Exited));
        assert_eq!(record.all(), ["start slow"]);
    });
    assert_eq!(node.metrics().stops_late.get(), 1);
}

#[test]
fn a_panic_while_it_stops_is_its_end() {
    struct Clumsy;
    impl Service for Clumsy {
        fn handle(&mut self, context: &Context<Self>, _message: Message) -> Answer {
            context.exit();
            Answer::now(&())
        }
        fn stop(&mut self, _context: &Context<Self>) -> Stop {
            panic!("stumbled")
        }
    }
    let node = start(1);
    run(&node, |caller| async move {
        let clumsy = caller.launch(|_| Clumsy).await.expect("it starts");
        let mut watch = Box::pin(caller.watch(clumsy));
        assert!(caller.within(Duration::from_millis(1), &mut watch).await.is_err());
        caller.call(clumsy, &()).await.expect("its last answer");
        assert_eq!(
            watch.await,
            Ok(End::Panicked {
                text: "stumbled".into()
            })
        );
    });
}

#[test]
fn a_node_stops_its_services_in_reverse_order_and_waits_for_what_they_write() {
    for threads in [1, 3] {
        let node = builder(threads).stop_timeout(TIMEOUT).start().expect("a node");
        let record = Record::default();
        run(&node, {
            let record = record.clone();
            |caller| async move {
                let slow = Some(Duration::from_millis(10));
                let single = |name, stop_time| Mortal {
                    name,
                    record: record.clone(),
                    life: 1,
                    failing_starts: 0,
                    stop_time,
                };
                let (first, last) = (single("first", slow), single("last", None));
                caller.launch(move |_| first).await.expect("it starts");
                let supervisor = Supervisor::new("test", Strategy::OneForOne)
                    .child(mortal_with("a", &record, 0, slow))
                    .child(mortal("b", &record));
                caller.supervise(supervisor).await.expect("it starts");
                caller.launch(move |_| last).await.expect("it starts");
                let _ = record.take();
            }
        });
        let metrics = node.metrics().stops_late.get();
        node.stop();
        assert_eq!(record.all(), ["stop last", "stop b", "stop a", "stop first"]);
        assert_eq!(metrics, 0);
    }
}

#[test]
fn a_service_that_stops_can_still_call_those_that_were_launched_before_it() {
    struct Journal(Record);
    impl Service for Journal {
        fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
            self.0.add(message.unpack::<String>().unwrap_or_default());
            Answer::now(&())
        }
    }
    struct Writer;
    impl Service for Writer {
        fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
            Answer::now(&())
        }
        fn stop(&mut self, context: &Context<Self>) -> Stop {
            let context = context.clone();
            Stop::later(async move {
                let written: Result<Payload, Error> = context.call(".journal", "the last line").await;
                assert!(written.is_ok(), "{written:?}");
            })
        }
    }
    let node = builder(2).stop_timeout(TIMEOUT).start().expect("a node");
    let record = Record::default();
    run(&node, {
        let record = record.clone();
        |caller| async move {
            let journal = caller.launch(move |_| Journal(record)).await.expect("it starts");
            caller.name_service(".journal", journal).expect("a free name");
            caller.launch(|_| Writer).await.expect("it starts");
        }
    });
    node.stop();
    assert_eq!(record.all(), ["the last line"]);
}

#[test]
fn a_node_whose_supervisor_gives_up_says_so_once() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let node = builder(2)
        .on_failure(move |cause| {
            let _ = sender.send(cause.to_owned());
        })
        .start()
        .expect("a node");
    run(&node, |caller| async move {
        let supervisor = Supervisor::new("game", Strategy::OneForOne)
            .intensity(0, Duration::from_secs(1))
            .child(mortal("a", &Record::default()))
            .escalates_to_node();
        caller.supervise(supervisor).await.expect("it starts");
        let _ = caller.call(".a", "PANIC").await;
    });
    let cause = receiver.recv_timeout(TIMEOUT).expect("a cause");
    assert!(
        cause.contains("supervisor game gives up") && cause.contains("told to"),
        "{cause}"
    );
    assert_eq!(node.failure().as_deref(), Some(cause.as_str()));
    node.stop();
    assert!(receiver.recv().is_err(), "only once");
}
