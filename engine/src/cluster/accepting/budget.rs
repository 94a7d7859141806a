//! The memory budget of the inbound connections of a node.
//!
//! Whatever peers send or leave unread, and however many they are, the inbound connections of a node hold at most
//! [`memory_bytes_max`]:
//!
//! ```text
//! shards x (HELD_BYTES_MAX + REQUEST_BYTES_MAX + READ_BYTES_MAX + MESSAGE_BYTES_MAX)
//!   + (connections + shards x SESSIONS_DETACHED_MAX) x CONNECTION_BYTES
//! ```
//!
//! - *held*: unfinished packages and messages, answers that wait for the socket or for their acknowledgement, and the
//!   spare capacity of their buffers; detached sessions included. When those of one shard hold more than
//!   [`HELD_BYTES_MAX`] together, answers that only wait for their acknowledgement are dropped. If that does not
//!   suffice, the connection that holds the most is closed, and its memory is freed at once. So a peer that needs
//!   little stays connected while another takes all it can.
//! - *requests*: payloads of requests and sends that services have not finished, those of closed connections
//!   included, with [`REQUEST_OVERHEAD_BYTES`] for each. Past [`REQUEST_BYTES_MAX`] on one shard, further requests
//!   are answered with `overloaded`. The last eighth is reserved for connections that have no other request in
//!   progress, so that a connection with few calls proceeds while another fills the rest.
//! - *read*: the buffers that connections read into, for as long as payloads are slices of them; see
//!   [`rt::read_buffer`](crate::rt::read_buffer). When that many bytes are lent out, payloads are copied instead.
//! - one message of the largest size may be counted only after it is read;
//! - a connection costs [`CONNECTION_BYTES`] even if it is idle, and so does a detached session; a listener bounds
//!   the number of connections, and [`SESSIONS_DETACHED_MAX`] the number of detached sessions.
//!
//! What a service allocates for a request (a pending answer, stored data) belongs to the service.

use std::cell::Cell;

use skyring_codec::link::MESSAGE_BYTES_MAX;

use crate::cluster::accepting::sessions::SESSIONS_DETACHED_MAX;
use crate::rt;

/// Bytes that unfinished messages and waiting answers may hold on all connections of one shard together.
pub const HELD_BYTES_MAX: usize = 256 << 20;

/// Bytes of requests from peers that services of the node may have unfinished, for each shard that read them.
pub const REQUEST_BYTES_MAX: usize = 256 << 20;

/// Bytes that a request in progress counts for beside its payload.
pub const REQUEST_OVERHEAD_BYTES: usize = 1 << 10;

/// Bytes that the read buffers of one shard may take, with received bytes that were not read.
pub const READ_BYTES_MAX: usize = rt::READ_BYTES_MAX;

/// Bytes that an idle connection takes, the executor's part included.
pub const CONNECTION_BYTES: usize = 8 << 10;

/// The most memory, in bytes, that the inbound connections of a node take; see the module for the sum.
pub fn memory_bytes_max(shards: usize, connections: usize) -> usize {
    let shard = HELD_BYTES_MAX + REQUEST_BYTES_MAX + READ_BYTES_MAX + MESSAGE_BYTES_MAX;
    shards * shard + (connections + shards * SESSIONS_DETACHED_MAX) * CONNECTION_BYTES
}

/// The memory counters of one shard.
#[derive(Default)]
pub(crate) struct Budget {
    /// The sum of what the connections held when each was last counted.
    held: Cell<usize>,
    /// Bytes of the requests in progress, with their overhead.
    requests: Cell<usize>,
    /// How many requests have begun.
    requests_begun: Cell<u64>,
}

impl Budget {
    /// Updates the sum of held bytes for one connection; returns whether the sum is above its limit.
    pub(crate) fn count_held(&self, before: usize, now: usize) -> bool {
        let held = self.held.get().saturating_sub(before) + now;
        self.held.set(held);
        held > HELD_BYTES_MAX
    }

    /// Whether the sum of held bytes is above its limit.
    pub(crate) fn is_over(&self) -> bool {
        self.held.get() > HELD_BYTES_MAX
    }

    /// Counts a request that begins; returns true when it exceeds the limit and must be refused. `is_only`: its
    /// connection has no other request in progress.
    pub(crate) fn begin_request(&self, bytes: usize, is_only: bool) -> bool {
        self.requests_begun.set(self.requests_begun.get() + 1);
        let requests = self.requests.get() + bytes + REQUEST_OVERHEAD_BYTES;
        self.requests.set(requests);
        let reserved = if is_only { 0 } else { REQUEST_BYTES_MAX / 8 };
        requests > REQUEST_BYTES_MAX - reserved
    }

    /// How many requests have begun.
    pub(crate) fn requests_begun(&self) -> u64 {
        self.requests_begun.get()
    }

    /// Bytes of the requests in progress, with their overhead.
    pub(crate) fn requests_bytes(&self) -> usize {
        self.requests.get()
    }

    /// Bytes that the connections hold.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held.get()
    }

    /// Uncounts a request that has ended.
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
            assert!(!budget.begin_request(bytes, false));
        }
        assert!(budget.begin_request(bytes, false));
        budget.finish_request(bytes);
        for _ in 0..most / 8 {
            assert!(!budget.begin_request(bytes, true));
        }
        assert!(budget.begin_request(bytes, true));
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
