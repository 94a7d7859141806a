//! The small steps that every call is made of, each by itself, one file for each subject.
//!
//! `cargo bench -p skyring-bench`, or `cargo bench -p skyring-bench -- 'same shard'` for some of them. They
//! show where time is spent; `skyring bench` measures the cost of a whole call.

mod frames;
mod links;
mod messages;
mod shards;
#[expect(
    dead_code,
    reason = "it is the engine's own file, and the benches use a part of it"
)]
#[path = "../../../engine/src/core/slab.rs"]
mod slab;
mod tables;
mod values;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    benches,
    values::benches,
    frames::benches,
    links::benches,
    tables::benches,
    messages::benches,
    shards::benches
);
criterion_main!(benches);
