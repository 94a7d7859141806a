//! Component tests of the socket room: sockets of services without a node, threads or real sockets. The test is the
//! peer of each connection, and the owner that gets the events.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::{READ_AHEAD_BYTES_MAX, SOCKET_OUT_BYTES_MAX, SocketShard, Sockets, WARNING_BYTES};
use crate::core::ShardCore;
use crate::core::envelope::Envelope;
use crate::core::handle::Handle;
use crate::core::recorder::{Component, Handed};
use crate::core::settings::Settings;
use crate::core::socket_event::{SocketId, SocketNews};
use crate::error::Error;
use crate::rt::manual::{self, Remote};

/// The owner of the sockets.
const OWNER: Handle = Handle(5);

struct Fixture {
    component: Component,
    /// The events that were not handled: the socket, the event, and its counted bytes.
    events: RefCell<Vec<(SocketId, SocketNews, usize)>>,
    /// The messages to other shards.
    staged: RefCell<Vec<(usize, Envelope)>>,
}

impl Fixture {
    fn new(shards: usize) -> Fixture {
        let component = Component::new(shards, Settings::default(), |_| {
            SocketShard::new(0, shards, &Arc::default())
        });
        component.add_service(OWNER);
        Fixture {
            component,
            events: RefCell::default(),
            staged: RefCell::default(),
        }
    }

    fn shard(&self) -> &Rc<ShardCore> {
        &self.component.shard
    }

    fn sockets(&self) -> Sockets {
        Sockets::new(Rc::clone(self.shard()), OWNER)
    }

    fn settle(&self) {
        manual::run();
        self.component.end_turn();
        for handed in self.component.handed() {
            match handed {
                Handed::Event(delivery) => {
                    assert_eq!(delivery.owner, OWNER);
                    let event = delivery.event;
                    self.events
                        .borrow_mut()
                        .push((event.socket, event.news, delivery.bytes));
                }
                Handed::Staged(to, envelope) => self.staged.borrow_mut().push((to, envelope)),
                _ => panic!("sockets send nothing else"),
            }
        }
    }

    /// Handles the events as the owner.
    fn handle_events(&self) -> Vec<(SocketId, SocketNews)> {
        self.settle();
        let events = self.events.take();
        let handled = events.into_iter().map(|(socket, news, bytes)| {
            self.shard().sockets().event_handled(self.shard(), socket, bytes);
            (socket, news)
        });
        let handled = handled.collect();
        self.settle();
        handled
    }

    /// Opens a connection; the test has its other end.
    fn connect(&self) -> (SocketId, Remote) {
        let socket = self
            .sockets()
            .connect("127.0.0.1", 7_000)
            .expect("there is space for a socket");
        self.settle();
        let dial = manual::dials().pop().expect("an attempt to connect");
        let remote = dial.accept();
        let events = self.handle_events();
        assert!(matches!(&events[..], [(opened, SocketNews::Opened { .. })] if *opened == socket));
        (socket, remote)
    }
}

/// The bytes of data events.
fn data(events: &[(SocketId, SocketNews)]) -> Vec<u8> {
    let data = events.iter().filter_map(|(_, news)| match news {
        SocketNews::Data(bytes) => Some(bytes.to_vec()),
        _ => None,
    });
    data.flatten().collect()
}

#[test]
fn bytes_written_before_the_connection_is_up_are_sent_in_order_afterwards() {
    let test = Fixture::new(1);
    let socket = test
        .sockets()
        .connect("127.0.0.1", 7_000)
        .expect("there is space");
    test.sockets()
        .write(socket, Bytes::from_static(b"one "))
        .expect("it takes bytes");
    test.sockets()
        .write_low(socket, Bytes::from_static(b"low"))
        .expect("it takes bytes");
    test.sockets()
        .write(socket, Bytes::from_static(b"two "))
        .expect("it takes bytes");
    test.settle();
    let remote = manual::dials().pop().expect("an attempt").accept();
    test.settle();
    assert_eq!(&*remote.received(), b"one two low");
}

#[test]
fn a_refused_connection_is_reported_once_and_its_socket_removed() {
    let test = Fixture::new(1);
    let socket = test
        .sockets()
        .connect("127.0.0.1", 7_000)
        .expect("there is space");
    test.settle();
    manual::dials().pop().expect("an attempt").refuse();
    let events = test.handle_events();
    assert!(matches!(&events[..], [(failed, SocketNews::Failed { .. })] if *failed == socket));
    let written = test.sockets().write(socket, Bytes::from_static(b"x"));
    assert!(matches!(written, Err(Error::Invalid { .. })));
    assert!(test.sockets().info().is_empty());
}

