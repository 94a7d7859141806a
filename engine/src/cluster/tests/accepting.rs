//! Inbound connections.

use std::io::IoSlice;
use std::rc::Rc;

use skyring_codec::link::{CallerEvent, CallerLimits, CallerLink, CallerRequest};
use skyring_codec::seri;
use skyring_codec::skynet;

use super::peers::{Callee, hello, only_dial};
use super::{Cluster, DOWN_AFTER_MS, map};
use crate::cluster::accepting::admission::{ClientLimits, Clients, Offer};
use crate::cluster::accepting::inbound::{PACKAGE_TIME_MS_MAX, REQUESTS_HANDLED_MAX};
use crate::cluster::membership::detector::NodeState;
use crate::config::ClusterMap;
use crate::core::handle::Handle;
use crate::core::payload::Payload;
use crate::core::recorder::Handed;
use crate::core::request::{ReplyTo, Request};
use crate::error::Error;
use crate::rt::manual::{self, Remote};
use crate::rt::stream::Stream;

/// A node that connects.
struct Caller {
    remote: Remote,
    link: CallerLink,
}

impl Caller {
    /// Connects, with a new link or that of an earlier connection.
    fn connect_with(cluster: &Cluster, mut link: CallerLink) -> Caller {
        let remote = connect(cluster);
        link.dial(cluster.shard().now(), &hello("gate", 1, 1, 9))
            .expect("a hello");
        let mut caller = Caller { remote, link };
        caller.exchange(cluster);
        caller
    }

    fn connect(cluster: &Cluster) -> Caller {
        Caller::connect_with(cluster, CallerLink::new(CallerLimits::default()))
    }

    fn call(&mut self, cluster: &Cluster, token: u64, values: &str) {
        let request = CallerRequest {
            address: skynet::Address::Handle(1),
            source: 0,
            key: 0,
            payload: seri::pack(values).expect("a text can be packed"),
            deadline: None,
            token: Some(token),
            is_idempotent: false,
        };
        self.link
            .request(cluster.shard().now(), request)
            .expect("there is space");
    }

    /// Writes the output, reads the input, and returns the events.
    fn exchange(&mut self, cluster: &Cluster) -> Vec<CallerEvent> {
        let mut events = Vec::new();
        for _ in 0..3 {
            loop {
                let mut slices = [IoSlice::new(&[]); 64];
                let count = self.link.transmit(&mut slices);
                let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
                if bytes.is_empty() {
                    break;
                }
                self.remote.send(&bytes);
                self.link.transmitted(bytes.len());
            }
            cluster.settle();
            let received = self.remote.received();
            if !received.is_empty() {
                self.link.receive(received);
            }
            while let Some(event) = self.link.poll_event(cluster.shard().now()).expect("the protocol") {
                events.push(event);
            }
        }
        events
    }
}

/// Opens a connection to the node.
pub(super) fn connect(cluster: &Cluster) -> Remote {
    let clients = Clients::new(ClientLimits {
        clients_max: 100,
        clients_per_source_max: 100,
        accepts_per_second_max: 1_000,
        requires_proof: false,
    });
    let peer = "127.0.0.1:50000".parse().expect("an address");
    let offer = Offer {
        channels: Some(1),
        name: None,
    };
    let admission = clients
        .admit(cluster.shard().now(), peer, &offer)
        .expect("it is admitted");
    let (stream, remote) = manual::Stream::accepted();
    cluster
        .room()
        .accept_stream(cluster.shard(), Rc::new(Stream::Manual(stream)), peer, admission);
    cluster.settle();
    remote
}

/// The requests that services have received.
fn requests(cluster: &Cluster) -> Vec<Request> {
    let requests = cluster.handed.take().into_iter().map(|handed| match handed {
        Handed::Request(request) => request,
        _ => panic!("only requests were expected"),
    });
    requests.collect()
}

