//! Skyring among floors and peers: all of them measured in turn, several times, and the medians as ratios.
//!
//! A run measures each contender once, in an order of its own; runs follow each other, so that a machine that becomes
//! slower does so for all alike. A contender that never spins is measured once a run and listed in both settings,
//! parking and spinning. Ratios are of medians: how many times a peer's calls Skyring makes, and how many times its p50.
//!
//! Invariants: without Skyring's own figures there is no table; a peer that is missing or fails is a line with its
//! reason, and is not measured again.

mod contender;
mod html;
mod json;
mod plan;
mod skyring;
mod table;

pub use self::contender::SKYRING;
pub use self::plan::Plan;
pub use self::table::{Group, Missing, Row, Table};
