//! What the connections that peers opened may hold in memory, all those of a node together.
//!
//! Whatever peers send or leave unread, and however many they are, a node's accepted connections hold at
//! most what [`memory_bytes_max`] says:
//!
//! ```text
//! shards x (HELD_BYTES_MAX + REQUEST_BYTES_MAX + READ_BYTES_MAX + MESSAGE_BYTES_MAX)
//!   + (connections + shards x SESSIONS_DETACHED_MAX) x CONNECTION_BYTES
//! ```
//!
//! - *held*: unfinished packages and messages, and answers that wait for the socket or to be acknowledged, with the
//!   room kept for more; those of sessions that have no connection included. When those of one shard hold more than
//!   [`HELD_BYTES_MAX`] together, answers that only wait to be acknowledged are let go, and if that does not suffice
//!   the connection that holds the most is closed, and what it held is given back at once. So a peer with modest
//!   needs stays connected while another wants everything.
//! - *requests*: payloads of requests and sends that services have not finished, those of connections that
//!   are gone included, with [`REQUEST_OVERHEAD_BYTES`] for each. Past [`REQUEST_BYTES_MAX`] on one shard
//!   further ones are answered with `overloaded`. The last eighth is for connections that have nothing else
//!   being handled, so that one with few calls goes on while another fills the rest.
//! - *read*: the buffers that connections read into, as long as payloads are slices of them; see
//!   [`rt::read_buffer`](crate::rt::read_buffer). When that many are lent out, payloads are copied instead.
//! - one message of the largest size may be counted only after it was taken;
//! - a connection costs [`CONNECTION_BYTES`] even if it does nothing, and so does a session that has none; a listener
//!   bounds the number of those, and [`SESSIONS_DETACHED_MAX`] the number of these.
//!
//! What a service makes of a request (an answer that it has not given yet, what it stores) is the service's.

use std::cell::Cell;

use skyring_codec::link::MESSAGE_BYTES_MAX;

use crate::cluster::accepting::sessions::SESSIONS_DETACHED_MAX;
use crate::rt;

/// Bytes that unfinished messages and waiting answers may hold on all connections of one shard together.
pub const HELD_BYTES_MAX: usize = 256 << 20;

/// Bytes of requests from peers that services of the node may have unfinished, for each shard that
/// took them from its connections.
pub const REQUEST_BYTES_MAX: usize = 256 << 20;

/// What a request that is being handled counts for beside its payload.
pub const REQUEST_OVERHEAD_BYTES: usize = 1 << 10;

/// What the read buffers of one shard may take, with what was received and not read.
pub const READ_BYTES_MAX: usize = rt::READ_BYTES_MAX;

/// What a connection takes that does nothing, the executor's part included.
pub const CONNECTION_BYTES: usize = 8 << 10;

/// The most memory, in bytes, that the accepted connections of a node take; see the module for how it
/// comes about.
pub fn memory_bytes_max(shards: usize, connections: usize) -> usize {
    let shard = HELD_BYTES_MAX + REQUEST_BYTES_MAX + READ_BYTES_MAX + MESSAGE_BYTES_MAX;
    shards * shard + (connections + shards * SESSIONS_DETACHED_MAX) * CONNECTION_BYTES
}

/// The sums of one shard.
#[derive(Default)]
pub(crate) struct Budget {
    /// What each connection held when it was last counted.
    held: Cell<usize>,
    /// Requests that are being handled, with their overhead.
    requests: Cell<usize>,
}

impl Budget {
    /// Changes the sum of held bytes by what one connection held and holds; true when it is too much now.
    pub(crate) fn count_held(&self, before: usize, now: usize) -> bool {
        let held = self.held.get().saturating_sub(before) + now;
        self.held.set(held);
        held > HELD_BYTES_MAX
    }

    /// Whether all connections together hold too much.
    pub(crate) fn is_over(&self) -> bool {
        self.held.get() > HELD_BYTES_MAX
    }

    /// Counts a request that is about to be handled; true when so many bytes are being handled that it
    /// should not be. `is_only`: its connection has no other.
    pub(crate) fn take_request(&self, bytes: usize, is_only: bool) -> bool {
        let requests = self.requests.get() + bytes + REQUEST_OVERHEAD_BYTES;
        self.requests.set(requests);
        let reserved = if is_only { 0 } else { REQUEST_BYTES_MAX / 8 };
        requests > REQUEST_BYTES_MAX - reserved
    }

    /// A request has been handled.
    pub(crate) fn finish_request(&self, bytes: usize) {
        let requests = self.requests.get();
        self.requests
            .set(requests.saturating_sub(bytes + REQUEST_OVERHEAD_BYTES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_eighth_is_for_connections_with_nothing_else() {
        let budget = Budget::default();
        let bytes = (1 << 20) - REQUEST_OVERHEAD_BYTES;
        let most = REQUEST_BYTES_MAX >> 20;
        for _ in 0..most / 8 * 7 {
            assert!(!budget.take_request(bytes, false));
        }
        assert!(budget.take_request(bytes, false));
        budget.finish_request(bytes);
        for _ in 0..most / 8 {
            assert!(!budget.take_request(bytes, true));
        }
        assert!(budget.take_request(bytes, true));
        for _ in 0..=most {
            budget.finish_request(bytes);
        }
        assert_eq!(budget.requests.get(), 0);
    }

    #[test]
    fn the_sum_follows_what_each_connection_holds() {
        let budget = Budget::default();
        assert!(!budget.count_held(0, HELD_BYTES_MAX));
        assert!(!budget.is_over());
        assert!(budget.count_held(0, 1));
        assert!(budget.is_over());
        assert!(!budget.count_held(HELD_BYTES_MAX, 0));
        assert!(!budget.count_held(1, 0));
        assert_eq!(budget.held.get(), 0);
    }
}