fn answer(cluster: &Cluster, reply_to: ReplyTo, result: Result<Payload, Error>) {
    let ReplyTo::Connection {
        connection,
        session,
        bytes,
        ..
    } = reply_to
    else {
        panic!("requests of peers are answered to their connections: {reply_to:?}");
    };
    cluster
        .room()
        .respond(cluster.shard(), connection, session, bytes as usize, result);
}

fn replies(events: Vec<CallerEvent>) -> Vec<(u64, Option<String>)> {
    let replies = events.into_iter().filter_map(|event| match event {
        CallerEvent::Reply { token, result } => {
            let text = result
                .ok()
                .map(|payload| seri::unpack::<String>(&payload).expect("a text"));
            Some((token, text))
        }
        _ => None,
    });
    replies.collect()
}

#[test]
fn requests_reach_services_in_order_and_answers_in_any_order_reach_their_calls() {
    let cluster = Cluster::new(ClusterMap::new());
    let mut gate = Caller::connect(&cluster);
    for token in 1..=3 {
        gate.call(&cluster, token, &format!("call {token}"));
    }
    gate.exchange(&cluster);
    let requests = requests(&cluster);
    let texts: Vec<String> = requests
        .iter()
        .map(|request| request.payload.unpack().expect("a text"))
        .collect();
    assert_eq!(texts, ["call 1", "call 2", "call 3"]);
    assert!(requests.iter().all(|request| request.target == Handle(1)));
    for request in requests.iter().rev() {
        answer(&cluster, request.reply_to, Ok(request.payload.clone()));
    }
    let answers = replies(gate.exchange(&cluster));
    let expected: Vec<(u64, Option<String>)> = (1..=3)
        .rev()
        .map(|token| (token, Some(format!("call {token}"))))
        .collect();
    assert_eq!(answers, expected);
}

#[test]
fn a_connection_is_not_read_while_too_many_of_its_requests_are_in_progress() {
    let cluster = Cluster::new(ClusterMap::new());
    let mut gate = Caller::connect(&cluster);
    let calls = REQUESTS_HANDLED_MAX as u64 + 100;
    for token in 1..=calls {
        gate.call(&cluster, token, "x");
        if token % 1_000 == 0 {
            gate.exchange(&cluster);
        }
    }
    gate.exchange(&cluster);
    let taken = requests(&cluster);
    assert_eq!(taken.len(), REQUESTS_HANDLED_MAX, "the rest waits in the socket");
    assert!(cluster.shard().node.metrics.reads_paused.get() > 0);
    for request in &taken[..50] {
        answer(&cluster, request.reply_to, Ok(Payload::default()));
    }
    cluster.pass(1);
    gate.exchange(&cluster);
    assert_eq!(requests(&cluster).len(), 50, "one for each that was answered");
}

#[test]
fn an_answer_for_a_closed_connection_is_counted_and_has_no_other_effect() {
    let cluster = Cluster::new(ClusterMap::new());
    let remote = connect(&cluster);
    // A call in the skynet dialect, which has no sessions that resume: type, handle 1, session 5.
    let mut package = vec![0, 1, 0, 0, 0, 5, 0, 0, 0];
    package.extend(seri::pack("hello").expect("a text"));
    let length = (package.len() as u16).to_be_bytes();
    remote.send(&[&length[..], &package].concat());
    cluster.settle();
    let taken = requests(&cluster);
    assert_eq!(taken.len(), 1);
    remote.close();
    cluster.settle();
    answer(&cluster, taken[0].reply_to, Ok(Payload::default()));
    assert_eq!(cluster.shard().node.metrics.replies_late.get(), 1);
}

#[test]
fn a_connection_that_does_not_finish_a_package_in_time_is_closed() {
    let cluster = Cluster::new(ClusterMap::new());
    let remote = connect(&cluster);
    remote.send(&[0, 10, 0]);
    cluster.pass(PACKAGE_TIME_MS_MAX);
    cluster.room().sweep(cluster.shard());
    assert!(!remote.is_shut_down());
    cluster.pass(2);
    cluster.room().sweep(cluster.shard());
    cluster.settle();
    assert!(remote.is_shut_down());
    assert_eq!(cluster.shard().node.metrics.connections_silent.get(), 1);
}

