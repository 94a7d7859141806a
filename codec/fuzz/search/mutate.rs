//! Makes another input of one that is known.

use super::INPUT_BYTES_MAX;
use super::random::Random;
use super::units::Units;
use crate::entries::shape::{Content, Shape};

/// Numbers at which something changes: limits of fields, signs, and lengths that are not there.
const NUMBERS: [u64; 20] = [
    0,
    1,
    2,
    3,
    7,
    8,
    31,
    32,
    127,
    128,
    255,
    256,
    2_000,
    2_001,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    i64::MAX as u64,
    u64::MAX,
];

/// Makes an input of `parent`; `donor` is another one, which units are copied from.
pub(super) fn mutate(random: &mut Random, shape: Shape, parent: &[u8], donor: &[u8]) -> Vec<u8> {
    let mut input = if random.chance(3) {
        noise(random)
    } else {
        let mut units = Units::split(shape, parent);
        let donor = Units::split(shape, donor);
        if let Some(cut) = &mut units.cut
            && random.chance(20)
        {
            *cut = random.byte();
        }
        for _ in 0..=random.below(4) {
            change(random, shape.content, &mut units.units, &donor.units);
        }
        units.join()
    };
    if random.chance(5) {
        change_bytes(random, &mut input);
    }
    if random.chance(3) {
        input.truncate(random.below(input.len() + 1));
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn noise(random: &mut Random) -> Vec<u8> {
    (0..random.below(400)).map(|_| random.byte()).collect()
}

/// Changes the order, the number or the content of units.
fn change(random: &mut Random, content: Content, units: &mut Vec<Vec<u8>>, donor: &[Vec<u8>]) {
    let at = random.below(units.len() + 1);
    let own = span(content, units, at);
    let other = random.below(donor.len());
    let other = donor
        .get(span(content, donor, other))
        .unwrap_or_default()
        .to_vec();
    match random.below(13) {
        12 => change_table(random, content, units, at, other),
        0 => drop(units.drain(own)),
        1 => {
            let copied = units.get(own).unwrap_or_default().to_vec();
            let times = if random.chance(10) { random.below(20) } else { 1 };
            for _ in 0..times {
                units.splice(at..at, copied.iter().cloned());
            }
        }
        2 => drop(units.splice(own, other)),
        3 => drop(units.splice(at..at, other)),
        4 => {
            // A run of units from elsewhere.
            let from = random.range(donor.len(), 8);
            let run = donor.get(from).unwrap_or_default().to_vec();
            units.splice(at..at, run);
        }
        5 => {
            let second = random.below(units.len());
            if at < units.len() {
                units.swap(at, second);
            }
        }
        6 => {
            let second = random.below(units.len() + 1);
            let moved: Vec<_> = units.drain(own).collect();
            let second = second.min(units.len());
            units.splice(second..second, moved);
        }
        _ => {
            if let Some(unit) = units.get_mut(at) {
                change_unit(random, content, unit, donor);
            }
        }
    }
}

/// Puts a value first into a table, or removes the first one, with the table's count kept right.
fn change_table(
    random: &mut Random,
    content: Content,
    units: &mut Vec<Vec<u8>>,
    at: usize,
    other: Vec<Vec<u8>>,
) {
    let is_more = random.chance(50);
    let counting = units.get(at).and_then(|table| content.counting(table, is_more));
    let Some(table) = counting else { return };
    let place = if is_more {
        at + 1..at + 1
    } else {
        span(content, units, at + 1)
    };
    units.splice(place, if is_more { other } else { Vec::new() });
    units[at] = table;
}

/// The units that belong together from one on.
fn span(content: Content, units: &[Vec<u8>], at: usize) -> std::ops::Range<usize> {
    at..at + content.span(units.get(at..).unwrap_or_default())
}

fn change_unit(random: &mut Random, content: Content, unit: &mut Vec<u8>, donor: &[Vec<u8>]) {
    match content.inner(unit) {
        Some((at, inner)) if random.chance(50) => {
            let mut units = Units::split(inner.plain(), unit.get(at..).unwrap_or_default());
            let from = random.pick(donor).map_or(&[][..], Vec::as_slice);
            let from = content
                .inner(from)
                .and_then(|(at, _)| from.get(at..))
                .unwrap_or_default();
            let from = Units::split(inner.plain(), from);
            change(random, inner, &mut units.units, &from.units);
            unit.truncate(at);
            unit.extend(units.join());
        }
        _ if random.chance(15) => {
            if let Some(from) = random.pick(donor) {
                let part = from
                    .get(random.range(from.len(), 16))
                    .unwrap_or_default()
                    .to_vec();
                let at = random.below(unit.len() + 1);
                unit.splice(at..at, part);
            }
        }
        _ => change_bytes(random, unit),
    }
    // Now and then a length is a lie.
    if random.chance(92) {
        content.seal(unit);
    }
}

/// Changes bytes without regard to what they mean.
fn change_bytes(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len());
    match random.below(6) {
        0 => bytes.insert(at, random.byte()),
        1 => drop(bytes.drain(random.range(bytes.len(), 4))),
        2 => put_number(random, bytes, at),
        3 => {
            let count = random.below(40);
            let byte = random.byte();
            bytes.splice(at..at, std::iter::repeat_n(byte, count));
        }
        4 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        _ if at < bytes.len() => bytes[at] = random.byte(),
        _ => {}
    }
}

fn put_number(random: &mut Random, bytes: &mut [u8], at: usize) {
    let number = random.pick(&NUMBERS).copied().unwrap_or(0);
    let width = 1 << random.below(4);
    let little = number.to_le_bytes();
    let mut field = little[..width].to_vec();
    if random.chance(25) {
        field.reverse();
    }
    if let Some(place) = bytes.get_mut(at..at + width) {
        place.copy_from_slice(&field);
    }
}
