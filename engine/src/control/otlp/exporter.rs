//! From the queue to the collector: batches, their retries, and what is dropped.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::ExportParts;
use super::client::{Client, Failure};
use super::document::Documents;
use crate::config::Otlp;
use crate::control::Outlet;
use crate::core::node::NodeShared;
use crate::log::{Level, Throttle};
use crate::rt::random_number;

/// Most spans of one request.
const OTLP_BATCH_SPANS_MAX: usize = 512;

/// How long the first span of a batch waits for others.
const BATCH_PAUSE: Duration = Duration::from_millis(200);

/// How long a batch is tried before it is dropped.
const OTLP_BATCH_TIME_MAX: Duration = Duration::from_secs(60);

/// The pause before the first retry; each further one is twice as long.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause before a retry, also where the collector asks for a longer one.
const OTLP_RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long a node that stops tries to export what it still has. The thread's tasks have 900 milliseconds.
const OTLP_FLUSH_TIME_MAX: Duration = Duration::from_millis(700);

/// Log lines about the same are so far apart, in milliseconds.
const LINE_PAUSE_MS: u64 = 60_000;

/// Exports until the node has stopped.
pub(super) async fn run(outlet: Outlet, stop: watch::Receiver<bool>, parts: ExportParts) {
    let ExportParts {
        node,
        collector,
        find_name,
    } = parts;
    outlet.log_node(Level::Info, format!("Spans go to {collector}"));
    let mut exporter = Exporter {
        documents: Documents::new(&node, find_name),
        client: Client::new(collector.clone()),
        outlet,
        node,
        collector,
        stop: stop.clone(),
        in_hand: 0,
        has_failed: false,
        failures: Throttle::new(LINE_PAUSE_MS),
        drops: Throttle::new(LINE_PAUSE_MS),
        drops_told: 0,
        started: Instant::now(),
    };
    let out_of_time = async {
        let mut stop = stop;
        // An error means that the thread's owner is gone.
        let _ = stop.wait_for(|stop| *stop).await;
        sleep(OTLP_FLUSH_TIME_MAX).await;
    };
    tokio::select! {
        () = exporter.work() => {}
        () = out_of_time => {}
    }
    exporter.give_up();
}

struct Exporter {
    outlet: Outlet,
    node: Arc<NodeShared>,
    collector: Otlp,
    client: Client,
    documents: Documents,
    stop: watch::Receiver<bool>,
    /// Spans of the batch that is being sent.
    in_hand: u64,
    /// The last attempt has failed.
    has_failed: bool,
    failures: Throttle,
    drops: Throttle,
    /// Dropped spans that the log has told of.
    drops_told: u64,
    started: Instant,
}

impl Exporter {
    /// Sends batches until the node stops and none is left.
    async fn work(&mut self) {
        loop {
            let is_stopping = *self.stop.borrow();
            let finished = match &self.node.finished_spans {
                Some(spans) => spans.take(OTLP_BATCH_SPANS_MAX),
                None => return,
            };
            self.tell_drops();
            if finished.is_empty() {
                if is_stopping {
                    return;
                }
                self.pause(BATCH_PAUSE).await;
                continue;
            }
            let is_full = finished.len() == OTLP_BATCH_SPANS_MAX;
            self.in_hand = finished.len() as u64;
            let body = Bytes::from(self.documents.write(&finished));
            drop(finished);
            self.send(body).await;
            self.in_hand = 0;
            if !is_full {
                self.pause(BATCH_PAUSE).await;
            }
        }
    }

    /// Waits, less if the node stops.
    async fn pause(&self, time: Duration) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = sleep(time) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    /// Sends one batch, again and again within its time.
    async fn send(&mut self, body: Bytes) {
        let until = Instant::now() + OTLP_BATCH_TIME_MAX;
        let mut own_pause = RETRY_PAUSE;
        loop {
            match self.client.post(body.clone()).await {
                Ok(taken) => {
                    let rejected = taken.rejected.min(self.in_hand);
                    self.node.metrics.spans_exported.add(self.in_hand - rejected);
                    self.node.metrics.spans_dropped.add(rejected);
                    if rejected > 0 {
                        self.tell_failure(&format!("it has refused {rejected} of them: {}", taken.message));
                    } else if std::mem::take(&mut self.has_failed) {
                        self.outlet
                            .log_node(Level::Info, format!("spans go to {} again", self.collector));
                    }
                    return;
                }
                Err(Failure::Final(cause)) => {
                    self.node.metrics.spans_dropped.add(self.in_hand);
                    self.tell_failure(&cause);
                    return;
                }
                Err(Failure::Later { cause, after }) => {
                    self.tell_failure(&cause);
                    let pause = after.unwrap_or_default().max(jittered(own_pause));
                    let pause = pause.min(OTLP_RETRY_PAUSE_MAX);
                    own_pause = (own_pause * 2).min(OTLP_RETRY_PAUSE_MAX);
                    if *self.stop.borrow() || Instant::now() + pause > until {
                        self.node.metrics.spans_dropped.add(self.in_hand);
                        return;
                    }
                    self.pause(pause).await;
                    self.tell_drops();
                }
            }
        }
    }

    /// Counts what is left when the time is over.
    fn give_up(&mut self) {
        let mut left = self.in_hand;
        while let Some(spans) = &self.node.finished_spans
            && let finished = spans.take(OTLP_BATCH_SPANS_MAX)
            && !finished.is_empty()
        {
            left += finished.len() as u64;
        }
        self.node.metrics.spans_dropped.add(left);
        if left > 0 {
            let text = format!(
                "spans not exported to {}, because the node stops: {left}",
                self.collector
            );
            self.outlet.log_node(Level::Warning, text);
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Says why spans do not arrive, not too often.
    fn tell_failure(&mut self, cause: &str) {
        self.has_failed = true;
        if self.failures.allow(self.now_ms()).is_some() {
            let text = format!("spans cannot be exported to {}: {cause}", self.collector);
            self.outlet.log_node(Level::Warning, text);
        }
    }

    /// Says that spans were dropped, not too often.
    fn tell_drops(&mut self) {
        let dropped = self.node.metrics.spans_dropped.get();
        if dropped > self.drops_told && self.drops.allow(self.now_ms()).is_some() {
            let more = dropped - self.drops_told;
            self.drops_told = dropped;
            let text = format!(
                "spans dropped, because {} did not take them: {more}",
                self.collector
            );
            self.outlet.log_node(Level::Warning, text);
        }
    }
}

/// A time between half and all of it, so that nodes do not come at the same moment.
fn jittered(pause: Duration) -> Duration {
    let half = pause / 2;
    let most = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_micros(random_number() % most)
}
