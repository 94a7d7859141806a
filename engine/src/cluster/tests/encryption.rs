//! TLS of inbound connections and of channels, in virtual time.

use std::io::IoSlice;

use bytes::{Bytes, BytesMut};
use skyring_codec::link::{CallerEvent, CallerLimits, CallerLink, HANDSHAKE_MS_MAX};

use super::accepting::connect;
use super::peers::hello;
use super::{Cluster, map};
use crate::cluster::accepting::inbound::PACKAGE_TIME_MS_MAX;
use crate::config::{ClusterMap, Security};
use crate::rt::manual::{self, Remote};
use crate::tls::fixture::Ca;
use crate::tls::{Gate, Shell};

fn cluster(ca: &Ca, map: ClusterMap) -> Cluster {
    Cluster::with(1, map, |settings| {
        settings.security = Some(Security::of_tls(ca.tls("here")));
    })
}

/// What a shell writes.
fn written(shell: &mut Shell) -> Vec<u8> {
    let mut bytes = Vec::new();
    shell.gather(false, &mut |slices| {
        bytes = slices.iter().flat_map(|slice| slice.to_vec()).collect();
    });
    shell.wrote(bytes.len());
    bytes
}

/// Exchanges what both ends have, in pieces of so many bytes; returns what the node has said.
fn exchange(cluster: &Cluster, remote: &Remote, shell: &mut Shell, piece: usize) -> Vec<u8> {
    let mut said = BytesMut::new();
    for _ in 0..6 {
        for piece in written(shell).chunks(piece) {
            remote.send(piece);
            cluster.settle();
        }
        cluster.settle();
        let received = remote.received();
        while !shell.open(&mut &received[..], &mut said, usize::MAX) {}
    }
    said.to_vec()
}

#[test]
fn a_peer_is_served_although_its_bytes_come_one_by_one() {
    let ca = Ca::new();
    let cluster = cluster(&ca, ClusterMap::new());
    let remote = connect(&cluster);
    let mut shell = Shell::dialler(&ca.tls("gate").identity(), "here").expect("a name");
    assert!(exchange(&cluster, &remote, &mut shell, 1).is_empty());
    let mut link = CallerLink::new(CallerLimits::default());
    link.dial(0, &hello("gate", 1, 1, 9)).expect("a hello");
    let mut slices = [IoSlice::new(&[]); 4];
    let count = link.transmit(&mut slices);
    shell.seal(&slices[..count]);
    let answer = exchange(&cluster, &remote, &mut shell, 1);
    link.receive(Bytes::from(answer));
    let event = link.poll_event(0);
    assert!(matches!(event, Ok(Some(CallerEvent::Ready { .. }))), "{event:?}");
    // Who is served may be silent.
    cluster.pass(2 * PACKAGE_TIME_MS_MAX);
    assert!(!remote.is_shut_down());
}

#[test]
fn a_half_finished_handshake_ends_in_time_and_is_counted() {
    let ca = Ca::new();
    let cluster = cluster(&ca, ClusterMap::new());
    let mut shell = Shell::dialler(&ca.tls("gate").identity(), "here").expect("a name");
    let first = written(&mut shell);
    let remotes: Vec<Remote> = [&first[..0], &first[..1], &first[..50], &first[..]]
        .into_iter()
        .map(|bytes| {
            let remote = connect(&cluster);
            if !bytes.is_empty() {
                remote.send(bytes);
            }
            cluster.settle();
            remote
        })
        .collect();
    cluster.pass(PACKAGE_TIME_MS_MAX - 1_000);
    cluster.room().sweep(cluster.shard());
    assert!(remotes.iter().all(|remote| !remote.is_shut_down()));
    cluster.pass(2_000);
    cluster.room().sweep(cluster.shard());
    cluster.settle();
    assert!(remotes.iter().all(Remote::is_shut_down));
    let metrics = &cluster.shard().node.metrics;
    assert_eq!(metrics.connections_tls_late.get(), 4);
    assert_eq!(metrics.connections_silent.get(), 0);
}

#[test]
fn an_acceptor_that_never_answers_is_given_up_in_time() {
    let ca = Ca::new();
    let cluster = cluster(&ca, map("there", "127.0.0.1:7101"));
    let call = cluster.call("there", "x");
    let dial = manual::dials().pop().expect("it connects");
    let remote = dial.accept();
    cluster.settle();
    assert_eq!(remote.received().first(), Some(&0x16), "it begins with TLS");
    cluster.pass(HANDSHAKE_MS_MAX + 1_000);
    assert!(remote.is_shut_down());
    assert!(cluster.error_code(call).is_none_or(|code| code == "unreachable"));
}

#[test]
fn a_call_waits_for_the_handshake_and_goes_within_it() {
    let ca = Ca::new();
    let cluster = cluster(&ca, map("there", "127.0.0.1:7101"));
    let _call = cluster.call("there", "a text that nobody reads");
    let remote = manual::dials().pop().expect("it connects").accept();
    cluster.settle();
    let mut shell = Shell::acceptor(&ca.tls("there").identity(), Gate::Tls).expect("a shell");
    let mut said = BytesMut::new();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let received = remote.received();
        seen.extend_from_slice(&received);
        while !shell.open(&mut &received[..], &mut said, usize::MAX) {}
        let answer = written(&mut shell);
        if !answer.is_empty() {
            remote.send(&answer);
        }
        cluster.settle();
    }
    assert_eq!(shell.peer_names(), ["here"]);
    assert!(said.windows(13).any(|bytes| bytes == b"skyring.hello"));
    assert!(!seen.windows(13).any(|bytes| bytes == b"skyring.hello"));
}
