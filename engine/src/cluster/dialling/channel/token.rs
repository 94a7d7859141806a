//! The tokens that a channel's link returns with its events: they identify the caller.

use crate::core::handle::Address;
use crate::core::request::ReplyTo;
use crate::core::slab::Key;

/// Set in the tokens of calls in the channel's table. The other tokens are keys of waiters of this shard, which hold
/// everything about their calls; a key never has this bit.
const IN_TABLE: u64 = 1 << 63;

/// Set in the tokens of calls that wait while their node is down; a key never has this bit either.
const WAITS: u64 = 1 << 62;

/// The token of a call that waits while its node is down, from that of one that fails.
#[inline]
pub(super) fn waiting(token: u64) -> u64 {
    token | WAITS
}

/// Whether the call with this token waits while its node is down.
pub(super) fn waits(token: u64) -> bool {
    token & WAITS != 0
}

/// The receiver of the event with a token.
pub(super) enum Token {
    /// A waiter of this shard.
    Waiter(Key),
    /// Another receiver, by its key in the channel's table.
    InTable(Key),
}

impl Token {
    #[inline]
    pub(super) fn of(token: u64) -> Token {
        let key = Key::from_u64(token & !(IN_TABLE | WAITS));
        match token & IN_TABLE {
            0 => Token::Waiter(key),
            _ => Token::InTable(key),
        }
    }

    #[inline]
    pub(super) fn to_u64(&self) -> u64 {
        match self {
            Token::Waiter(key) => key.to_u64(),
            Token::InTable(key) => key.to_u64() | IN_TABLE,
        }
    }
}

/// A call in flight whose receiver is not a waiter of this shard.
pub(super) struct InFlight {
    pub(super) reply_to: ReplyTo,
    pub(super) address: Address,
    pub(super) timeout_ms: u64,
}
