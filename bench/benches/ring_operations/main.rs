//! What the features of io_uring are worth that a runtime may use or leave: each beside the way that it would replace, in
//! interleaved rounds. `cargo bench -p skyring-bench --bench ring_operations`, on a machine that does nothing else.
//!
//! A row says how long an operation takes both ways, and the median of the ratios of the rounds: below 1 the feature
//! is faster. A feature that the kernel lacks is reported as such.

#![expect(
    unsafe_code,
    reason = "the io-uring crate leaves it to its user that memory outlives the operations on it"
)]

mod comparison;
mod memory;
mod receives;
mod ring;
mod sends;
mod waits;

use std::io;

fn main() -> io::Result<()> {
    if std::env::args().any(|argument| argument == "--test") {
        // As a test only whether it builds.
        return Ok(());
    }
    comparison::print_heading();
    waits::compare()?;
    sends::compare()?;
    receives::compare()
}
