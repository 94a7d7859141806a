//! Somebody who writes bytes: replays, reflections, changes, and the skynet dialect.

use skyring_codec::link::CallerEvent;

use crate::support::{OTHER, SECRET, Stranger, ask, closed, counter, dialling, frame, serving, wait_for};

/// What a stranger does on one connection.
type Attack = fn(&mut Stranger, &Recording);

/// The bytes of a handshake that a node of the cluster has made.
struct Recording {
    hello: Vec<u8>,
    proof_and_call: Vec<u8>,
}

/// Makes a handshake with the secret.
fn record(address: &str) -> Recording {
    let mut node = Stranger::connect(address, Some(SECRET));
    let hello = node.output();
    node.write(&hello);
    node.read_answer();
    assert!(matches!(node.event(), Some(CallerEvent::Ready { .. })));
    let mut proof_and_call = node.output();
    assert_eq!(proof_and_call.len(), 56);
    proof_and_call.extend(frame(1, 1, 1, b"\x1cwho"));
    node.write(&proof_and_call);
    Recording {
        hello,
        proof_and_call,
    }
}

#[test]
fn each_attack_is_refused_with_its_own_counter_and_a_healthy_peer_goes_on() {
    let (db, address) = serving(closed(2));
    let gate = dialling(closed(2), &address);
    assert_eq!(ask(&gate), Ok("db".to_owned()));
    let recording = record(&address);
    let attacks: [(&str, Attack); 10] = [
        ("connections_hello_replayed", |stranger, recording| {
            stranger.write(&recording.hello);
            stranger.read_answer();
            stranger.write(&recording.proof_and_call);
        }),
        ("connections_proof_reflected", |stranger, recording| {
            stranger.write(&recording.hello);
            let answer = stranger.read_answer();
            stranger.write(&frame(10, 0, 0, &answer[answer.len() - 32..]));
        }),
        ("connections_hello_changed", |stranger, recording| {
            let mut changed = recording.hello.clone();
            let name = changed
                .windows(4)
                .position(|window| window == b"gate")
                .expect("its name");
            changed[name] = b'x';
            stranger.write(&changed);
        }),
        ("connections_frame_early", |stranger, recording| {
            stranger.write(&recording.hello);
            stranger.read_answer();
            stranger.write(&frame(1, 1, 1, b"\x1cwho"));
        }),
        ("connections_other_secret", |stranger, _| {
            let mut other = Stranger::connect(
                &stranger.stream.peer_addr().expect("connected").to_string(),
                Some(OTHER),
            );
            let hello = other.output();
            stranger.write(&hello);
        }),
        ("connections_without_secret", |stranger, _| {
            let mut open =
                Stranger::connect(&stranger.stream.peer_addr().expect("connected").to_string(), None);
            let hello = open.output();
            stranger.write(&hello);
        }),
        ("connections_skynet_denied", |stranger, _| {
            // A call to handle 1 under session 5.
            stranger.write(b"\x00\x0d\x00\x01\x00\x00\x00\x05\x00\x00\x00\x1cwho");
        }),
        ("connections_skynet_denied", |stranger, _| {
            // The head of a long one.
            stranger.write(b"\x00\x0d\x01\x01\x00\x00\x00\x05\x00\x00\x00\x00\x00\x10\x00");
        }),
        ("connections_hello_too_long", |stranger, _| {
            stranger.write(b"\xff\xff")
        }),
        ("connections_malformed", |stranger, _| {
            stranger.write(b"\x00\x03GET")
        }),
    ];
    let mut counts: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    for (name, attack) in attacks {
        let mut stranger = Stranger::connect(&address, None);
        attack(&mut stranger, &recording);
        let rest = stranger.rest();
        assert!(!rest.ends_with(b"\x14db"), "{name}: the echo has answered");
        *counts.entry(name).or_default() += 1;
        wait_for(&db, name, counts[name]);
        assert_eq!(ask(&gate), Ok("db".to_owned()), "after {name}");
    }
    for (name, count) in counts {
        assert_eq!(counter(&db, name), count, "{name}");
    }
    // The healthy peer has kept its connection.
    assert_eq!(counter(&gate, "connections_lost"), 0);
    gate.stop();
    db.stop();
}

#[test]
fn a_call_in_the_skynet_dialect_gets_the_reason_as_its_error() {
    let (db, address) = serving(closed(1));
    let mut stranger = Stranger::connect(&address, None);
    stranger.write(b"\x00\x0d\x00\x01\x00\x00\x00\x05\x00\x00\x00\x1cwho");
    let answer = stranger.rest();
    assert_eq!(answer[2..7], [5, 0, 0, 0, 0]);
    assert_eq!(
        &answer[7..],
        b"denied: the skynet dialect, which proves no cluster secret"
    );
    db.stop();
}

#[test]
fn a_replayed_hello_does_not_break_the_connection_of_the_session_that_it_names() {
    let (db, address) = serving(closed(1));
    let mut node = Stranger::connect(&address, Some(SECRET));
    let hello = node.output();
    node.write(&hello);
    node.read_answer();
    let _ = node.event();
    let proof = node.output();
    node.write(&proof);
    // The same channel on its second connection.
    let mut link = std::mem::replace(
        &mut node.link,
        skyring_codec::link::CallerLink::new(Default::default()),
    );
    link.disconnected();
    link.dial(0, &crate::support::hello("gate"))
        .expect("a valid hello");
    let mut again = Stranger::connect(&address, None);
    again.link = link;
    let second = again.output();
    again.write(&second);
    again.read_answer();
    assert!(matches!(again.event(), Some(CallerEvent::Ready { .. })));
    let proof = again.output();
    again.write(&proof);
    wait_for(&db, "sessions_resumed", 1);
    let mut replay = Stranger::connect(&address, None);
    replay.write(&second);
    assert!(replay.rest().is_empty(), "it gets no answer");
    // The session still answers on its own connection: a ping comes back.
    again.write(&frame(6, 9, 0, b""));
    let mut pong = [0; 24];
    std::io::Read::read_exact(&mut again.stream, &mut pong).expect("a pong");
    assert_eq!((pong[4], pong[8]), (7, 9));
    assert_eq!(counter(&db, "sessions_resumed"), 1);
    db.stop();
}
