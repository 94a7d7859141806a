//! Connecting a channel: attempts, back-off, and the report of failures.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use skyring_codec::Millis;

use crate::cluster::dialling::channel::state::Channel;
use crate::cluster::membership::detector::Evidence;
use crate::config::NodeAddress;
use crate::core::ShardCore;
use crate::core::blocking;
use crate::error::Text;
use crate::log::Level;
use crate::rt;
use crate::rt::stream::Stream;
use crate::rt::timer::{sleep, sleep_or_wake, timeout};

/// How long one attempt to connect may take at most. With a failure detector it takes at most a third of its time, so
/// that there are several attempts, and so that a network that recovers is noticed soon.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// How long one attempt may take at least.
const CONNECT_TIME_MIN: Duration = Duration::from_millis(100);

/// The time from the beginning of the first failed attempt to the next; it doubles with each further one.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);

/// The same after a refusal: whoever refuses this node, or is not trusted by it, will mostly do so until somebody
/// changes a config.
const DENIED_PAUSE_MAX: Duration = Duration::from_secs(10);

/// The longest time from the beginning of one attempt to that of the next, unless the attempt itself is longer.
/// Short enough that calls go through again within a second after a node has come back.
const RETRY_PAUSE_MAX: Duration = Duration::from_millis(800);

/// How long a node that has moved may take to receive at its old address what was sent there, before calls go to the new
/// one all the same, in milliseconds. A node that is silent for longer is down by default.
pub const MOVE_TIME_MS_MAX: Millis = 2_000;

/// How often that is looked at: a move is rare, an acknowledgement is not.
const PREDECESSOR_INTERVAL: Duration = Duration::from_millis(1);

impl Channel {
    /// Waits until the node has received what was sent to its earlier addresses. Where they lead to the same process, a
    /// caller's order is kept.
    pub(super) async fn wait_for_predecessors(&self, shard: &Rc<ShardCore>) {
        let until = shard.update_now() + MOVE_TIME_MS_MAX;
        let predecessors = self.predecessors.take();
        while predecessors.iter().any(|channel| channel.precedes(&self.node)) && shard.update_now() < until {
            sleep(PREDECESSOR_INTERVAL).await;
        }
    }

    /// Connects; returns the address too, of those that the node's host has.
    pub(super) async fn connect(&self, shard: &Rc<ShardCore>) -> Result<(Stream, IpAddr), Text> {
        let address = self.address();
        let time_max = connect_time(shard.node.settings.down_after_ms);
        let mut failure = Text::from("");
        // A host may have several addresses, of which the service may use any.
        for socket_address in blocking::resolve(shard, address.host(), address.port()).await? {
            failure = match timeout(time_max, Stream::connect(socket_address)).await {
                Some(Ok(_)) if self.address() != address => {
                    return Err(self.cause_at(&address, "no longer its address"));
                }
                Some(Ok(stream)) => return Ok((stream, socket_address.ip())),
                Some(Err(error)) => self.cause_at(&address, &error.to_string()),
                None => {
                    let milliseconds = time_max.as_millis();
                    self.cause_at(&address, &format!("no answer within {milliseconds} ms"))
                }
            };
        }
        Err(failure)
    }

    /// A cause with the address that it is about, unless that is the node's name already.
    pub(super) fn cause_at(&self, address: &NodeAddress, cause: &str) -> Text {
        let address = address.to_string();
        if *self.node == *address {
            cause.into()
        } else {
            format!("{address}: {cause}").into()
        }
    }

    /// Waits until the next attempt is due; the last one began at `began`.
    pub(super) async fn pause_after_failure(
        &self,
        shard: &Rc<ShardCore>,
        failures: u32,
        began: Instant,
        failure: Attempt,
    ) {
        let longest = match failure {
            Attempt::Failed(_) => RETRY_PAUSE_MAX,
            Attempt::Denied(_) => DENIED_PAUSE_MAX,
        };
        self.record_failure(shard, failure);
        let pause = retry_pause(failures, longest).saturating_sub(rt::now().saturating_duration_since(began));
        sleep_or_wake(Some(pause.max(RETRY_PAUSE_MIN / 2)), &self.retry_now).await;
    }

    /// Waits until the rate limit of this shard permits one more attempt.
    pub(super) async fn wait_for_rate_limit(&self, shard: &Rc<ShardCore>) {
        let wait_ms = shard.cluster().states.reserve_connect_ms(shard.update_now());
        if wait_ms > 0 {
            sleep(Duration::from_millis(wait_ms)).await;
        }
    }

    fn record_failure(&self, shard: &Rc<ShardCore>, failure: Attempt) {
        let (cause, evidence) = match failure {
            Attempt::Failed(cause) => (Text::clone(&cause), Evidence::Failed(cause)),
            Attempt::Denied(cause) => (Text::clone(&cause), Evidence::Denied(cause)),
        };
        shard.node.metrics.connects_failed.add(1);
        // The change to suspect or down is logged with the cause already.
        let is_logged = self.number == 1 && shard.node.settings.down_after_ms > 0 && !self.is_down();
        if !is_logged && let Some(suppressed) = self.failure_log.allow(shard.update_now()) {
            let more = match suppressed {
                0 => String::new(),
                count => format!(" ({count} more attempts failed since the last such line)"),
            };
            shard.log_cluster(
                Level::Warning,
                format!("cluster node {} is not reached: {cause}{more}", self.node),
            );
        }
        shard.cluster().shared.set_failure(&self.node, Some(&cause));
        self.report(shard, evidence);
        self.set_last_failure(cause);
    }
}

/// Why an attempt to connect has failed.
pub(super) enum Attempt {
    /// The node was not reached, or did not answer.
    Failed(Text),
    /// The node refuses this one, or has not proved what it must; the text is that of an error with the code `denied`.
    Denied(Text),
}

/// The time for one attempt, from the time after which a node is down; 0 = never.
fn connect_time(down_after_ms: Millis) -> Duration {
    match down_after_ms {
        0 => CONNECT_TIME_MAX,
        _ => Duration::from_millis(down_after_ms / 3).clamp(CONNECT_TIME_MIN, CONNECT_TIME_MAX),
    }
}

/// The pause after `failures` failed attempts: doubled each time, and then a random length between half of it and all
/// of it, so that the nodes that lost one peer do not all reconnect at once.
fn retry_pause(failures: u32, longest: Duration) -> Duration {
    let doubled = RETRY_PAUSE_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let longest = doubled.min(longest);
    longest / 2 + longest.mul_f64((rt::random_number() % 1_000) as f64 / 2_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_vary() {
        let first: Vec<Duration> = (0..100).map(|_| retry_pause(1, RETRY_PAUSE_MAX)).collect();
        assert!(
            first
                .iter()
                .all(|pause| *pause >= RETRY_PAUSE_MIN / 2 && *pause <= RETRY_PAUSE_MIN)
        );
        assert!(first.iter().any(|pause| *pause != first[0]));
        for longest in [RETRY_PAUSE_MAX, DENIED_PAUSE_MAX] {
            for failures in [10, 100, u32::MAX] {
                let pause = retry_pause(failures, longest);
                assert!(pause >= longest / 2 && pause <= longest, "{pause:?}");
            }
        }
    }
}
