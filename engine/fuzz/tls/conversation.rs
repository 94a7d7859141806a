//! The steps of a conversation between two ends, through somebody.

use super::end::{End, SEALED_MAX};
use super::side::Side;
use crate::entries::shape::{Content, Shape, Stream};

/// The number of steps; the last one writes bytes of somebody else.
const STEPS: u8 = 12;

/// One of so many inputs has the handshake of nodes.
const FULL_ONE_OF: u64 = 64;

/// Steps of an execution, so that none costs much.
const STEPS_MAX: usize = 100;

/// More turns than a handshake takes.
const TURNS: usize = 8;

/// What inputs consist of.
pub(super) const SHAPE: Shape = Shape {
    has_cut: true,
    content: Content::Steps {
        count: STEPS,
        hostile: Some(Stream::Records),
    },
};

/// Steps by which all of a handshake arrives.
pub(super) const HANDSHAKE: [u8; 16] = [0, 255, 2, 255, 1, 255, 3, 255, 0, 255, 2, 255, 1, 255, 3, 255];

/// Steps by which both ends say something.
pub(super) const MESSAGES: [u8; 22] = [
    4, 9, 5, 200, 0, 255, 2, 255, 1, 255, 3, 255, 4, 255, 4, 90, 4, 255, 0, 3, 2, 1,
];

/// Whether an input has the handshake of nodes.
pub(super) fn is_full(input: &[u8]) -> bool {
    hash(input).is_multiple_of(FULL_ONE_OF)
}

/// Fowler, Noll and Vo's hash.
fn hash(input: &[u8]) -> u64 {
    let hashed = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    hashed >> 32
}

/// How long the pieces are that bytes arrive in, for some bits of an input.
pub(super) fn piece_bytes(number: u8, unit: usize) -> usize {
    match number {
        0 => usize::MAX,
        1 => 1,
        number => usize::from(number) * unit - 7,
    }
}

/// Takes pairs of a step and its argument, and checks after each; whether anything was changed on its way.
pub(super) fn converse<A: Side, B: Side>(
    dialler: &mut End<A>,
    acceptor: &mut End<B>,
    steps: &[u8],
    piece: usize,
    mut check: impl FnMut(&mut End<A>, &mut End<B>),
) -> bool {
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
        check(dialler, acceptor);
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
pub(super) fn exchange<A: Side, B: Side>(dialler: &mut End<A>, acceptor: &mut End<B>, piece: usize) {
    for _ in 0..TURNS {
        dialler.write_to(acceptor, usize::MAX);
        acceptor.take(usize::MAX, piece);
        acceptor.write_to(dialler, usize::MAX);
        dialler.take(usize::MAX, piece);
    }
}

/// Bytes of somebody else, as steps.
pub(super) fn told(bytes: &[u8]) -> Vec<u8> {
    let steps = bytes.chunks(255);
    steps
        .flat_map(|chunk| [&[STEPS - 1, chunk.len() as u8][..], chunk].concat())
        .collect()
}
