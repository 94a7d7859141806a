//! The task that keeps a node and etcd in step: sessions with one server after the other.
//!
//! A *session* has two connections to one server: one for requests, one for the watch. It reads all keys of the
//! prefix, watches what changes from that revision on, and keeps the lease of the node's own entry alive. Any error
//! ends it, and the next one begins with another server. Invariants: two sessions begin at most [`RETRY_PAUSE_MIN`]
//! after one another; a lost etcd is reported once, and once more when it is back; the map changes only by what a
//! session has read.

use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use skyring_codec::Millis;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::client::{Client, Lines};
use super::wire::{self, Expected};
use crate::config::{Etcd, EtcdEndpoint};
use crate::control::Outlet;
use crate::control::entry::{Entry, NodeValue};
use crate::control::registry::{DISCOVERED_NODES_MAX, Registry, Update};
use crate::rt::random_number;

/// The shortest pause between two sessions.
pub(crate) const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause between two sessions, after which it doubles no more.
pub(crate) const ETCD_RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a stopping node waits for etcd to take its lease back.
const REVOKE_TIME_MAX: Duration = Duration::from_millis(500);

/// How often a node tries to take over the entry of a process that was at its own address.
const PUT_ATTEMPTS_MAX: usize = 4;

/// What the log calls this source.
const SOURCE: &str = "etcd";

/// What the node publishes about itself.
pub(crate) struct Publication {
    pub(crate) name: String,
    pub(crate) value: NodeValue,
    /// Becomes true when the node can be called.
    pub(crate) is_open: watch::Receiver<bool>,
    /// Told once whether the entry stands in etcd, or why it cannot.
    pub(crate) outcome: SyncSender<Result<(), String>>,
}

/// Whether the node's own entry stands in etcd.
#[derive(Debug, PartialEq, Eq)]
enum Own {
    /// It does not yet.
    Absent,
    Published,
    /// Another one stands there.
    Taken,
}

/// The state that outlives sessions.
struct Task {
    outlet: Outlet,
    etcd: Etcd,
    registry: Registry,
    publication: Option<Publication>,
    own: Own,
    lease: Option<i64>,
    started: Instant,
    is_lost: bool,
    /// The last reported cause why the node is not found.
    reported: Option<String>,
    /// Told at the end of the first reading.
    first_read: Option<SyncSender<()>>,
}

/// Keeps in step with etcd until the node stops.
pub(crate) async fn run(
    outlet: Outlet,
    mut stop: watch::Receiver<bool>,
    etcd: Etcd,
    grace_s: u32,
    publication: Option<Publication>,
    first_read: SyncSender<()>,
) {
    let own = publication.as_ref().map(|publication| publication.name.as_str());
    let milliseconds = |seconds: u32| Millis::from(seconds) * 1_000;
    let registry = Registry::new(
        SOURCE,
        &etcd.prefix,
        own,
        milliseconds(etcd.lease_s),
        milliseconds(grace_s),
    );
    let mut task = Task {
        outlet,
        registry,
        publication,
        own: Own::Absent,
        lease: None,
        started: Instant::now(),
        is_lost: false,
        reported: None,
        first_read: Some(first_read),
        etcd,
    };
    let mut pause = RETRY_PAUSE_MIN;
    // The nodes of a cluster spread over the servers.
    let mut next = random_number() as usize;
    loop {
        let endpoint = task.etcd.endpoints[next % task.etcd.endpoints.len()].clone();
        next = next.wrapping_add(1);
        let began = Instant::now();
        let Err(cause) = task.session(&endpoint, stop.clone()).await else {
            return;
        };
        if !task.is_lost {
            task.is_lost = true;
            task.outlet.warn(format!(
                "etcd is lost, and the cluster map stays as it is: {}: {cause}",
                endpoint.address
            ));
        }
        if began.elapsed() > 2 * ETCD_RETRY_PAUSE_MAX {
            pause = RETRY_PAUSE_MIN;
        }
        // Between half of it and the whole, so that the nodes of a cluster do not come at the same moment.
        let jittered = pause.mul_f64(0.5 + (random_number() % 1_000) as f64 / 2_000.0);
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = sleep(jittered.max(RETRY_PAUSE_MIN)) => {}
        }
        pause = (pause * 2).min(ETCD_RETRY_PAUSE_MAX);
    }
}

