//! A dialler and an acceptor.
//!
//! The dialler is known, or returns with a ticket, or has a certificate of another CA, or wants to reach another node:
//! the last two are never let in.

use std::cell::Cell;

use super::cheap;
use super::conversation::{HANDSHAKE, MESSAGES, SHAPE, converse, exchange, is_full, piece_bytes, told};
use super::end::End;
use super::identities::{self, Identities};
use crate::entries::Entry;
use crate::entries::events::{magnitude, note};
use crate::tls::{Gate, Shell};

/// What comes out at a time, at most.
const ROOM: usize = 1_000;

/// The entry.
pub(crate) const ENTRY: Entry = Entry {
    name: "tls_shell",
    run: tls_shell,
    shape: SHAPE,
    samples,
};

type Node = End<Shell>;

/// Who dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialler {
    /// One that the acceptor trusts, and the first time.
    Known,
    /// The same, with a ticket.
    Returning,
    /// One whose certificate is from another CA.
    Stranger,
    /// One that wants to reach another node.
    Misled,
}

impl Dialler {
    fn of_bits(bits: u8) -> Dialler {
        match bits & 3 {
            0 => Dialler::Known,
            1 => Dialler::Returning,
            2 => Dialler::Stranger,
            _ => Dialler::Misled,
        }
    }

    /// Whether its handshake ends well if nobody disturbs it.
    fn is_welcome(self) -> bool {
        matches!(self, Dialler::Known | Dialler::Returning)
    }

    fn end(self, identities: &Identities) -> Node {
        let (identity, node) = match self {
            Dialler::Known => (&identities.gate, "db"),
            Dialler::Returning => (&identities.returning, "db"),
            Dialler::Stranger => (&identities.stranger, "db"),
            Dialler::Misled => (&identities.gate, "gate"),
        };
        End::new(Shell::dialler(identity, node).expect("a name"), ROOM)
    }
}

fn acceptor(identities: &Identities, gate: Gate) -> Node {
    End::new(Shell::acceptor(&identities.db, gate).expect("a shell"), ROOM)
}

/// The lowest bit of the first byte says who else the acceptor lets in, the next two who dials, and the others how long
/// pieces are; then come pairs of a step and its argument.
fn tls_shell(input: &[u8]) {
    let (first, steps) = input.split_first().unwrap_or((&0, &[]));
    let gate = match first & 1 {
        0 => Gate::Tls,
        _ => Gate::TlsOrPlain,
    };
    let who = Dialler::of_bits(first >> 1);
    let piece = piece_bytes(first >> 3, 32);
    let is_full = is_full(input);
    let identities = match is_full {
        true => identities::full(),
        false => identities::cheap(),
    };
    cheap::begin();
    if who == Dialler::Returning {
        give_ticket(identities, is_full);
    }
    let mut dialler = who.end(identities);
    let mut acceptor = acceptor(identities, gate);
    let check = |dialler: &mut Node, acceptor: &mut Node| check(dialler, acceptor, who);
    let is_touched = converse(&mut dialler, &mut acceptor, steps, piece, check);
    // All that is left arrives.
    exchange(&mut dialler, &mut acceptor, piece);
    check(&mut dialler, &mut acceptor);
    if !is_touched && who.is_welcome() {
        assert!(dialler.side.fault().is_none() && acceptor.side.fault().is_none());
        assert!(acceptor.opened == dialler.sealed && dialler.opened == acceptor.sealed);
        assert!(acceptor.side.is_open() && acceptor.side.peer_names() == ["gate"]);
        let is_returning = who == Dialler::Returning;
        assert!(dialler.is_resumed == is_returning && acceptor.is_resumed == is_returning);
    }
    if !is_touched && !who.is_welcome() {
        assert!(acceptor.side.fault().is_some());
    }
    if who == Dialler::Returning && !is_touched {
        set_ticket(is_full, true);
    }
    note("came", magnitude(acceptor.opened.len()));
    note("went", magnitude(dialler.opened.len()));
}

thread_local! {
    /// Whether the dialler that returns has a ticket, with handshakes that are cheap and with others.
    static TICKETS: Cell<[bool; 2]> = const { Cell::new([false; 2]) };
}