#[test]
fn reading_pauses_while_an_owner_does_not_handle_its_events_and_nothing_is_lost() {
    let test = Fixture::new(1);
    let (_, remote) = test.connect();
    let chunk = vec![7; 64 << 10];
    for _ in 0..32 {
        remote.send(&chunk);
    }
    test.settle();
    let unhandled: usize = test.events.borrow().iter().map(|(_, _, bytes)| bytes).sum();
    assert!(unhandled >= READ_AHEAD_BYTES_MAX && unhandled < READ_AHEAD_BYTES_MAX + chunk.len() + 1_024);
    let mut received = 0;
    loop {
        let events = test.handle_events();
        if events.is_empty() {
            break;
        }
        received += data(&events).len();
    }
    assert_eq!(received, 32 * chunk.len());
}

#[test]
fn a_peer_that_does_not_read_causes_warnings_and_is_then_cut_and_others_are_not() {
    let test = Fixture::new(1);
    let (slow, remote) = test.connect();
    let (healthy, other) = test.connect();
    remote.set_room(0);
    let chunk = Bytes::from(vec![7; 1 << 20]);
    let mut written = 0;
    let error = loop {
        match test.sockets().write(slow, chunk.clone()) {
            Ok(()) => written += chunk.len(),
            Err(error) => break error,
        }
    };
    assert_eq!((written, error.code()), (SOCKET_OUT_BYTES_MAX, "overloaded"));
    test.sockets()
        .write(healthy, Bytes::from_static(b"hello"))
        .expect("it is open");
    let events = test.handle_events();
    let warnings = events.iter().filter_map(|(socket, news)| match news {
        SocketNews::Warning { waiting } if *socket == slow => Some(*waiting),
        _ => None,
    });
    assert_eq!(warnings.min(), Some(WARNING_BYTES));
    let failed = |socket: SocketId| {
        events
            .iter()
            .any(|(it, news)| *it == socket && matches!(news, SocketNews::Failed { .. }))
    };
    assert!(failed(slow) && !failed(healthy));
    assert!(remote.is_shut_down());
    assert_eq!(&*other.received(), b"hello");
}

#[test]
fn closing_writes_the_waiting_bytes_first_and_the_end_is_reported_once() {
    let test = Fixture::new(1);
    let (socket, remote) = test.connect();
    remote.set_room(3);
    test.sockets()
        .write(socket, Bytes::from_static(b"hello"))
        .expect("it is open");
    test.settle();
    test.sockets().close(socket).expect("closing is no error");
    assert!(!remote.is_shut_down(), "two bytes wait");
    remote.close();
    let events = test.handle_events();
    let ends = events
        .iter()
        .filter(|(_, news)| matches!(news, SocketNews::Closed | SocketNews::Failed { .. }));
    assert_eq!(ends.count(), 1);
    assert_eq!(&*remote.received(), b"hel");
    assert!(test.handle_events().is_empty());
    test.sockets()
        .close(socket)
        .expect("closing a closed socket is no error");
}

#[test]
fn a_command_for_a_socket_of_another_shard_is_counted_until_it_is_dropped_or_executed() {
    let test = Fixture::new(2);
    let elsewhere = SocketId(3);
    test.sockets()
        .write(elsewhere, Bytes::from_static(b"hello"))
        .expect("it is sent");
    test.settle();
    let staged = test.staged.take();
    assert!(matches!(&staged[..], [(1, Envelope::SocketCommand(_))]));
    let sum = || {
        test.shard()
            .sockets()
            .in_transit
            .load(std::sync::atomic::Ordering::Relaxed)
    };
    assert!(sum() > 0);
    drop(staged);
    assert_eq!(sum(), 0);
}

#[test]
fn the_sockets_of_an_owner_that_has_ended_are_closed() {
    let test = Fixture::new(1);
    let (_, remote) = test.connect();
    test.shard().sockets().owner_ended(test.shard(), OWNER);
    test.settle();
    assert!(test.sockets().info().is_empty());
    drop(test.events.take());
    assert!(remote.is_shut_down());
}
