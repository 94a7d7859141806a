//! The performance targets of Skyring, measured: each figure beside the one that it is compared with, in one run.
//!
//! The figures of a target are measured in turn, several times, and reported as medians; the ratio is of the medians. So
//! a machine that becomes slower does so for both.

mod context;
mod half_rate;
mod keyed_channels;
mod large_payloads;
mod many_callers;
mod measure;
mod pair_load;
mod paused_peer;
mod peer_ratios;
mod result;
mod target;

pub use self::context::Context;
pub use self::result::{TargetResult, Wanted, results_json};
pub use self::target::Target;
