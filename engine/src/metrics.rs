//! Counters of what is rare and worth knowing. Written from any thread, read at any time; the hot path
//! counts nothing here.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts one kind of event.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, events: u64) {
        self.0.fetch_add(events, Ordering::Relaxed);
    }

    /// Events so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The counters of one node.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $($(#[doc = $doc])+ pub $name: Counter,)+
        }

        impl Metrics {
            /// Every counter with its name, in a fixed order.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get()),)+]
            }
        }
    };
}

metrics! {
    /// Connections accepted by the cluster listeners.
    connections_accepted,
    /// Connections closed at once because a listener had its maximum, or no descriptor was left.
    connections_refused,
    /// Connections closed at once because their source opened too many a second.
    connections_throttled,
    /// Connections closed because what they sent is not the protocol.
    connections_malformed,
    /// Connections closed because they did not finish a package in time.
    connections_silent,
    /// Connections closed because they took no bytes for too long while replies waited.
    connections_stalled,
    /// Connections closed because they held the most when all of a shard held more than they may.
    connections_greedy,
    /// Requests of peers refused because too many bytes of others were being handled.
    requests_refused,
    /// Times that a connection was not read for a while because too many of its replies waited.
    reads_paused,
    /// Messages refused because they passed a size limit, or because their parts did not add up.
    messages_too_large,
    /// Messages dropped because their caller's deadline had passed.
    messages_expired,
    /// Sends dropped because nobody or nothing could take them.
    sends_dropped,
    /// Messages, replies and socket events that one shard of the node handed to another.
    messages_crossed,
    /// Replies that came after their caller had given up.
    replies_late,
    /// Calls to groups that were sent to another member, because one could not take them or is suspect.
    group_calls_moved,
    /// Idempotent calls to groups that were sent to a second member, because the first took long.
    group_calls_hedged,
    /// Attempts to connect to a peer that failed.
    connects_failed,
    /// Connections to peers that broke.
    connections_lost,
    /// Connections to listening sockets of services closed at once, because there were too many sockets.
    sockets_refused,
    /// Sockets of services that were cut because too much waited for a peer that does not read.
    sockets_overflowed,
    /// UDP datagrams of services that the kernel did not take.
    datagrams_dropped,
    /// Times that another node became suspect: its last connection broke or went quiet.
    nodes_suspected,
    /// Times that another node was called down.
    nodes_down,
    /// Times that another node answered as another process than before.
    nodes_restarted,
    /// Calls that failed at once because their node was down.
    calls_refused_down,
    /// Sessions of peers that went on with another connection.
    sessions_resumed,
    /// Sessions of peers that ended without a connection.
    sessions_dropped,
    /// Service handlers and tasks that panicked.
    panics,
    /// Sleeps of a shard that only the guard tick ended. Should stay 0.
    sleeps_rescued,
}

impl fmt::Display for Metrics {
    /// The counters that are not 0, as `name=count` separated by spaces.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted: Vec<String> = self
            .all()
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{name}={count}"))
            .collect();
        formatter.write_str(&counted.join(" "))
    }
}
