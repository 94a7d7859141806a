//! The tokens that a channel's link hands back with its events: they say who waits.

use crate::core::handle::Address;
use crate::core::request::ReplyTo;
use crate::core::slab::Key;

/// Set in the tokens of calls that are in the channel's table. The others are keys of waiters of this shard,
/// which know all that there is to know of their calls; a key never has this bit.
const IN_TABLE: u64 = 1 << 63;

/// Who waits for the event with a token.
pub(super) enum Token {
    /// A waiter of this shard.
    Waiter(Key),
    /// Somebody else, as the channel's table says.
    InTable(Key),
}

impl Token {
    #[inline]
    pub(super) fn of(token: u64) -> Token {
        match token & IN_TABLE {
            0 => Token::Waiter(Key::from_u64(token)),
            _ => Token::InTable(Key::from_u64(token & !IN_TABLE)),
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

/// A call that waits for its reply from the peer, for somebody who is no waiter of this shard.
pub(super) struct InFlight {
    pub(super) reply_to: ReplyTo,
    pub(super) address: Address,
    pub(super) timeout_ms: u64,
}