fn set_ticket(is_full: bool, has_one: bool) {
    let mut tickets = TICKETS.get();
    tickets[usize::from(is_full)] = has_one;
    TICKETS.set(tickets);
}

/// The dialler that returns has a ticket now, whatever became of earlier ones; it is used up.
fn give_ticket(identities: &Identities, is_full: bool) {
    if !TICKETS.get()[usize::from(is_full)] {
        let mut dialler = Dialler::Returning.end(identities);
        let mut acceptor = acceptor(identities, Gate::Tls);
        exchange(&mut dialler, &mut acceptor, usize::MAX);
        assert!(dialler.side.is_open() && acceptor.side.is_open());
        cheap::begin();
    }
    set_ticket(is_full, false);
}

fn check(dialler: &mut Node, acceptor: &mut Node, who: Dialler) {
    assert!(
        dialler.reads_what_was_sealed(acceptor, 0),
        "the dialler reads what was not written"
    );
    // Before it is decided that the peer speaks no TLS, or after that, bytes pass as they are.
    assert!(
        acceptor.side.is_plain() || acceptor.reads_what_was_sealed(dialler, 0),
        "the acceptor reads what was not written"
    );
    assert!(!acceptor.side.is_plain() || acceptor.sealed.is_empty());
    assert!(
        who.is_welcome() || !acceptor.side.is_open(),
        "the acceptor lets {who:?} in"
    );
    assert!(
        who != Dialler::Misled || !dialler.side.is_open(),
        "the dialler takes one node for another"
    );
}

/// Whole conversations, with each dialler, and beginnings of handshakes as the bytes of somebody else.
fn samples() -> Vec<Vec<u8>> {
    let with = |first: u8, more: &[u8]| [&[first][..], &HANDSHAKE, &MESSAGES, more].concat();
    let mut samples = vec![vec![0], vec![2], vec![4], vec![6]];
    for who in 0..4 {
        samples.push(with(who << 1, &[]));
        samples.push(with(who << 1 | 0xf9, &[6, 3, 2, 255]));
        samples.push(with(who << 1 | 8, &[7, 3, 3, 255]));
        samples.push(with(who << 1 | 0x10, &[8, 9, 2, 255]));
        // Before the handshake and in it.
        samples.push([&[who << 1, 0, 255, 9, 2, 2, 255][..], &HANDSHAKE, &MESSAGES].concat());
        samples.push(with(
            who << 1,
            &[4, 3, 4, 3, 0, 255, 9, 4, 2, 255, 5, 3, 5, 3, 1, 255, 9, 5, 3, 255],
        ));
        let (hello, answer) = beginnings(who);
        samples.push([&[who << 1][..], &told(&hello), &[2, 255, 1, 255, 3, 255]].concat());
        samples.push([&[who << 1, 10, 1][..], &told(&answer), &[3, 255, 3, 255, 0, 255]].concat());
    }
    samples.push([&[1][..], &told(b"\x16\x03\x01\x00\x02\x01\x00"), &[2, 0]].concat());
    samples.push([&[1][..], &told(b"\x00\x07\x00\x01\x00\x00\x00"), &[2, 0]].concat());
    samples.push([&[0][..], &told(b"\x15\x03\x03\x00\x02\x02\x28"), &[2, 0]].concat());
    samples
}

/// The first message of a dialler, which has no ticket, and the answer to it.
fn beginnings(bits: u8) -> (Vec<u8>, Vec<u8>) {
    cheap::begin();
    let who = match Dialler::of_bits(bits) {
        Dialler::Returning => Dialler::Known,
        other => other,
    };
    let identities = identities::cheap();
    let mut dialler = who.end(identities);
    let mut acceptor = acceptor(identities, Gate::Tls);
    dialler.write_to(&mut acceptor, usize::MAX);
    let hello = Vec::from(&acceptor.on_the_way[..]);
    acceptor.take(usize::MAX, usize::MAX);
    acceptor.write_to(&mut dialler, usize::MAX);
    (hello, dialler.on_the_way)
}
