//! What an entry is.

use super::shape::Shape;

/// Something that takes any bytes and panics where they break a promise.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name on the command line, and that of its fuzz target where it has one.
    pub name: &'static str,
    /// Runs one input.
    pub run: fn(&[u8]),
    /// What inputs consist of.
    pub shape: Shape,
    /// Inputs to begin with: well-formed ones, in which most of what can happen does.
    pub samples: fn() -> Vec<Vec<u8>>,
}
