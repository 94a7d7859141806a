//! The shell without sockets: both ends, and what passes between them cut in every way.

use std::io::IoSlice;

use bytes::BytesMut;

use super::fixture::Ca;
use super::{Gate, SEALED_BYTES_MAX, Shell, ShellEvent, TlsReason};

/// Two ends that have exchanged nothing.
fn ends(ca: &Ca, gate: Gate) -> (Shell, Shell) {
    let dialler = Shell::dialler(&ca.tls("gate").identity(), "db").expect("a name");
    let acceptor = Shell::acceptor(&ca.tls("db").identity(), gate).expect("a shell");
    (dialler, acceptor)
}

/// What a shell writes next, at most so many bytes; the socket has taken them.
fn written(shell: &mut Shell, bytes_max: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    shell.gather(false, &mut |slices| {
        let all = slices.iter().flat_map(|slice| slice.iter().copied());
        bytes = all.take(bytes_max).collect();
    });
    shell.wrote(bytes.len());
    bytes
}

/// Gives a shell bytes in pieces; returns what they say.
fn opened(shell: &mut Shell, bytes: &[u8], piece: usize, room: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for mut piece in bytes.chunks(piece) {
        loop {
            let mut out = BytesMut::new();
            let is_done = shell.open(&mut piece, &mut out, room);
            assert!(out.len() <= room);
            all.extend_from_slice(&out);
            if is_done {
                break;
            }
        }
    }
    all
}

/// Moves bytes in both directions until nobody has any; returns what came out at each end.
fn exchange(one: &mut Shell, other: &mut Shell, piece: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut to_one, mut to_other) = (Vec::new(), Vec::new());
    loop {
        let sent = written(one, piece);
        to_other.extend(opened(other, &sent, piece, 1_000));
        let answered = written(other, piece);
        to_one.extend(opened(one, &answered, piece, 1_000));
        if sent.is_empty() && answered.is_empty() {
            return (to_one, to_other);
        }
    }
}

fn events(shell: &mut Shell) -> Vec<ShellEvent> {
    std::iter::from_fn(|| shell.next_event()).collect()
}

#[test]
fn both_ends_understand_each_other_however_their_bytes_are_cut() {
    let ca = Ca::new();
    let message: Vec<u8> = (0..40_000u32).map(|at| (at * 7 + at / 251) as u8).collect();
    for gate in [Gate::Tls, Gate::TlsOrPlain] {
        for piece in [1, 2, 5, 4_097, usize::MAX] {
            let (mut dialler, mut acceptor) = ends(&ca, gate);
            let nothing = (Vec::new(), Vec::new());
            assert_eq!(dialler.seal(&[IoSlice::new(b"early")]), 0);
            assert_eq!(exchange(&mut dialler, &mut acceptor, piece), nothing);
            assert_eq!(events(&mut dialler), [ShellEvent::Verified]);
            assert_eq!(events(&mut acceptor), [ShellEvent::Begun, ShellEvent::Verified]);
            assert_eq!(acceptor.peer_names(), ["gate"]);
            assert_eq!(dialler.peer_names(), ["db"]);
            // Within one record, and in several.
            let message = &message[..if piece < 100 { 3_000 } else { message.len() }];
            let (first, second) = message.split_at(7);
            let slices = [IoSlice::new(first), IoSlice::new(&[]), IoSlice::new(second)];
            assert_eq!(dialler.seal(&slices), message.len());
            assert_eq!(acceptor.seal(&[IoSlice::new(b"an answer")]), 9);
            let (to_dialler, to_acceptor) = exchange(&mut dialler, &mut acceptor, piece);
            assert!(to_acceptor == message, "pieces of {piece}");
            assert_eq!(to_dialler, b"an answer");
        }
    }
}

