//! Component tests of the service room: services without a node, threads or sockets, in virtual time.

use std::rc::Rc;
use std::time::Duration;

use crate::core::ShardCore;
use crate::core::handle::{Address, Handle};
use crate::core::payload::{Kind, Payload};
use crate::core::recorder::{Component, Handed};
use crate::core::request::{ReplyTo, Request};
use crate::core::settings::Settings;
use crate::core::spans::SpanKey;
use crate::core::timers::Timer;
use crate::error::Error;
use crate::rt::manual;
use crate::service::context::Context;
use crate::service::launch::launch_here;
use crate::service::message::{Answer, Message};
use crate::service::responder::Responder;
use crate::service::{Kinds, Service, ServiceShard};

/// The service under test.
const SERVICE: Handle = Handle(5);

/// Executes the command of each message.
#[derive(Default)]
struct Puppet {
    kept: Vec<Responder>,
}

impl Service for Puppet {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        let command: String = message.unpack().expect("the tests send texts");
        match command.as_str() {
            "now" => Answer::now("done"),
            "error" => Answer::error(Error::remote("no")),
            "inner error" => Answer::error(Error::ShuttingDown),
            "panic" => panic!("on command"),
            "silent" => Answer::none(),
            "keep" => {
                self.kept.push(context.responder());
                Answer::none()
            }
            "drop kept" => {
                self.kept.clear();
                Answer::now("dropped")
            }
            "later" => {
                let context = context.clone();
                Answer::later(async move {
                    context.sleep(Duration::from_millis(10)).await;
                    Payload::pack("later")
                })
            }
            "call out" => {
                let call = context.call(".other", "hello");
                Answer::later(call)
            }
            "call db" => {
                let call = context.node("db").key(9).call("@sdb", "GET");
                Answer::later(call.timeout(Duration::from_millis(70)).idempotent())
            }
            "wake" => {
                context.wake_after(Duration::from_millis(5), 77);
                Answer::none()
            }
            "exit" => {
                context.exit();
                Answer::now("bye")
            }
            _ => Answer::error(Error::remote("unknown command")),
        }
    }
}

struct Services {
    component: Component,
}

impl Services {
    fn new() -> Services {
        let component = Component::new(2, Settings::default(), |_| ServiceShard::new(Kinds::default()));
        launch_here(&component.shard, SERVICE, |_| Puppet::default()).expect("the puppet starts");
        Services { component }
    }

    fn shard(&self) -> &Rc<ShardCore> {
        &self.component.shard
    }

    /// Delivers a call from a connection, as the router does.
    fn call(&self, session: u32, command: &str) {
        let service = self.shard().services().get(SERVICE).expect("the service lives");
        service.deliver(&mut Request {
            target: SERVICE,
            source: Handle(9),
            kind: Kind::LUA,
            payload: Payload::pack(command).expect("a text"),
            reply_to: reply_to(session),
            waits: false,
            deadline: None,
            span: SpanKey::NONE,
        });
        manual::run();
    }

    /// The answers so far: sessions, and texts or errors.
    fn answers(&self) -> Vec<(u32, Result<String, Error>)> {
        let handed = self.component.handed().into_iter();
        let answers = handed.filter_map(|handed| match handed {
            Handed::Reply(reply_to, result) => {
                let text = result.map(|payload| payload.unpack::<Option<String>>().expect("a text"));
                Some((reply_to.session(), text.map(Option::unwrap_or_default)))
            }
            _ => None,
        });
        answers.collect()
    }

    fn pass(&self, time_ms: u64) {
        for _ in 0..time_ms {
            self.component.pass_one(|shard, timer| match timer {
                Timer::Waiter(key) => shard.complete_waiter(key, crate::core::waiters::Outcome::Elapsed),
                Timer::Service(handle, session) => {
                    shard.answer_service(handle, session, Ok(Payload::default()));
                }
                other => panic!("a service has no such timer: {other:?}"),
            });
        }
    }
}

fn reply_to(session: u32) -> ReplyTo {
    ReplyTo::Connection {
        shard: 1,
        connection: crate::core::slab::Key::from_u64(1),
        session,
        bytes: 0,
    }
}

fn ok(text: &str) -> Result<String, Error> {
    Ok(text.to_owned())
}

#[test]
fn an_answer_at_once_goes_to_its_call_and_an_error_only_with_its_text() {
    let services = Services::new();
    services.call(1, "now");
    services.call(2, "error");
    services.call(3, "inner error");
    let inner = Err(Error::remote("shutting-down: this node is stopping"));
    let expected = [(1, ok("done")), (2, Err(Error::remote("no"))), (3, inner)];
    assert_eq!(services.answers(), expected);
}

