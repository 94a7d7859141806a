//! The loads of the targets that compare loads between two nodes.

use skyring::{DialectChoice, Payload, Runtime};

use super::context::Context;
use crate::load::{LoadModel, LoadResult};
use crate::pair::{Calls, PairError, PairPlan};

/// Size of the values, unless the target is about that.
const SIZE: usize = 64;

/// Calls in flight, unless the target is about that.
pub(super) const IN_FLIGHT: usize = 256;

/// Bytes in a mebibyte.
pub(super) const MEBIBYTE: f64 = (1u64 << 20) as f64;

/// Two sides with one shard and one channel, which never spin.
pub(super) fn plan(kind: &'static str) -> PairPlan {
    PairPlan {
        threads: 1,
        channels: 1,
        spin_us: 0,
        runtime: Runtime::Uring,
        dialect: DialectChoice::Auto,
        running: None,
        kind,
    }
}

/// Unkeyed calls with small values.
pub(super) fn calls(context: &Context<'_>, model: LoadModel, in_flight: usize) -> Result<Calls, PairError> {
    Ok(Calls {
        model,
        in_flight,
        keys: 0,
        payload: Payload::pack(&"x".repeat(SIZE))?,
        size: SIZE,
        warm_up: context.duration / 4,
        duration: context.duration,
    })
}

/// The load if no call failed: the figures of another are of no use.
pub(super) fn checked(load: LoadResult) -> Result<LoadResult, PairError> {
    if load.calls > 0 && load.errors.is_empty() {
        return Ok(load);
    }
    let cause = format!(
        "{} calls were answered and these failed: {:?}",
        load.calls, load.errors
    );
    Err(PairError::System(std::io::Error::other(cause)))
}
