//! DNS as a source of the cluster map: the SRV records of a service, or the addresses of a headless one.
//!
//! - `records`: questions and answers; without I/O;
//! - `exchange`: UDP, TCP and the system's settings.
//!
//! The name is looked up again and again. Each answer is the whole of the cluster; a node that is missing in it for
//! [`LOOK_UPS_MISSING`] look-ups has left. A look-up that fails changes nothing, and is reported once.

mod exchange;
pub(super) mod records;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use skyring_codec::Millis;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::config::{Dns, GROUP_MEMBERS_MAX, Group};
use crate::control::Outlet;
use crate::control::entry::{Entry, NodeValue, node_name};
use crate::control::registry::{Registry, Update};
use exchange::Resolver;
use records::Kind;

/// What the log calls this source.
const SOURCE: &str = "DNS";

/// Look-ups in which a node must be missing until it has left: one answer may have been of a server that is behind.
const LOOK_UPS_MISSING: u64 = 2;

/// How long the look-ups of one round may take together.
pub(crate) const DNS_ROUND_TIME_MAX: Duration = Duration::from_secs(10);

/// Looks a name up until the node stops.
pub(crate) async fn run(outlet: Outlet, mut stop: watch::Receiver<bool>, dns: Dns, grace_s: u32) {
    let started = Instant::now();
    let now = || Millis::try_from(started.elapsed().as_millis()).unwrap_or(Millis::MAX);
    let period = Duration::from_secs(u64::from(dns.period_s));
    let missing_ms = Millis::from(dns.period_s) * 1_000 * LOOK_UPS_MISSING - 1;
    let mut registry = Registry::new(SOURCE, "", None, missing_ms, Millis::from(grace_s) * 1_000);
    let mut is_lost = false;
    loop {
        let round = timeout(DNS_ROUND_TIME_MAX, nodes(&dns));
        let found = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            found = round => found.unwrap_or_else(|_| Err("no answers in time".to_owned())),
        };
        match found {
            Ok(nodes) => {
                if std::mem::take(&mut is_lost) {
                    outlet.log("DNS answers again");
                }
                let update = registry.read_nodes(now(), &nodes);
                take(&outlet, &dns, &registry, update).await;
                let update = registry.poll(now());
                take(&outlet, &dns, &registry, update).await;
            }
            Err(cause) if !is_lost => {
                is_lost = true;
                outlet.warn(format!(
                    "DNS gives no answer, and the cluster map stays as it is: {cause}"
                ));
            }
            Err(_) => {}
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = sleep(period) => {}
        }
    }
}

async fn take(outlet: &Outlet, dns: &Dns, registry: &Registry, mut update: Update) {
    for note in &update.notes {
        outlet.log(note);
    }
    if !update.changes_map() {
        return;
    }
    if let Some(line) = update.line(SOURCE) {
        outlet.log(line);
    }
    if !dns.is_service() {
        add_group(dns, registry, &mut update);
    }
    outlet.apply(update.discovered).await;
}

/// The nodes of a headless service are one group, by the first word of its name.
pub(super) fn add_group(dns: &Dns, registry: &Registry, update: &mut Update) {
    let members = registry.names().take(GROUP_MEMBERS_MAX);
    let group = Group::new(dns.policy, members).ok();
    update
        .discovered
        .map
        .groups
        .insert(dns.first_word().to_owned(), group);
}

/// The nodes that the name stands for now.
pub(super) async fn nodes(dns: &Dns) -> Result<BTreeMap<String, Entry>, String> {
    let resolver = match dns.server {
        Some(server) => Resolver::of_server(server),
        None => Resolver::of_system()?,
    };
    let mut nodes = BTreeMap::new();
    if !dns.is_service() {
        for ip in addresses(&resolver, &dns.name).await? {
            let name = format!("{}-{}", dns.first_word(), ip.to_string().replace(['.', ':'], "-"));
            insert(&mut nodes, &name, SocketAddr::new(ip, dns.port));
        }
        return Ok(nodes);
    }
    let records = resolver.look_up(&dns.name, Kind::Srv).await?;
    let mut services = records.services;
    // Of two that give one name the first counts, whatever the order of the answer.
    services.sort_unstable();
    for (target, port) in services {
        let ip = match records.additional.get(&target.to_ascii_lowercase()) {
            Some(ip) => Some(*ip),
            // The dot at its end: it is whole.
            None => addresses(&resolver, &format!("{target}."))
                .await?
                .into_iter()
                .min(),
        };
        // A target without an address is not there yet.
        if let Some(ip) = ip {
            let name = target.split('.').next().unwrap_or_default();
            insert(&mut nodes, name, SocketAddr::new(ip, port));
        }
    }
    Ok(nodes)
}

/// The addresses of a host, of IPv4 if it has some.
async fn addresses(resolver: &Resolver, host: &str) -> Result<Vec<IpAddr>, String> {
    let found = resolver.look_up(host, Kind::A).await?.addresses;
    match found.is_empty() {
        true => Ok(resolver.look_up(host, Kind::Aaaa).await?.addresses),
        false => Ok(found),
    }
}

pub(super) fn insert(nodes: &mut BTreeMap<String, Entry>, name: &str, address: SocketAddr) {
    if node_name("", name.as_bytes()).is_err() {
        return;
    }
    let value = NodeValue {
        address: address.to_string(),
        ..NodeValue::default()
    };
    nodes.entry(name.to_owned()).or_insert(Entry::Node(value));
}
