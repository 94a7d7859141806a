//! The fuzz entry of the shell of TLS.
//!
//! An input is a list of steps between a dialler and an acceptor whose bytes pass through somebody: he delivers them in
//! pieces, changes them, repeats them, leaves some out, changes their order, or writes his own. Whatever he does, what
//! comes out at one end is a beginning of what the other end has sealed, nobody without a certificate of the CA and
//! nobody under another name is let in, bounds hold, and nothing panics.
//!
//! Each execution has a handshake, so most have one that is [`cheap`]: of 64 inputs one, by its hash, has one
//! as nodes have.

mod cheap;
mod end;
mod identities;

use std::cell::Cell;

use self::end::{End, SEALED_MAX};
use self::identities::Identities;
use crate::entries::Entry;
use crate::entries::events::{magnitude, note};
use crate::entries::shape::{Content, Shape, Stream};
use crate::tls::{Gate, Shell};

/// The number of steps; the last one writes bytes of somebody else.
const STEPS: u8 = 12;

/// One of so many inputs has the handshake of nodes.
const FULL_ONE_OF: u64 = 64;

/// Steps of an execution, so that none costs much.
const STEPS_MAX: usize = 100;

/// More turns than a handshake takes.
const TURNS: usize = 8;

/// The entry.
pub(crate) const ENTRY: Entry = Entry {
    name: "tls_shell",
    run: tls_shell,
    shape: Shape {
        has_cut: true,
        content: Content::Steps {
            count: STEPS,
            hostile: Some(Stream::Records),
        },
    },
    samples,
};

/// Makes the certificates, which takes longer than an execution may.
pub(crate) fn prepare() {
    identities::cheap();
    identities::full();
}

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
    /// Whether its handshake ends well if nobody disturbs it.
    fn is_welcome(self) -> bool {
        matches!(self, Dialler::Known | Dialler::Returning)
    }

    fn shell(self, identities: &Identities) -> Shell {
        let (identity, node) = match self {
            Dialler::Known => (&identities.gate, "db"),
            Dialler::Returning => (&identities.returning, "db"),
            Dialler::Stranger => (&identities.stranger, "db"),
            Dialler::Misled => (&identities.gate, "gate"),
        };
        Shell::dialler(identity, node).expect("a name")
    }
}

/// The lowest bit of the first byte says who else the acceptor lets in, the next two who dials, and the others how long pieces
/// are; then come pairs of a step and its argument.
fn tls_shell(input: &[u8]) {
    let (first, steps) = input.split_first().unwrap_or((&0, &[]));
    let gate = match first & 1 {
        0 => Gate::Tls,
        _ => Gate::TlsOrPlain,
    };
    let who = match (first >> 1) & 3 {
        0 => Dialler::Known,
        1 => Dialler::Returning,
        2 => Dialler::Stranger,
        _ => Dialler::Misled,
    };
    let piece = match first >> 3 {
        0 => usize::MAX,
        1 => 1,
        number => usize::from(number) * 32 - 7,
    };
    let is_full = hash(input).is_multiple_of(FULL_ONE_OF);
    let identities = match is_full {
        true => identities::full(),
        false => identities::cheap(),
    };
    cheap::begin();
    if who == Dialler::Returning {
        give_ticket(identities, is_full);
    }
    let mut dialler = End::new(who.shell(identities));
    let mut acceptor = End::new(Shell::acceptor(&identities.db, gate).expect("a shell"));
    let is_touched = converse(&mut dialler, &mut acceptor, steps, piece, who);
    // All that is left arrives.
    exchange(&mut dialler, &mut acceptor, piece);
    check(&mut dialler, &mut acceptor, who);
    if !is_touched && who.is_welcome() {
        assert!(dialler.shell.fault().is_none() && acceptor.shell.fault().is_none());
        assert!(acceptor.opened == dialler.sealed && dialler.opened == acceptor.sealed);
        assert!(acceptor.shell.is_open() && acceptor.shell.peer_names() == ["gate"]);
        let is_returning = who == Dialler::Returning;
        assert!(dialler.is_resumed == is_returning && acceptor.is_resumed == is_returning);
    }
    if !is_touched && !who.is_welcome() {
        assert!(acceptor.shell.fault().is_some());
    }
    if who == Dialler::Returning && !is_touched {
        set_ticket(is_full, true);
    }
    note("came", magnitude(acceptor.opened.len()));
    note("went", magnitude(dialler.opened.len()));
}

/// Takes the steps; whether anything was changed on its way.
fn converse(dialler: &mut End, acceptor: &mut End, steps: &[u8], piece: usize, who: Dialler) -> bool {
    let (mut at, mut is_touched, mut to_dialler) = (0, false, false);
    for _ in 0..STEPS_MAX {
        let Some([step, argument]) = steps.get(at..at + 2) else {
            break;
        };
        at += 2;
        let count = (usize::from(*argument) + 1) * 16;
        match step % STEPS {
            0 => dialler.write_to(acceptor, count * 16),
            1 => acceptor.write_to(dialler, count * 16),
            2 => acceptor.take(count, piece),
            3 => dialler.take(count, piece),
            4 => dialler.seal(sealed_bytes(*argument)),
            5 => acceptor.seal(sealed_bytes(*argument)),
            6 => is_touched |= acceptor.change(*argument),
            7 => is_touched |= dialler.change(*argument),
            8 => is_touched |= acceptor.leave_out(*argument),
            9 if argument & 1 == 0 => is_touched |= acceptor.rearrange(argument >> 1),
            9 => is_touched |= dialler.rearrange(argument >> 1),
            10 => to_dialler = argument & 1 == 1,
            _ => {
                let end = (at + usize::from(*argument)).min(steps.len());
                let way: &mut Vec<u8> = match to_dialler {
                    true => &mut dialler.on_the_way,
                    false => &mut acceptor.on_the_way,
                };
                way.extend_from_slice(&steps[at..end]);
                is_touched |= end > at;
                at = end;
            }
        }
        check(dialler, acceptor, who);
    }
    is_touched
}

