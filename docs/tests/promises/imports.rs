//! What a file may import: rooms import downward only, siblings do not know each other, and no circle of files is
//! larger than a reader can follow.
//!
//! An arrow is a path in code that leads to another file of the same crate, in a `use` or elsewhere, tests left out.
//! What a `mod.rs` or a crate's root hands on with `pub use` is an arrow to the file that defines it.

use std::collections::{BTreeMap, BTreeSet};

use crate::import_graph::Graph;

/// Files that may import each other in a circle.
const CIRCLE_FILES_MAX: usize = 5;

/// The folders with a crate's source.
const SOURCES: [&str; 7] = [
    "codec/src",
    "macros/src",
    "engine/src",
    "services/src",
    "services/lua/src",
    "bench/src",
    "tools/src",
];

/// The rooms of a crate from the top down. A room may import those on lower floors, and nothing else of its own floor.
fn floors(source: &str) -> &'static [&'static [&'static str]] {
    match source {
        "engine/src" => &[
            &["lib"],
            &["testing"],
            &["node", "typed"],
            &["client", "api", "shard"],
            &["service", "cluster", "socket", "control"],
            &["core"],
            &["rt"],
            &["log", "config", "metrics", "error", "status"],
            &["tls"],
            &["secret_file", "file_mark"],
        ],
        "codec/src" => &[
            &["lib"],
            &["link"],
            &["native", "skynet"],
            &["seri", "outbuffer", "wheel", "chunks"],
            &["retain", "faults", "limits", "millis"],
        ],
        "macros/src" => &[
            &["lib"],
            &["client", "server"],
            &["declaration", "read"],
            &["method"],
            &["types"],
        ],
        _ => &[],
    }
}

fn floor_of(source: &str, room: &str) -> Option<usize> {
    floors(source).iter().position(|floor| floor.contains(&room))
}

#[test]
fn no_room_imports_one_above_it_or_beside_it() {
    let mut wrong = Vec::new();
    for source in SOURCES {
        let graph = Graph::read(source);
        for (from, to) in graph.arrows() {
            let (room, other) = (graph.room(from), graph.room(to));
            if room == other || floors(source).is_empty() {
                continue;
            }
            let (Some(floor), Some(below)) = (floor_of(source, room), floor_of(source, other)) else {
                wrong.push(format!(
                    "{source}: {room} or {other} is on no floor: say where it stands"
                ));
                continue;
            };
            if below <= floor {
                wrong.push(format!("{source}: {from} imports {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_circle_of_imports_is_large() {
    let mut arrows = 0;
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    let mut large: Vec<String> = Vec::new();
    for source in SOURCES {
        let graph = Graph::read(source);
        arrows += graph.arrows().count();
        for circle in graph.circles() {
            *sizes.entry(circle.len()).or_default() += 1;
            if circle.len() > CIRCLE_FILES_MAX {
                large.push(format!("{source}: {}", circle.join(", ")));
            }
        }
    }
    println!("{arrows} arrows; circles by number of files: {sizes:?}");
    assert!(
        arrows > 500,
        "only {arrows} arrows were found: does this test still read them?"
    );
    assert!(large.is_empty(), "{}", large.join("\n"));
}

#[test]
fn commands_do_not_import_each_other() {
    let graph = Graph::read("tools/src");
    let commands: BTreeSet<&str> = graph
        .folders()
        .into_iter()
        .filter(|folder| *folder != "shared")
        .collect();
    let wrong: Vec<String> = graph
        .arrows()
        .filter(|(from, to)| {
            let (room, other) = (graph.room(from), graph.room(to));
            room != other && commands.contains(room) && commands.contains(other)
        })
        .map(|(from, to)| format!("{from} imports {to}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