#[test]
fn later_connections_of_the_same_identities_resume() {
    let ca = Ca::new();
    let (gate, db) = (ca.tls("gate").identity(), ca.tls("db").identity());
    for expected in [ShellEvent::Verified, ShellEvent::Resumed, ShellEvent::Resumed] {
        let mut dialler = Shell::dialler(&gate, "db").expect("a name");
        let mut acceptor = Shell::acceptor(&db, Gate::Tls).expect("a shell");
        exchange(&mut dialler, &mut acceptor, usize::MAX);
        assert_eq!(events(&mut dialler), [expected]);
        assert_eq!(events(&mut acceptor), [ShellEvent::Begun, expected]);
        // Who the peer is, is known without its certificate.
        assert_eq!(acceptor.peer_names(), ["gate"]);
    }
}

#[test]
fn what_waits_for_the_socket_is_bounded_and_nothing_of_it_is_lost() {
    let ca = Ca::new();
    let (mut dialler, mut acceptor) = ends(&ca, Gate::Tls);
    exchange(&mut dialler, &mut acceptor, usize::MAX);
    let bytes = vec![7; 4 * SEALED_BYTES_MAX];
    let sealed = dialler.seal(&[IoSlice::new(&bytes)]);
    assert!((1..=SEALED_BYTES_MAX).contains(&sealed), "{sealed}");
    assert_eq!(dialler.seal(&[IoSlice::new(&bytes)]), 0);
    let mut slices_shown = 0;
    dialler.gather(true, &mut |slices| slices_shown = slices.len());
    assert_eq!(slices_shown, 64, "the stream is to ask again");
    let (_, came) = exchange(&mut dialler, &mut acceptor, 1_001);
    assert_eq!(came.len(), sealed);
    assert!(dialler.seal(&[IoSlice::new(&bytes)]) > 0);
}

#[test]
fn a_byte_that_was_changed_on_its_way_is_a_fault_and_nothing_follows_it() {
    let ca = Ca::new();
    for at in [0, 3, 4, 5, 60, 120] {
        let (mut dialler, mut acceptor) = ends(&ca, Gate::Tls);
        exchange(&mut dialler, &mut acceptor, usize::MAX);
        dialler.seal(&[IoSlice::new(&[9; 100])]);
        let mut bytes = written(&mut dialler, usize::MAX);
        bytes[at] ^= 0x40;
        dialler.seal(&[IoSlice::new(&[9; 100])]);
        bytes.extend(written(&mut dialler, usize::MAX));
        assert_eq!(opened(&mut acceptor, &bytes, 10, 1_000), b"", "byte {at}");
        // A length that grew waits for more: the peer is silent, and ends by its time.
        let reason = acceptor.fault().map(|fault| fault.reason);
        assert!(
            reason == Some(TlsReason::Malformed) || (reason.is_none() && at == 3),
            "byte {at}: {reason:?}"
        );
        assert_eq!(
            acceptor.seal(&[IoSlice::new(b"an answer")]) == 0,
            reason.is_some()
        );
    }
}

#[test]
fn a_peer_without_tls_is_known_by_its_first_byte_and_a_skynet_node_by_three() {
    let ca = Ca::new();
    let package = b"\x16\x03\x00\x01\x02\x03 and more of it";
    for (gate, bytes, is_plain) in [
        (Gate::Tls, &b"\x00\x0d\x00\x01"[..], true),
        (Gate::Tls, b"GET / HTTP/1.1", true),
        (Gate::TlsOrPlain, package, true),
        (Gate::TlsOrPlain, b"\x00\x0d\x00\x01", true),
        (Gate::TlsOrPlain, b"\x16\x03\x01", false),
        (Gate::Tls, b"\x16", false),
    ] {
        for piece in [1, 2, usize::MAX] {
            let (_, mut acceptor) = ends(&ca, gate);
            let came = opened(&mut acceptor, bytes, piece, 1_000);
            assert_eq!(acceptor.is_plain(), is_plain, "{bytes:?}");
            let expected = if is_plain { bytes } else { b"" };
            assert_eq!(came, expected);
            assert!(!acceptor.has_output());
        }
    }
    // The other way round: a node without TLS answers.
    let (mut dialler, _) = ends(&ca, Gate::Tls);
    opened(&mut dialler, b"\x00\x2f\x01\x00\x00\x00\x00denied: ", 1, 1_000);
    assert_eq!(dialler.fault().map(|fault| fault.reason), Some(TlsReason::NotTls));
}