#[test]
fn a_later_answer_is_sent_when_it_is_ready_and_other_messages_do_not_wait_for_it() {
    let services = Services::new();
    services.call(1, "later");
    services.call(2, "now");
    assert_eq!(services.answers(), [(2, ok("done"))]);
    services.pass(9);
    assert_eq!(services.answers(), []);
    services.pass(3);
    assert_eq!(services.answers(), [(1, ok("later"))]);
}

#[test]
fn a_call_without_an_answer_or_a_taken_responder_fails_and_so_does_a_dropped_responder() {
    let services = Services::new();
    services.call(1, "silent");
    services.call(2, "keep");
    assert_eq!(
        services.answers(),
        [(1, Err(Error::remote("the service did not answer")))]
    );
    services.call(3, "drop kept");
    let dropped = Err(Error::remote("the service ended before it answered"));
    assert_eq!(services.answers(), [(2, dropped), (3, ok("dropped"))]);
}

#[test]
fn a_panic_fails_its_call_ends_the_service_and_fails_its_unanswered_calls() {
    let services = Services::new();
    services.call(1, "keep");
    services.call(2, "later");
    services.call(3, "panic");
    let answers = services.answers();
    let sessions: Vec<u32> = answers.iter().map(|(session, _)| *session).collect();
    assert!(
        sessions.contains(&1) && sessions.contains(&2) && sessions.contains(&3),
        "{answers:?}"
    );
    assert!(answers.iter().all(|(_, result)| result.is_err()));
    assert!(services.shard().services().get(SERVICE).is_none());
    assert_eq!(services.shard().node.metrics.panics.get(), 1);
    assert_eq!(services.shard().waiters(), 0, "the sleep of its task has ended");
}

#[test]
fn a_service_that_ends_in_the_turn_of_its_reply_drops_the_reply_and_counts_it() {
    let services = Services::new();
    services
        .shard()
        .node
        .names
        .update(|names| names.name_local("other", Handle(8)))
        .expect("a free name");
    services.call(1, "call out");
    let reply_to = services
        .component
        .handed()
        .into_iter()
        .find_map(|handed| match handed {
            Handed::Request(request) => Some(request.reply_to),
            _ => None,
        });
    let reply_to = reply_to.expect("its call was sent");
    services.call(2, "exit");
    services.shard().reply(reply_to, Payload::pack("too late"));
    manual::run();
    assert_eq!(services.shard().node.metrics.replies_late.get(), 1);
    let answers = services.answers();
    assert!(answers.contains(&(2, ok("bye"))), "{answers:?}");
    let ended = Err(Error::remote("the service ended before it answered"));
    assert!(answers.contains(&(1, ended)), "{answers:?}");
}

#[test]
fn a_wake_up_is_never_early() {
    let services = Services::new();
    services.call(0, "wake");
    services.pass(5);
    let answered = |services: &Services| {
        let handed = services.component.handed().into_iter();
        handed
            .filter(|handed| matches!(handed, Handed::Answer(SERVICE, 77, Ok(_))))
            .count()
    };
    assert_eq!(answered(&services), 0, "never early");
    services.pass(2);
    assert_eq!(answered(&services), 1);
}

#[test]
fn an_unknown_name_fails_the_call_and_nothing_leaves_the_room() {
    let services = Services::new();
    services.call(1, "call out");
    let answers = services.answers();
    assert_eq!(answers.len(), 1);
    let (_, result) = &answers[0];
    assert_eq!(*result, Err(Error::remote("no-such-service: .other")));
}

#[test]
fn an_ended_service_leaves_no_name_and_the_other_rooms_are_notified() {
    let services = Services::new();
    let names = &services.shard().node.names;
    names
        .update(|names| names.register("puppet", SERVICE))
        .expect("a free name");
    let address: Address = "@puppet".into();
    assert_eq!(services.shard().resolve(&address, 0), Ok(SERVICE));
    services.call(1, "exit");
    assert!(services.shard().resolve(&address, 0).is_err());
    let ended = services.component.handed().into_iter();
    assert_eq!(
        ended
            .filter(|handed| matches!(handed, Handed::Ended(SERVICE)))
            .count(),
        1
    );
}

#[test]
fn a_call_to_another_node_leaves_the_room_with_its_deadline_its_key_and_its_options() {
    let services = Services::new();
    let now = services.shard().now();
    services.call(1, "call db");
    let remote = services
        .component
        .handed()
        .into_iter()
        .find_map(|handed| match handed {
            Handed::Remote(request) => Some(request),
            _ => None,
        });
    let remote = remote.expect("the call was sent");
    assert_eq!(
        (&*remote.node, remote.address.to_string().as_str()),
        ("db", "@sdb")
    );
    assert_eq!(
        (remote.key, remote.source, remote.deadline),
        (9, SERVICE, Some(now + 70))
    );
    assert!(remote.is_idempotent && !remote.waits);
    services.shard().reply(remote.reply_to, Payload::pack("value"));
    manual::run();
    assert_eq!(services.answers(), [(1, ok("value"))]);
}
