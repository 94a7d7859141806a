//! Bounds that more than one room keeps.

/// Most messages for one service that wait or are being answered later.
pub const INBOX_MESSAGES_MAX: usize = 65_536;

/// Most bytes that the payloads of the messages have which are queued for one service. A larger one is queued
/// alone.
pub const INBOX_BYTES_MAX: usize = 64 << 20;

/// Most calls that wait for room in one place, beside what has room there.
pub const WAITING_CALLS_MAX: usize = 65_536;
