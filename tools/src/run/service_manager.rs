//! What a service manager such as systemd is told: that the node runs, that it lives, and that it stops.
//!
//! A unit with `Type=notify` is started when the node listens and its services run. With `WatchdogSec=` the manager
//! restarts a node that has not said in time that it lives; a node says so only while every shard takes work.
//! Without a manager nothing is sent.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use skyring::Node;

/// What the manager wants to hear while the node runs.
pub(super) struct ServiceManager {
    /// How often it wants to hear that the node lives; `None` = never.
    interval: Option<Duration>,
    next: Instant,
    stuck: Vec<usize>,
}

impl ServiceManager {
    /// Says that the node has started.
    pub(super) fn started(node: &Node) -> ServiceManager {
        // Half of the time that it waits, as its documentation recommends.
        let interval = sd_notify::watchdog_enabled().map(|time_max| time_max / 2);
        notify(node, &[NotifyState::Ready]);
        ServiceManager {
            interval,
            next: Instant::now(),
            stuck: Vec::new(),
        }
    }

    /// How long it may wait until [`report_alive`](Self::report_alive) is called next; `None` = for ever.
    pub(super) fn time_left(&self) -> Option<Duration> {
        self.interval?;
        Some(self.next.saturating_duration_since(Instant::now()))
    }

    /// Says that the node lives, if every shard takes work. Takes half of the interval at most.
    pub(super) fn report_alive(&mut self, node: &Node) {
        let Some(interval) = self.interval else { return };
        self.next = Instant::now() + interval;
        let stuck = node.find_stuck_shards(interval / 2);
        if stuck.is_empty() {
            notify(node, &[NotifyState::Watchdog]);
        } else if stuck != self.stuck {
            let shards: Vec<String> = stuck.iter().map(ToString::to_string).collect();
            node.log(&format!(
                "shards that take no work: {}; the service manager is not told that the node lives",
                shards.join(", ")
            ));
        }
        self.stuck = stuck;
    }

    /// Says that the node stops.
    pub(super) fn stopping(self, node: &Node) {
        notify(node, &[NotifyState::Stopping]);
    }
}

/// Tells the manager, if there is one. It waits for nothing: a manager that hears nothing acts by itself.
fn notify(node: &Node, state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        node.log(&format!(
            "the service manager cannot be told ({error}): see NOTIFY_SOCKET"
        ));
    }
}
