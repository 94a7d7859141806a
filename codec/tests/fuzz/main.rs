//! Every fuzz entry on seeded input, the inputs that failed once, and the search for such inputs itself.

#[path = "../../fuzz/entries/mod.rs"]
pub mod entries;
#[path = "../../fuzz/search/mod.rs"]
pub mod search;

mod arguments;
mod every_entry;
mod failed_once;
mod planted;
mod units;

use entries::{ENTRIES, Entry};

/// The entry with a name.
fn entry(name: &str) -> Entry {
    let entry = ENTRIES.into_iter().find(|entry| entry.name == name);
    entry.unwrap_or_else(|| panic!("there is no entry {name}"))
}
