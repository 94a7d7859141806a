//! Component tests of the cluster room: without a node, threads or sockets, in virtual time. The test is the peer at
//! the other end of each connection, and uses the codec's link.

mod accepting;
mod dialling;
mod encryption;
mod groups;
mod idle;
mod membership;
mod peers;
mod scaling;
mod when_down;

use std::cell::RefCell;
use std::rc::Rc;

use skyring_codec::Millis;

use crate::cluster::shared::ClusterShared;
use crate::cluster::{ClusterShard, membership::detector::NodeState};
use crate::config::ClusterMap;
use crate::core::ShardCore;
use crate::core::handle::{Address, Handle};
use crate::core::payload::Payload;
use crate::core::recorder::{Component, Handed};
use crate::core::request::{RemoteRequest, ReplyTo};
use crate::core::settings::Settings;
use crate::core::slab::Key;
use crate::core::spans::SpanKey;
use crate::core::timers::Timer;
use crate::core::waiters::{Outcome, Polled};
use crate::error::Error;
use crate::rt::manual;

/// The time without a sign of life after which a node is down, in milliseconds.
const DOWN_AFTER_MS: Millis = 2_000;

/// The default timeout of calls, in milliseconds.
const CALL_TIMEOUT_MS: u64 = 30_000;

/// The cluster room of the first shard of a node.
struct Cluster {
    component: Component,
    /// The messages that the room has sent to others.
    handed: RefCell<Vec<Handed>>,
}

impl Cluster {
    fn new(map: ClusterMap) -> Cluster {
        Cluster::with(1, map, |_| ())
    }

    /// A node with `shards` shards, and with settings that the test changes.
    fn with(shards: usize, map: ClusterMap, change: impl FnOnce(&mut Settings)) -> Cluster {
        let mut settings = Settings {
            call_timeout_ms: CALL_TIMEOUT_MS,
            down_after_ms: DOWN_AFTER_MS,
            channels: Some(1),
            name: "here".to_owned(),
            clients_per_source_max: 100,
            accepts_per_second_max: 1_000,
            ..Settings::default()
        };
        change(&mut settings);
        let component = Component::new(shards, settings, |node| {
            ClusterShard::new(node, &ClusterShared::new(map))
        });
        Cluster {
            component,
            handed: RefCell::default(),
        }
    }

    fn shard(&self) -> &Rc<ShardCore> {
        &self.component.shard
    }

    fn room(&self) -> &ClusterShard {
        self.shard().cluster()
    }

    /// Calls a service of a node; its outcome is found by the key.
    fn call(&self, node: &str, values: &str) -> Key {
        self.call_within(node, values, CALL_TIMEOUT_MS)
    }

    fn call_within(&self, node: &str, values: &str, timeout_ms: u64) -> Key {
        self.call_with(node, |request| {
            request.payload = Payload::pack(values).expect("a text can be packed");
            request.deadline = Some(self.shard().now() + timeout_ms);
            request.timeout_ms = timeout_ms;
        })
    }

    fn call_with(&self, node: &str, change: impl FnOnce(&mut RemoteRequest)) -> Key {
        let key = self.shard().insert_waiter(None);
        let mut request = RemoteRequest {
            node: node.into(),
            address: Address::Name("@service".into()),
            source: Handle(7),
            key: 0,
            channel: 0,
            payload: Payload::default(),
            reply_to: self.shard().waiter(key),
            deadline: Some(self.shard().now() + CALL_TIMEOUT_MS),
            timeout_ms: CALL_TIMEOUT_MS,
            is_idempotent: false,
            waits: false,
            span: SpanKey::NONE,
            when_down: None,
        };
        change(&mut request);
        self.room().route(self.shard(), request);
        self.settle();
        key
    }

    /// The outcome of a call, once: its text, or its error.
    fn outcome(&self, key: Key) -> Option<Result<String, Error>> {
        let waker = std::task::Waker::noop();
        let outcome = match self.shard().poll_call(key, waker) {
            Polled::Pending => return None,
            Polled::Payload(payload) => Ok(payload),
            Polled::Outcome(Outcome::Answer(result)) => result,
            Polled::Outcome(Outcome::Elapsed) => {
                return Some(Err(Error::Timeout {
                    target: "".into(),
                    timeout_ms: 0,
                }));
            }
        };
        Some(outcome.map(|payload| payload.unpack::<String>().expect("an answer that is a text")))
    }

    /// The code of the error that a call has failed with.
    fn error_code(&self, key: Key) -> Option<&'static str> {
        Some(self.outcome(key)?.expect_err("the call failed").code())
    }

    /// Runs everything that needs no time.
    fn settle(&self) {
        manual::run();
        self.component.end_turn();
        for handed in self.component.handed() {
            match handed {
                // The router's part: it returns the answers of members to the room.
                Handed::Reply(ReplyTo::Group { key, member, .. }, result) => {
                    self.room()
                        .member_answered(self.shard(), key, usize::from(member), result);
                }
                other => self.handed.borrow_mut().push(other),
            }
        }
    }

    /// Lets time pass.
    fn pass(&self, time_ms: Millis) {
        for _ in 0..time_ms {
            self.pass_one();
            self.settle();
        }
    }

    fn pass_one(&self) {
        self.component.pass_one(|shard, timer| {
            let cluster = shard.cluster();
            match timer {
                Timer::Waiter(key) => shard.complete_waiter(key, Outcome::Elapsed),
                Timer::Channel(key) => cluster.channel_deadline(shard, key),
                Timer::Inbound(key) => cluster.inbound_deadline(shard, key),
                Timer::PendingRequest(key) => cluster.pending_deadline(shard, key),
                Timer::Drain => cluster.continue_drain(shard),
                Timer::Detector => cluster.detector_deadline(shard),
                Timer::Hedge(key) => cluster.hedge(shard, key),
                Timer::Service(..) => {}
            }
        });
    }

    /// Merges a change into the map, as `reload` does.
    fn reload(&self, changes: ClusterMap) {
        let merged = self.room().shared.map.update(|map| {
            map.merge(changes);
            Ok::<(), Error>(())
        });
        assert!(merged.is_ok());
        self.room().map_changed(self.shard());
        self.settle();
    }

    fn state(&self, node: &str) -> NodeState {
        self.room().node_state(node)
    }
}

/// A map with one node.
fn map(node: &str, address: &str) -> ClusterMap {
    ClusterMap::new()
        .with(node, address)
        .expect("an address of a test is one")
}
