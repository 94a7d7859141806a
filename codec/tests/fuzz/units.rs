//! Inputs are split into units and joined again without loss.

use crate::entries::ENTRIES;
use crate::entries::shape::{Content, Stream};
use crate::search::Random;
use crate::search::units::Units;

#[test]
fn what_was_split_is_joined_to_the_same_bytes() {
    let mut random = Random::of_entry(1, "units");
    for entry in ENTRIES {
        let noise = (0..500).map(|_| (0..random.below(80)).map(|_| random.byte()).collect());
        let inputs: Vec<Vec<u8>> = noise.chain((entry.samples)()).collect();
        for input in inputs {
            assert_eq!(Units::split(entry.shape, &input).join(), input, "{}", entry.name);
        }
    }
}

#[test]
fn samples_consist_of_whole_units() {
    for entry in ENTRIES {
        for sample in (entry.samples)() {
            let units = Units::split(entry.shape, &sample).units;
            assert!(!units.is_empty());
            for mut unit in units {
                let length = unit.len();
                entry.shape.content.seal(&mut unit);
                assert_eq!(unit.len(), length, "{}", entry.name);
            }
        }
    }
}

#[test]
fn a_length_follows_what_was_put_into_a_unit() {
    let cases: [(Content, &[u8], &[u8]); 8] = [
        (Content::Values, b"\x0cabc", b"\x1cabc"),
        (Content::Values, b"\x15\x00\x00abc", b"\x15\x03\x00abc"),
        (Content::Values, b"\x25\x00\x00\x00\x00abc", b"\x25\x03\x00\x00\x00abc"),
        (Content::Packages, b"\x00\x00abc", b"\x00\x03abc"),
        (Content::Pieces, b"\x00abc", b"\x03abc"),
        (Content::Records, b"\x16\x03\x03\x00\x00abc", b"\x16\x03\x03\x00\x03abc"),
        (
            Content::Frames,
            b"\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00abc",
            b"\x03\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00abc",
        ),
        (
            Content::Steps {
                count: 4,
                hostile: Some(Stream::Frames),
            },
            b"\x03\x00abc",
            b"\x03\x03abc",
        ),
    ];
    for (content, before, after) in cases {
        let mut unit = before.to_vec();
        content.seal(&mut unit);
        assert_eq!(unit, after, "{content:?}");
        assert_eq!(Units::split(content.plain(), &unit).units.len(), 1, "{content:?}");
    }
}

#[test]
fn a_string_that_becomes_too_long_for_its_form_takes_another() {
    let mut unit = vec![0x0c; 1];
    unit.extend([b'x'; 40]);
    Content::Values.seal(&mut unit);
    assert_eq!(unit[..3], [0x15, 40, 0]);
    assert_eq!(unit.len(), 43);
}

#[test]
fn a_table_and_what_is_in_it_belong_together() {
    // {1, "a"}, with a value behind it.
    let stream = [0x16, 0x0a, 1, 0x0c, b'a', 0, 0x09];
    let units = Units::split(Content::Values.plain(), &stream).units;
    assert_eq!(units.len(), 5);
    assert_eq!(Content::Values.span(&units), 4);
    assert_eq!(Content::Values.span(&units[4..]), 1);
}
