//! A client that is no node, and a server.
//!
//! The server wants certificates or none, and something may come before TLS. The client is known, or returns with a
//! ticket, or has a certificate of another CA, or none: the last two are never let in where certificates are wanted. What
//! comes before TLS comes out whole, and before all else.

use std::cell::Cell;

use super::cheap;
use super::conversation::{HANDSHAKE, MESSAGES, SHAPE, converse, exchange, is_full, piece_bytes, told};
use super::end::End;
use super::identities::{self, Identities};
use super::side::{Client, Side as _};
use crate::entries::Entry;
use crate::entries::events::{magnitude, note};
use crate::tls::{PREFACE_BYTES_MAX, ServerTls, Shell};

/// The entry.
pub(crate) const ENTRY: Entry = Entry {
    name: "tls_server",
    run: tls_server,
    shape: SHAPE,
    samples,
};

/// The length of what comes before TLS, without itself.
const LENGTH_BYTES: usize = 2;

/// Bytes that a unit of an argument makes it longer: the longest are too long.
const PREFACE_UNIT: usize = 9;

/// Who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// One with a certificate that the server trusts, and the first time.
    Known,
    /// The same, with a ticket.
    Returning,
    /// One whose certificate is from another CA.
    Stranger,
    /// One without a certificate.
    Nobody,
}

/// What the first byte of an input says.
#[derive(Debug, Clone, Copy)]
struct Plan {
    has_preface: bool,
    who: Who,
    wants_certificates: bool,
    piece: usize,
}

impl Plan {
    fn of_byte(first: u8) -> Plan {
        Plan {
            has_preface: first & 1 == 1,
            who: match (first >> 1) & 3 {
                0 => Who::Known,
                1 => Who::Returning,
                2 => Who::Stranger,
                _ => Who::Nobody,
            },
            wants_certificates: first & 8 != 0,
            piece: piece_bytes(first >> 4, 64),
        }
    }

    /// Whether the client may come in.
    fn is_trusted(&self) -> bool {
        !self.wants_certificates || matches!(self.who, Who::Known | Who::Returning)
    }

    fn server_of<'a>(&self, identities: &'a Identities) -> &'a ServerTls {
        match self.wants_certificates {
            true => &identities.closed,
            false => &identities.open,
        }
    }

    fn client(&self, identities: &Identities) -> End<Client> {
        let config = match self.who {
            Who::Known => &identities.gate.client,
            Who::Returning => &identities.returning.client,
            Who::Stranger => &identities.stranger.client,
            Who::Nobody => &identities.nobody,
        };
        let server = self.server_of(identities);
        End::new(Client::new(config, &server.names()[0]), PREFACE_BYTES_MAX)
    }

    fn server(&self, identities: &Identities) -> End<Shell> {
        let identity = self.server_of(identities).identity();
        let shell = Shell::server(identity, self.has_preface.then_some(preface_end as _));
        End::new(shell.expect("a shell"), PREFACE_BYTES_MAX)
    }
}

/// Where what comes before TLS ends: behind as many bytes as its first two say.
fn preface_end(bytes: &[u8]) -> Option<usize> {
    let length = bytes.first_chunk::<LENGTH_BYTES>()?;
    let end = LENGTH_BYTES + usize::from(u16::from_be_bytes(*length));
    (bytes.len() >= end).then_some(end)
}

/// The lowest bit of the first byte says whether something comes before TLS, the next two who comes, the fourth whether
/// the server wants certificates, and the others how long pieces are; then come pairs of a step and its argument, where
/// something comes before TLS behind one whose argument says how much.
fn tls_server(input: &[u8]) {
    let (first, mut steps) = input.split_first().unwrap_or((&0, &[]));
    let plan = Plan::of_byte(*first);
    let is_full = is_full(input);
    let identities = match is_full {
        true => identities::full(),
        false => identities::cheap(),
    };
    cheap::begin();
    if plan.who == Who::Returning {
        give_ticket(&plan, identities, is_full);
    }
    let mut client = plan.client(identities);
    let mut server = plan.server(identities);
    let mut is_too_long = false;
    if plan.has_preface {
        let (pair, rest) = steps.split_at(steps.len().min(2));
        steps = rest;
        let length = pair
            .get(1)
            .map_or(0, |argument| usize::from(*argument) * PREFACE_UNIT);
        server.on_the_way = (length as u16).to_be_bytes().to_vec();
        server.on_the_way.resize(LENGTH_BYTES + length, 0x16);
        is_too_long = server.on_the_way.len() > PREFACE_BYTES_MAX;
    }
    let expected = server.on_the_way.clone();
    let check = |client: &mut End<Client>, server: &mut End<Shell>| check(client, server, &plan);
    let is_touched = converse(&mut client, &mut server, steps, plan.piece, check);
    // All that is left arrives.
    exchange(&mut client, &mut server, plan.piece);
    check(&mut client, &mut server);
    let is_welcome = plan.is_trusted() && !is_too_long;
    if !is_touched && is_welcome {
        assert!(client.side.is_open() && server.side.fault().is_none());
        assert!(server.opened == [&expected[..], &client.sealed].concat());
        assert!(client.opened == server.sealed);
        let names: &[&str] = match plan.wants_certificates {
            true => &["gate"],
            false => &[],
        };
        assert!(server.side.is_open() && server.side.peer_names() == names);
        let is_returning = plan.who == Who::Returning;
        assert!(client.is_resumed == is_returning && server.is_resumed == is_returning);
    }
    if !is_touched && !is_welcome {
        assert!(server.side.fault().is_some());
    }
    if plan.who == Who::Returning && !is_touched && is_welcome {
        set_ticket(&plan, is_full, true);
    }
    note("came", magnitude(server.opened.len()));
    note("went", magnitude(client.opened.len()));
}

