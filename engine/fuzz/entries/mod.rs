//! What is fuzzed in the engine, in the form that the codec's runner takes: see `codec/fuzz/entries`.

#[path = "../../../codec/fuzz/entries/entry.rs"]
mod entry;
#[path = "../../../codec/fuzz/entries/events.rs"]
pub mod events;
pub mod samples;
#[path = "../../../codec/fuzz/entries/shape.rs"]
pub mod shape;

use skyring::fuzzing;

pub use self::entry::Entry;
use self::events::note;
use self::shape::Content;

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
