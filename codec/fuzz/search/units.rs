//! The units that an input consists of: what a mutation moves, copies and removes as a whole.
//!
//! Invariant: what was split is joined to the same bytes, whatever they are.

use std::ops::Range;

use crate::entries::shape::{Content, Shape, Stream};

/// A native frame's header.
const HEADER_BYTES: usize = 24;

/// Where the length stands in a record of TLS; its content follows.
const RECORD_LENGTH: Range<usize> = 3..5;

/// An input in units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Units {
    /// How the rest is cut into chunks, where the entry's input begins with that.
    pub cut: Option<u8>,
    /// The units, in order.
    pub units: Vec<Vec<u8>>,
}

impl Units {
    /// Splits an input; what is cut off at its end is a unit as well.
    pub fn split(shape: Shape, input: &[u8]) -> Self {
        let (cut, mut rest) = match (shape.has_cut, input) {
            (true, [cut, rest @ ..]) => (Some(*cut), rest),
            _ => (None, input),
        };
        let mut units = Vec::new();
        while !rest.is_empty() {
            let (unit, after) = rest.split_at(shape.content.unit_bytes(rest).clamp(1, rest.len()));
            units.push(unit.to_vec());
            rest = after;
        }
        Self { cut, units }
    }

    /// The bytes of all units.
    pub fn join(&self) -> Vec<u8> {
        let cut = self.cut.into_iter();
        cut.chain(self.units.iter().flatten().copied()).collect()
    }
}

impl Content {
    /// How long the first unit is; more than there is when it is cut off.
    fn unit_bytes(self, rest: &[u8]) -> usize {
        match self {
            Self::Values => value_bytes(rest),
            Self::Packages => match rest.first_chunk() {
                Some(length) => 2 + usize::from(u16::from_be_bytes(*length)),
                None => rest.len(),
            },
            Self::Frames => match rest.first_chunk() {
                Some(length) => (u32::from_le_bytes(*length) as usize).saturating_add(HEADER_BYTES),
                None => rest.len(),
            },
            Self::Records => match rest.get(RECORD_LENGTH) {
                Some(&[high, low]) => RECORD_LENGTH.end + usize::from(u16::from_be_bytes([high, low])),
                _ => rest.len(),
            },
            Self::Pieces => 1 + rest.first().map_or(0, |length| usize::from(*length)),
            Self::Steps { count, hostile } => match rest {
                [step, argument, ..] if hostile.is_some() && step % count == count - 1 => {
                    2 + usize::from(*argument)
                }
                _ => 2,
            },
        }
    }

    /// Makes the length that a unit declares the one that it has.
    pub fn seal(self, unit: &mut Vec<u8>) {
        match self {
            Self::Values => seal_value(unit),
            Self::Packages => {
                unit.truncate(2 + usize::from(u16::MAX));
                let length = (unit.len().saturating_sub(2) as u16).to_be_bytes();
                put(unit, &length);
            }
            Self::Frames => {
                let length = (unit.len().saturating_sub(HEADER_BYTES) as u32).to_le_bytes();
                put(unit, &length);
            }
            Self::Records => {
                unit.truncate(RECORD_LENGTH.end + usize::from(u16::MAX));
                let length = (unit.len().saturating_sub(RECORD_LENGTH.end) as u16).to_be_bytes();
                put(unit.get_mut(RECORD_LENGTH.start..).unwrap_or_default(), &length);
            }
            Self::Pieces => {
                unit.truncate(1 + usize::from(u8::MAX));
                let length = unit.len().saturating_sub(1) as u8;
                put(unit, &[length]);
            }
            Self::Steps { count, hostile } => {
                let is_hostile = unit.first().is_some_and(|step| step % count == count - 1);
                if hostile.is_some() && is_hostile {
                    unit.truncate(2 + usize::from(u8::MAX));
                    let length = unit.len().saturating_sub(2) as u8;
                    put(unit.get_mut(1..).unwrap_or_default(), &[length]);
                } else {
                    unit.truncate(2);
                }
            }
        }
    }

    /// A table whose array has one value more, or one less; None for what counts none, or not that many.
    pub fn counting(self, unit: &[u8], is_more: bool) -> Option<Vec<u8>> {
        let (head, count) = match unit {
            [head] if self == Self::Values && head & 7 == 6 => (6, head >> 3),
            _ => return None,
        };
        let count = if is_more {
            (count < 30).then_some(count + 1)?
        } else {
            count.checked_sub(1)?
        };
        Some(vec![head | count << 3])
    }

    /// Where in a unit another stream lies, and of what it consists.
    pub fn inner(self, unit: &[u8]) -> Option<(usize, Content)> {
        let (at, content) = match self {
            Self::Values | Self::Pieces | Self::Records => return None,
            // Responses have an address less than requests.
            Self::Packages if unit.get(6).is_some_and(|flag| *flag == 1) => (7, Self::Values),
            Self::Packages => (11, Self::Values),
            Self::Frames => (HEADER_BYTES, Self::Values),
            Self::Steps { hostile, .. } => match hostile? {
                Stream::Packages => (2, Self::Packages),
                Stream::Frames => (2, Self::Frames),
                Stream::Records => (2, Self::Records),
            },
        };
        (unit.len() > at).then_some((at, content))
    }

    /// How many units from the first one on belong together: a table and all that is in it.
    pub fn span(self, units: &[Vec<u8>]) -> usize {
        if self != Self::Values {
            return 1.min(units.len());
        }
        let mut depth = 0_usize;
        for (at, unit) in units.iter().enumerate() {
            match unit.first().map_or(0, |head| head & 7) {
                6 => depth += 1,
                // Nil ends a table, though it may be a value in its array as well.
                0 => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return at + 1;
            }
        }
        units.len()
    }
}

/// Puts bytes over the beginning of a unit that is long enough.
fn put(unit: &mut [u8], bytes: &[u8]) {
    if let Some(place) = unit.get_mut(..bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// How long the first value is, without those in it.
fn value_bytes(rest: &[u8]) -> usize {
    let Some(head) = rest.first() else { return 1 };
    let cookie = head >> 3;
    match (head & 7, cookie) {
        (2, 1 | 2 | 4) => 1 + usize::from(cookie),
        (2, 6 | 8) | (3, _) => 9,
        (4, length) => 1 + usize::from(length),
        (5, 2) => 3 + rest.get(1..3).map_or(0, number),
        (5, 4) => 5_usize.saturating_add(rest.get(1..5).map_or(0, number)),
        // A table whose length follows as an integer.
        (6, 31) => 1 + rest.get(1..).map_or(1, value_bytes),
        _ => 1,
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | usize::from(*byte))
}

fn seal_value(unit: &mut Vec<u8>) {
    let Some(head) = unit.first().copied() else { return };
    match (head & 7, head >> 3) {
        (4, _) if unit.len() <= 32 => unit[0] = 4 | ((unit.len() - 1) as u8) << 3,
        // It has become too long for a short string.
        (4, _) => {
            let length = ((unit.len() - 1) as u16).to_le_bytes();
            unit.splice(..1, [5 | 2 << 3, length[0], length[1]]);
        }
        (5, 2) => {
            let length = (unit.len().saturating_sub(3) as u16).to_le_bytes();
            put(unit.get_mut(1..).unwrap_or_default(), &length);
        }
        (5, 4) => {
            let length = (unit.len().saturating_sub(5) as u32).to_le_bytes();
            put(unit.get_mut(1..).unwrap_or_default(), &length);
        }
        _ => {}
    }
}
