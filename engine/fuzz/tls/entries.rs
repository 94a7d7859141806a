//! The entries of TLS, in the form that the codec's runner takes: see `codec/fuzz/entries`.

#[path = "../../../codec/fuzz/entries/entry.rs"]
mod entry;
#[path = "../../../codec/fuzz/entries/events.rs"]
pub mod events;
#[path = "../../../codec/fuzz/entries/shape.rs"]
pub mod shape;

pub use self::entry::Entry;
use crate::fuzzed::{clients, nodes};

/// All of them.
pub const ENTRIES: [Entry; 2] = [nodes::ENTRY, clients::ENTRY];
