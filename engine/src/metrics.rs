//! Counters of rare events. Written from any thread, read at any time; the hot path counts nothing here.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts one kind of event.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, events: u64) {
        self.0.fetch_add(events, Ordering::Relaxed);
    }

    /// The number of events so far.
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

            /// The same with what each counts, in a sentence.
            pub fn described(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), concat!($($doc),+).trim_ascii(), self.$name.get()),)+]
            }
        }
    };
}

metrics! {
    /// Connections accepted by the cluster listeners.
    connections_accepted,
    /// Connections closed at once because a listener had its maximum, or no descriptor was available.
    connections_refused,
    /// Connections closed at once because their source opened too many a second.
    connections_throttled,
    /// Connections closed because their bytes violated the protocol.
    connections_malformed,
    /// Connections closed because they did not finish a package in time.
    connections_silent,
    /// Connections closed because they accepted no bytes for too long while replies waited.
    connections_stalled,
    /// Connections closed because they held the most memory when those of a shard exceeded their limit.
    connections_greedy,
    /// Connections denied because their hello, or their first request, proves no cluster secret: none is set at the peer.
    connections_without_secret,
    /// Connections denied because their peer has another cluster secret.
    connections_other_secret,
    /// Connections denied because their hello was changed after its proof was made.
    connections_hello_changed,
    /// Connections denied because the proof behind their hello was that of another handshake: the hello was a replay.
    connections_hello_replayed,
    /// Connections denied because they sent this node's own proof back.
    connections_proof_reflected,
    /// Connections denied because they spoke the skynet dialect, which proves nothing, and their address is not listed.
    connections_skynet_denied,
    /// Connections denied because their first package was longer than a hello.
    connections_hello_too_long,
    /// Connections denied because another frame came in the place of the proof.
    connections_frame_early,
    /// Connections denied because they did not begin with TLS, which this node requires.
    connections_without_tls,
    /// Connections denied because they began with TLS, which this node is not set to speak.
    connections_tls_unexpected,
    /// Connections denied because their peer has no certificate.
    connections_certificate_missing,
    /// Connections denied because the certificate of their peer has expired.
    connections_certificate_expired,
    /// Connections denied because the certificate of their peer is not yet valid.
    connections_certificate_early,
    /// Connections denied because the certificate of their peer comes from another CA.
    connections_certificate_other_ca,
    /// Connections denied because the certificate of their peer is not for the name in its hello.
    connections_certificate_other_name,
    /// Connections denied because the certificate of their peer is wrong in another way.
    connections_certificate_invalid,
    /// Connections that their peer ended with an alert of TLS: it does not trust this node.
    connections_tls_refused,
    /// Connections denied because their TLS handshake had too many bytes.
    connections_tls_too_long,
    /// Connections closed because their bytes were not those of TLS 1.3, or were changed.
    connections_tls_malformed,
    /// Connections closed because their peer has no version or cipher of TLS in common with this node.
    connections_tls_incompatible,
    /// Connections closed because their TLS handshake was not finished in time.
    connections_tls_late,
    /// Times that changed certificates were read and came into force.
    tls_reloads,
    /// Times that the certificates were read again and could not be used.
    tls_reloads_refused,
    /// TLS handshakes in full, of connections in either direction.
    tls_handshakes,
    /// TLS handshakes that resumed an earlier one.
    tls_resumptions,
    /// Connections closed because they did not prove the cluster secret in time.
    connections_unproved_late,
    /// Connections closed because too many of their address had not proved the cluster secret.
    connections_unproved_crowded,
    /// Connections closed at once because too many of their source had not proved who they are.
    connections_unproved_refused,
    /// Requests of peers denied because the rules do not allow their node to call the service.
    calls_not_allowed,
    /// Requests of peers refused because too many bytes of other requests were in progress.
    requests_refused,
    /// Pauses in the reading of a connection, because too many of its replies waited.
    reads_paused,
    /// Messages refused because they exceeded a size limit, or because their parts were inconsistent.
    messages_too_large,
    /// Messages dropped because their caller's deadline had passed.
    messages_expired,
    /// Sends dropped because they had no receiver or no space.
    sends_dropped,
    /// Messages, replies and socket events from one shard of the node to another.
    messages_crossed,
    /// Replies that arrived after their caller had stopped waiting.
    replies_late,
    /// Calls to groups that were sent to another member, because one refused them or was suspect.
    group_calls_moved,
    /// Idempotent calls to groups that were sent to a second member, because the first took long.
    group_calls_hedged,
    /// Attempts to connect to a peer that refused this node.
    connects_denied,
    /// Attempts to connect that were given up because the peer did not prove the cluster secret.
    connects_unproved,
    /// Attempts to connect that were given up because another node than the dialled one answered.
    connects_misled,
    /// Attempts to connect to a peer that failed.
    connects_failed,
    /// Connections to peers that broke.
    connections_lost,
    /// Connections to listening sockets of services closed at once, because there were too many sockets.
    sockets_refused,
    /// Sockets of services that were cut because too many bytes waited for a peer that did not read.
    sockets_overflowed,
    /// UDP datagrams of services that the kernel did not accept.
    datagrams_dropped,
    /// Changes of another node to suspect: its last connection broke or went quiet.
    nodes_suspected,
    /// Changes of another node to down.
    nodes_down,
    /// Restarts of another node: it answered as another process than before.
    nodes_restarted,
    /// Calls that were traced.
    calls_traced,
    /// Traced calls and requests that took longer than `slow_call_ms`.
    calls_slow,
    /// Spans that a collector has taken.
    spans_exported,
    /// Spans that were to be exported and were dropped: the collector is too slow, does not answer or refuses them.
    spans_dropped,
    /// Calls that failed at once because their node was down.
    calls_refused_down,
    /// Sessions of peers that resumed on another connection.
    sessions_resumed,
    /// Detached sessions of peers that ended.
    sessions_dropped,
    /// Service handlers and tasks that panicked.
    panics,
    /// Services that took longer to stop than they had time for, and were ended.
    stops_late,
    /// Restarts of services by their supervisors, whatever the cause.
    restarts,
    /// Restarts after a panic.
    restarts_after_panic,
    /// Restarts after a failed start, or after an end that the service itself called a failure.
    restarts_after_failure,
    /// Restarts after an exit.
    restarts_after_exit,
    /// Restarts after an end by another service or an operator.
    restarts_after_kill,
    /// Supervisors that gave up: their services ended too often.
    escalations,
    /// Sleeps of a shard that only the guard tick ended. It should stay 0.
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