impl Task {
    fn now(&self) -> Millis {
        Millis::try_from(self.started.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    /// Connects, reads all keys, and begins to watch.
    async fn begin(&mut self, endpoint: &EtcdEndpoint) -> Result<(Client, Lines), String> {
        let mut client = Client::connect(&self.etcd, endpoint).await?;
        let body = wire::range_prefix(&self.etcd.prefix, DISCOVERED_NODES_MAX + 1);
        let range = wire::read_range(&client.call("/v3/kv/range", body).await?)?;
        let watching = Client::connect(&self.etcd, endpoint).await?;
        let body = wire::watch_prefix(&self.etcd.prefix, range.revision + 1);
        let lines = watching.stream("/v3/watch", body).await?;
        let update = self.registry.read(self.now(), range.keys);
        if std::mem::take(&mut self.is_lost) {
            self.outlet.log(format!("etcd is back: {}", endpoint.address));
        }
        self.take(update).await;
        if let Some(first_read) = self.first_read.take() {
            // Nobody waits any more when it took long.
            let _ = first_read.try_send(());
        }
        self.keep_alive(&mut client).await?;
        Ok((client, lines))
    }

    /// One session. `Ok` = the node stops.
    async fn session(
        &mut self,
        endpoint: &EtcdEndpoint,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), String> {
        let (mut client, mut lines) = tokio::select! {
            begun = self.begin(endpoint) => begun?,
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        };
        let third = Duration::from_secs(u64::from(self.etcd.lease_s)) / 3;
        let mut next_keep_alive = Instant::now() + third;
        loop {
            if self.must_publish() {
                self.publish(&mut client).await?;
            }
            let until_poll = self.registry.next_deadline().map_or(Duration::MAX, |deadline| {
                Duration::from_millis(deadline.saturating_sub(self.now()))
            });
            let until_keep_alive = next_keep_alive.saturating_duration_since(Instant::now());
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {
                    self.revoke(&mut client).await;
                    return Ok(());
                }
                line = lines.next() => {
                    let events = wire::read_watch(&line?)?;
                    let update = self.registry.apply(self.now(), events);
                    self.take(update).await;
                }
                () = opened(&mut self.publication), if self.own == Own::Absent => {}
                () = sleep(until_poll.min(until_keep_alive)) => {
                    if Instant::now() >= next_keep_alive {
                        next_keep_alive = Instant::now() + third;
                        self.keep_alive(&mut client).await?;
                        self.retry_taken();
                    }
                    let update = self.registry.poll(self.now());
                    self.take(update).await;
                }
            }
        }
    }

    /// Hands an update on: to the map, to the log, and to what stands about the node's own entry.
    async fn take(&mut self, update: Update) {
        for note in &update.notes {
            self.outlet.log(note);
        }
        if let Some(own) = &update.own {
            self.own_changed(own.as_ref());
        }
        if !update.changes_map() {
            return;
        }
        if let Some(line) = update.line(SOURCE) {
            self.outlet.log(line);
        }
        self.outlet.apply(update.discovered).await;
    }

    // ---- the node's own entry ----

    fn own_changed(&mut self, entry: Option<&Entry>) {
        let Some(publication) = &self.publication else {
            return;
        };
        match entry {
            None => self.own = Own::Absent,
            Some(Entry::Node(value)) if value.process == publication.value.process => {
                self.own = Own::Published;
            }
            Some(entry) if self.own == Own::Published => {
                let cause = taken_by(&publication.name, Some(entry));
                self.set_taken(cause);
            }
            // The attempt to publish finds out whether it is a process of before.
            Some(_) => {}
        }
    }

    fn set_taken(&mut self, cause: String) {
        self.own = Own::Taken;
        if self.reported.as_ref() != Some(&cause) {
            self.outlet
                .warn(format!("etcd: other nodes do not find this one: {cause}"));
            self.reported = Some(cause);
        }
    }

    fn must_publish(&self) -> bool {
        let publication = self.publication.as_ref();
        let is_open = publication.is_some_and(|publication| *publication.is_open.borrow());
        is_open && self.own == Own::Absent
    }

    /// A name that another process had may be free now.
    fn retry_taken(&mut self) {
        if self.own == Own::Taken {
            self.own = Own::Absent;
        }
    }

    /// Puts the node's entry, unless another node has the name.
    async fn publish(&mut self, client: &mut Client) -> Result<(), String> {
        let lease = match self.lease {
            Some(lease) => lease,
            None => wire::read_grant(
                &client
                    .call("/v3/lease/grant", wire::grant(self.etcd.lease_s))
                    .await?,
            )?,
        };
        self.lease = Some(lease);
        let Some(publication) = &self.publication else {
            return Ok(());
        };
        let key = format!("{}{}", self.etcd.prefix, publication.name);
        let value = Entry::Node(publication.value.clone()).to_bytes();
        let mut expected = Expected::Absent;
        for _ in 0..PUT_ATTEMPTS_MAX {
            let body = wire::put_if(&key, &expected, &value, lease);
            let answer = wire::read_put_if(&client.call("/v3/kv/txn", body).await?)?;
            let Some(found) = answer else {
                self.own = Own::Published;
                self.reported = None;
                let _ = publication.outcome.try_send(Ok(()));
                self.outlet.log(format!(
                    "etcd has this node as {} at {}",
                    publication.name, publication.value.address
                ));
                return Ok(());
            };
            let Some(found) = found.keys.into_iter().next() else {
                expected = Expected::Absent;
                continue;
            };
            let entry = Entry::parse(&found.value).ok();
            match &entry {
                // No other process can listen where this one does: it is this node before it was started again.
                Some(Entry::Node(other)) if other.address == publication.value.address => {
                    expected = Expected::ModRevision(found.mod_revision);
                }
                other => {
                    let cause = taken_by(&publication.name, other.as_ref());
                    // Nobody waits any more when it took long.
                    let _ = publication.outcome.try_send(Err(cause.clone()));
                    self.set_taken(cause);
                    return Ok(());
                }
            }
        }
        Err("its key changes all the time".to_owned())
    }

    /// Keeps the lease alive, or finds out that it has run out. Without a lease it shows that etcd answers.
    async fn keep_alive(&mut self, client: &mut Client) -> Result<(), String> {
        let Some(lease) = self.lease else {
            let body = wire::range_key(&self.etcd.prefix);
            return wire::read_range(&client.call("/v3/kv/range", body).await?).map(drop);
        };
        if !wire::read_keepalive(&client.call("/v3/lease/keepalive", wire::lease(lease)).await?)? {
            self.lease = None;
            if self.own == Own::Published {
                self.own = Own::Absent;
            }
        }
        Ok(())
    }

    /// Gives the lease back, so that other nodes need not wait for its end.
    async fn revoke(&mut self, client: &mut Client) {
        if let Some(lease) = self.lease.take() {
            // Without an answer the lease runs out by itself.
            let _ = timeout(
                REVOKE_TIME_MAX,
                client.call("/v3/lease/revoke", wire::lease(lease)),
            )
            .await;
        }
    }
}

/// Waits until the node can be called; for ever when it is not to be published.
async fn opened(publication: &mut Option<Publication>) {
    let opened = match publication {
        Some(publication) => publication.is_open.wait_for(|is_open| *is_open).await.is_ok(),
        None => false,
    };
    if !opened {
        std::future::pending().await
    }
}

/// Why the name of a node cannot be had.
fn taken_by(name: &str, entry: Option<&Entry>) -> String {
    match entry {
        Some(Entry::Node(other)) => format!(
            "the name {name} is taken by the node at {}; stop that node, or give this one another name",
            other.address
        ),
        Some(Entry::Disabled) => format!("{name} is turned off (false) there"),
        None => format!("the key of {name} has another use there"),
    }
}