thread_local! {
    /// Whether the client that returns has a ticket, for each server, with handshakes that are cheap and with others.
    static TICKETS: Cell<[bool; 4]> = const { Cell::new([false; 4]) };
}

fn ticket_place(plan: &Plan, is_full: bool) -> usize {
    usize::from(plan.wants_certificates) * 2 + usize::from(is_full)
}

fn set_ticket(plan: &Plan, is_full: bool, has_one: bool) {
    let mut tickets = TICKETS.get();
    tickets[ticket_place(plan, is_full)] = has_one;
    TICKETS.set(tickets);
}

/// The client that returns has a ticket now, whatever became of earlier ones; it is used up.
fn give_ticket(plan: &Plan, identities: &Identities, is_full: bool) {
    if !TICKETS.get()[ticket_place(plan, is_full)] {
        let plan = Plan {
            has_preface: false,
            ..*plan
        };
        let mut client = plan.client(identities);
        let mut server = plan.server(identities);
        exchange(&mut client, &mut server, usize::MAX);
        assert!(server.side.is_open());
        cheap::begin();
    }
    set_ticket(plan, is_full, false);
}

fn check(client: &mut End<Client>, server: &mut End<Shell>, plan: &Plan) {
    assert!(
        client.reads_what_was_sealed(server, 0),
        "the client reads what was not written"
    );
    let before = match plan.has_preface && !server.opened.is_empty() {
        true => preface_end(&server.opened).expect("what comes before TLS comes out whole"),
        false => 0,
    };
    assert!(before <= PREFACE_BYTES_MAX, "too much comes before TLS");
    assert!(
        server.reads_what_was_sealed(client, before),
        "the server reads what was not written"
    );
    assert!(!server.side.is_plain(), "the server goes on without TLS");
    assert!(
        plan.is_trusted() || !server.side.is_open(),
        "the server lets {:?} in",
        plan.who
    );
}

/// Whole conversations, with each client and each server, and beginnings of handshakes as the bytes of somebody else.
fn samples() -> Vec<Vec<u8>> {
    let mut samples = Vec::new();
    for first in 0..16 {
        // How much comes before TLS, if anything does.
        let preface = |argument: u8| Vec::from(&[0, argument][..2 * usize::from(first & 1)]);
        let with = |first: u8, more: &[u8]| [&[first][..], &preface(3), &HANDSHAKE, &MESSAGES, more].concat();
        samples.push(vec![first]);
        samples.push(with(first, &[]));
        samples.push(with(first | 0xf0, &[6, 3, 2, 255]));
        samples.push(with(first | 0x10, &[7, 3, 3, 255]));
        samples.push(with(first | 0x20, &[8, 9, 2, 255]));
        samples.push([&[first][..], &preface(227), &HANDSHAKE, &MESSAGES].concat());
        samples.push([&[first][..], &preface(228), &HANDSHAKE].concat());
        // Before the handshake and in it.
        samples.push(
            [
                &[first][..],
                &preface(0),
                &[0, 255, 9, 2, 2, 255],
                &HANDSHAKE,
                &MESSAGES,
            ]
            .concat(),
        );
        samples.push(with(
            first,
            &[4, 3, 4, 3, 0, 255, 9, 4, 2, 255, 5, 3, 5, 3, 1, 255, 9, 5, 3, 255],
        ));
        let hello = hello(first);
        samples.push(
            [
                &[first][..],
                &preface(1),
                &told(&hello),
                &[2, 255, 1, 255, 3, 255],
            ]
            .concat(),
        );
    }
    samples.push([&[0][..], &told(b"GET / HTTP/1.1\r\n"), &[2, 0]].concat());
    samples
}

/// The first message of a client, which has no ticket.
fn hello(first: u8) -> Vec<u8> {
    cheap::begin();
    let mut plan = Plan {
        has_preface: false,
        ..Plan::of_byte(first)
    };
    if plan.who == Who::Returning {
        plan.who = Who::Known;
    }
    let mut server = plan.server(identities::cheap());
    plan.client(identities::cheap()).write_to(&mut server, usize::MAX);
    server.on_the_way
}
