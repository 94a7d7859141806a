//! The time that all shards of a process share: milliseconds since its first use.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use skyring_codec::Millis;

use crate::rt;

static EPOCH: OnceLock<Instant> = OnceLock::new();

/// Milliseconds since the first call in this process.
pub(crate) fn now_ms() -> Millis {
    #[cfg(feature = "testing")]
    if let Some(now) = crate::rt::manual_now_ms() {
        return now;
    }
    EPOCH.get_or_init(Instant::now).elapsed().as_millis() as Millis
}

/// A duration in milliseconds, rounded up so that no wait is too short; at most about 49 days.
pub(crate) fn whole_milliseconds(duration: Duration) -> u64 {
    let rounded = duration.as_nanos().div_ceil(1_000_000);
    rounded.min(u128::from(u32::MAX)) as u64
}

/// The longest turn of a shard. It ends then even if messages are left, so that connections get their share.
pub(crate) const TURN_TIME_MAX: Duration = Duration::from_micros(500);

/// Whether a turn, or similar work, that began at `started` has used up its time.
pub(crate) fn is_turn_over(started: Instant) -> bool {
    rt::now().saturating_duration_since(started) > TURN_TIME_MAX
}
