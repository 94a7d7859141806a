//! What is fuzzed in the engine, in the form that the codec's runner takes: see `codec/fuzz/entries`.

#[path = "../../../codec/fuzz/entries/events.rs"]
pub mod events;
pub mod samples;
#[path = "../../../codec/fuzz/entries/shape.rs"]
pub mod shape;

use skyring::fuzzing;

use self::events::note;
use self::shape::{Content, Shape};

/// Something that takes any bytes and panics where they break a promise.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name on the command line.
    pub name: &'static str,
    /// Runs one input.
    pub run: fn(&[u8]),
    /// What inputs consist of.
    pub shape: Shape,
    /// Inputs to begin with: well-formed ones, in which most of what can happen does.
    pub samples: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const ENTRIES: [Entry; 2] = [
    Entry {
        name: "etcd_answers",
        run: etcd_answers,
        shape: Content::Pieces.with_cut(),
        samples: samples::etcd_answers,
    },
    Entry {
        name: "dns_answers",
        run: dns_answers,
        shape: Content::Pieces.with_cut(),
        samples: samples::dns_answers,
    },
];

fn etcd_answers(input: &[u8]) {
    fuzzing::etcd_answers(&joined(input), note);
}

fn dns_answers(input: &[u8]) {
    fuzzing::dns_answers(&joined(input), note);
}

/// The first byte, and the pieces behind it without their lengths.
pub fn joined(input: &[u8]) -> Vec<u8> {
    let Some((kind, mut rest)) = input.split_first() else {
        return Vec::new();
    };
    let mut joined = vec![*kind];
    while let Some((length, pieces)) = rest.split_first() {
        let (piece, after) = pieces.split_at(pieces.len().min(usize::from(*length)));
        joined.extend_from_slice(piece);
        rest = after;
    }
    joined
}
