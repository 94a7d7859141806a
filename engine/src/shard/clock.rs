//! The time that all shards of a process share: milliseconds since its first use.

use std::sync::OnceLock;
use std::time::Instant;

use skyring_codec::Millis;

static EPOCH: OnceLock<Instant> = OnceLock::new();

/// Milliseconds since the first call in this process.
pub(crate) fn now_ms() -> Millis {
    EPOCH.get_or_init(Instant::now).elapsed().as_millis() as Millis
}
