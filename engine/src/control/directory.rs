//! A source of the map as an operator's command reads and edits it: without a node, blocking, each call for itself.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::dns;
use super::entry::{Entry, NodeValue, node_name};
use super::etcd::{Client, wire};
use super::registry::{DISCOVERED_NODES_MAX, Registry};
use crate::config::{ClusterMap, Discovery, Etcd, NodeAddress};
use crate::error::Error;

/// How long one call may take.
const CALL_TIME_MAX: Duration = Duration::from_secs(10);

/// What a source says about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundNode {
    /// Where it is called; `None`: it is turned off.
    pub address: Option<NodeAddress>,
    /// How many channels it wants from each peer.
    pub channels: Option<u32>,
    /// Its zone.
    pub zone: Option<String>,
    /// The version of its program.
    pub version: Option<String>,
    /// When it was started, in milliseconds since 1970.
    pub started_ms: Option<u64>,
}

impl From<Entry> for FoundNode {
    fn from(entry: Entry) -> FoundNode {
        let value = match entry {
            Entry::Disabled => NodeValue::default(),
            Entry::Node(value) => value,
        };
        FoundNode {
            address: value.address.parse().ok(),
            channels: value.channels,
            zone: value.zone,
            version: value.version,
            started_ms: value.started_ms,
        }
    }
}

/// The nodes that etcd or DNS has, by name; those of other sources are not in it.
///
/// # Errors
/// [`Error::System`] with the cause when the source does not answer.
pub fn nodes(discovery: &Discovery) -> Result<BTreeMap<String, FoundNode>, Error> {
    let found = run(find(discovery))?;
    let found = found.into_iter().map(|(name, entry)| (name, entry.into()));
    Ok(found.collect())
}

/// What etcd or DNS has as a cluster map: the nodes, and the group of a headless service.
///
/// # Errors
/// As [`nodes`].
pub fn map(discovery: &Discovery) -> Result<ClusterMap, Error> {
    let found = run(find(discovery))?;
    let mut registry = Registry::new("", "", None, 0, 0);
    let mut update = registry.read_nodes(0, &found);
    if let Some(dns) = discovery.dns.as_ref().filter(|dns| !dns.is_service()) {
        dns::add_group(dns, &registry, &mut update);
    }
    Ok(update.discovered.map)
}

async fn find(discovery: &Discovery) -> Result<BTreeMap<String, Entry>, String> {
    let mut found = BTreeMap::new();
    if let Some(etcd) = &discovery.etcd {
        found.extend(nodes_of_etcd(etcd).await?);
    }
    if let Some(dns) = &discovery.dns {
        found.extend(dns::nodes(dns).await?);
    }
    Ok(found)
}

/// Sets a node in etcd, without a lease: an address, or `None` to turn it off.
///
/// # Errors
/// [`Error::Invalid`] when no node can have the name, [`Error::System`] when etcd does not answer or refuses.
pub fn set(etcd: &Etcd, name: &str, address: Option<&NodeAddress>) -> Result<(), Error> {
    let key = key(etcd, name)?;
    let entry = match address {
        None => Entry::Disabled,
        Some(address) => Entry::Node(NodeValue {
            address: address.to_string(),
            ..NodeValue::default()
        }),
    };
    run(async {
        let mut client = connect(etcd).await?;
        let body = wire::put(&key, &entry.to_bytes());
        client.call("/v3/kv/put", body).await.map(drop)
    })
}

/// Removes a node from etcd; returns whether it was there.
///
/// # Errors
/// As [`set`].
pub fn unset(etcd: &Etcd, name: &str) -> Result<bool, Error> {
    let key = key(etcd, name)?;
    run(async {
        let mut client = connect(etcd).await?;
        let answer = client.call("/v3/kv/deleterange", wire::range_key(&key)).await?;
        wire::read_deleted(&answer)
    })
}

fn key(etcd: &Etcd, name: &str) -> Result<String, Error> {
    node_name("", name.as_bytes()).map_err(|cause| Error::invalid(format!("{name}: {cause}")))?;
    Ok(format!("{}{name}", etcd.prefix))
}

fn run<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, Error> {
    let system = |what: String| Error::System { what: what.into() };
    let runtime = Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.map_err(|error| system(error.to_string()))?;
    let bounded = async { timeout(CALL_TIME_MAX, work).await };
    let answer = LocalSet::new().block_on(&runtime, bounded);
    runtime.shutdown_background();
    answer
        .unwrap_or_else(|_| Err("no answer in time".to_owned()))
        .map_err(system)
}

/// Connects to the first server that answers.
async fn connect(etcd: &Etcd) -> Result<Client, String> {
    let mut causes = Vec::new();
    for endpoint in &etcd.endpoints {
        match Client::connect(etcd, endpoint).await {
            Ok(client) => return Ok(client),
            Err(cause) => causes.push(format!("{}: {cause}", endpoint.address)),
        }
    }
    Err(format!("etcd at {}", causes.join(", ")))
}

async fn nodes_of_etcd(etcd: &Etcd) -> Result<BTreeMap<String, Entry>, String> {
    let mut client = connect(etcd).await?;
    let body = wire::range_prefix(&etcd.prefix, DISCOVERED_NODES_MAX);
    let range = wire::read_range(&client.call("/v3/kv/range", body).await?)?;
    let nodes = range.keys.into_iter().filter_map(|key| {
        let name = node_name(&etcd.prefix, &key.key).ok()?.to_owned();
        Some((name, Entry::parse(&key.value).ok()?))
    });
    Ok(nodes.collect())
}