/// How much is sealed: mostly little, as it costs time, and now and then more than a record.
fn sealed_bytes(argument: u8) -> usize {
    match argument {
        255 => SEALED_MAX,
        few => usize::from(few) * 4,
    }
}

/// All that both have to say arrives.
fn exchange(dialler: &mut End, acceptor: &mut End, piece: usize) {
    for _ in 0..TURNS {
        dialler.write_to(acceptor, usize::MAX);
        acceptor.take(usize::MAX, piece);
        acceptor.write_to(dialler, usize::MAX);
        dialler.take(usize::MAX, piece);
    }
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
        let mut dialler = End::new(Dialler::Returning.shell(identities));
        let mut acceptor = End::new(Shell::acceptor(&identities.db, Gate::Tls).expect("a shell"));
        exchange(&mut dialler, &mut acceptor, usize::MAX);
        assert!(dialler.shell.is_open() && acceptor.shell.is_open());
        cheap::begin();
    }
    set_ticket(is_full, false);
}

fn check(dialler: &mut End, acceptor: &mut End, who: Dialler) {
    assert!(
        dialler.reads_what_was_sealed(acceptor),
        "the dialler reads what was not written"
    );
    // Before it is decided that the peer speaks no TLS, or after that, bytes pass as they are.
    assert!(
        acceptor.shell.is_plain() || acceptor.reads_what_was_sealed(dialler),
        "the acceptor reads what was not written"
    );
    assert!(!acceptor.shell.is_plain() || acceptor.sealed.is_empty());
    assert!(
        who.is_welcome() || !acceptor.shell.is_open(),
        "the acceptor lets {who:?} in"
    );
    assert!(
        who != Dialler::Misled || !dialler.shell.is_open(),
        "the dialler takes one node for another"
    );
}

/// Fowler, Noll and Vo's hash.
fn hash(input: &[u8]) -> u64 {
    let hashed = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    hashed >> 32
}

/// Whole conversations, with each dialler, and beginnings of handshakes as the bytes of somebody else.
fn samples() -> Vec<Vec<u8>> {
    let handshake = [0, 255, 2, 255, 1, 255, 3, 255, 0, 255, 2, 255, 1, 255, 3, 255];
    let messages = [
        4, 9, 5, 200, 0, 255, 2, 255, 1, 255, 3, 255, 4, 255, 4, 90, 4, 255, 0, 3, 2, 1,
    ];
    let with = |first: u8, more: &[u8]| [&[first][..], &handshake, &messages, more].concat();
    let mut samples = vec![vec![0], vec![2], vec![4], vec![6]];
    for who in 0..4 {
        samples.push(with(who << 1, &[]));
        samples.push(with(who << 1 | 0xf9, &[6, 3, 2, 255]));
        samples.push(with(who << 1 | 8, &[7, 3, 3, 255]));
        samples.push(with(who << 1 | 0x10, &[8, 9, 2, 255]));
        // Before the handshake and in it.
        samples.push([&[who << 1, 0, 255, 9, 2, 2, 255][..], &handshake, &messages].concat());
        samples.push(with(
            who << 1,
            &[4, 3, 4, 3, 0, 255, 9, 4, 2, 255, 5, 3, 5, 3, 1, 255, 9, 5, 3, 255],
        ));
        let (hello, answer) = beginnings(who << 1);
        samples.push([&[who << 1][..], &told(&hello), &[2, 255, 1, 255, 3, 255]].concat());
        samples.push([&[who << 1, 10, 1][..], &told(&answer), &[3, 255, 3, 255, 0, 255]].concat());
    }
    samples.push([&[1][..], &told(b"\x16\x03\x01\x00\x02\x01\x00"), &[2, 0]].concat());
    samples.push([&[1][..], &told(b"\x00\x07\x00\x01\x00\x00\x00"), &[2, 0]].concat());
    samples.push([&[0][..], &told(b"\x15\x03\x03\x00\x02\x02\x28"), &[2, 0]].concat());
    samples
}

/// Bytes of somebody else, as steps.
fn told(bytes: &[u8]) -> Vec<u8> {
    let steps = bytes.chunks(255);
    steps
        .flat_map(|chunk| [&[STEPS - 1, chunk.len() as u8][..], chunk].concat())
        .collect()
}

/// The first message of a dialler, and the answer to it.
fn beginnings(first: u8) -> (Vec<u8>, Vec<u8>) {
    cheap::begin();
    let who = match first >> 1 {
        2 => Dialler::Stranger,
        3 => Dialler::Misled,
        _ => Dialler::Known,
    };
    let identities = identities::cheap();
    let mut dialler = End::new(who.shell(identities));
    let mut acceptor = End::new(Shell::acceptor(&identities.db, Gate::Tls).expect("a shell"));
    dialler.write_to(&mut acceptor, usize::MAX);
    let hello = Vec::from(&acceptor.on_the_way[..]);
    acceptor.take(usize::MAX, usize::MAX);
    acceptor.write_to(&mut dialler, usize::MAX);
    (hello, dialler.on_the_way)
}
