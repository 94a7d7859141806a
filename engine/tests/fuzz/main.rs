//! Every fuzz entry of the engine on seeded input.

#[path = "../../fuzz/entries/mod.rs"]
pub mod entries;
#[path = "../../../codec/fuzz/search/mod.rs"]
pub mod search;

mod every_entry;
