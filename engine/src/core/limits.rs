//! Bounds that several rooms share.

/// Most messages for one service that are queued or that a task answers later.
pub const INBOX_MESSAGES_MAX: usize = 65_536;

/// Most bytes of the payloads of the messages that are queued for one service. A larger message is queued alone.
pub const INBOX_BYTES_MAX: usize = 64 << 20;

/// Most calls that wait for space in one buffer, beside its regular contents.
pub const WAITING_CALLS_MAX: usize = 65_536;