#[test]
fn a_session_resumes_on_another_connection_with_the_answers_given_meanwhile() {
    let cluster = Cluster::new(ClusterMap::new());
    let mut gate = Caller::connect(&cluster);
    gate.call(&cluster, 1, "before the cut");
    gate.exchange(&cluster);
    let taken = requests(&cluster);
    gate.remote.close();
    cluster.settle();
    answer(
        &cluster,
        taken[0].reply_to,
        Ok(Payload::pack("meanwhile").expect("a text")),
    );
    let mut link = gate.link;
    link.disconnected();
    let mut gate = Caller::connect_with(&cluster, link);
    gate.exchange(&cluster);
    assert_eq!(cluster.shard().node.metrics.sessions_resumed.get(), 1);
    assert!(requests(&cluster).is_empty(), "the call does not run again");
    assert_eq!(gate.link.outstanding(), 0, "the call has its answer");
}

#[test]
fn bytes_that_violate_the_protocol_end_only_their_connection() {
    let cluster = Cluster::new(ClusterMap::new());
    let mut gate = Caller::connect(&cluster);
    let hostile = connect(&cluster);
    hostile.send(&[0, 1, 0x77]);
    cluster.settle();
    assert!(hostile.is_shut_down());
    assert_eq!(cluster.shard().node.metrics.connections_malformed.get(), 1);
    gate.call(&cluster, 1, "still here");
    gate.exchange(&cluster);
    assert_eq!(requests(&cluster).len(), 1);
}

#[test]
fn what_a_process_sends_on_its_own_connection_is_a_sign_of_life_on_an_idle_channel_to_it() {
    let cluster = Cluster::new(map("gate", "127.0.0.1:7101"));
    let call = cluster.call("gate", "hello");
    // The process with the epoch 9 is called, and calls.
    let mut gate = Callee::accept_as(&cluster, only_dial(), 9, 1);
    let request = &gate.requests(&cluster)[0];
    gate.answer(&cluster, request, "answer");
    assert!(cluster.outcome(call).is_some_and(|outcome| outcome.is_ok()));
    let mut caller = Caller::connect(&cluster);
    // It acknowledges the answer.
    cluster.pass(50);
    gate.requests(&cluster);
    for token in 0..40 {
        cluster.pass(DOWN_AFTER_MS / 8);
        caller.call(&cluster, token, "hello");
        caller.exchange(&cluster);
        assert!(gate.remote.received().is_empty(), "the channel is pinged");
    }
    assert_eq!(cluster.state("gate"), NodeState::Up);
    // A channel that waits for an answer is judged by what it receives itself.
    let call = cluster.call("gate", "hello");
    for token in 40..60 {
        cluster.pass(DOWN_AFTER_MS / 8);
        caller.call(&cluster, token, "hello");
        caller.exchange(&cluster);
    }
    assert!(gate.remote.is_shut_down(), "the silent connection has ended");
    drop(manual::dials());
    assert!(cluster.outcome(call).is_some_and(|outcome| outcome.is_err()));
}

#[test]
fn an_idle_channel_is_pinged_when_nothing_else_is_heard_and_its_silence_marks_the_node_down_in_time() {
    let cluster = Cluster::new(map("gate", "127.0.0.1:7101"));
    let call = cluster.call("gate", "hello");
    let mut gate = Callee::accept_as(&cluster, only_dial(), 9, 1);
    let request = &gate.requests(&cluster)[0];
    gate.answer(&cluster, request, "answer");
    assert!(cluster.outcome(call).is_some());
    let _caller = Caller::connect(&cluster);
    gate.answer_pings(&cluster, DOWN_AFTER_MS * 3);
    assert_eq!(cluster.state("gate"), NodeState::Up);
    // The last answer may be an interval old.
    cluster.pass(DOWN_AFTER_MS / 2);
    assert_ne!(cluster.state("gate"), NodeState::Down);
    cluster.pass(DOWN_AFTER_MS / 2 + 10);
    assert_eq!(cluster.state("gate"), NodeState::Down);
}
