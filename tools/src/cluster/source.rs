//! Where the nodes of a cluster are named: a map file, etcd, or DNS.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use skyring::config::{Checked, Discovery, NodeAddress, NodeEntry};
use skyring::{ClusterMap, Security, discovery};

use super::edit;
use crate::shared::cluster_map::Reach;

/// The sources of one cluster.
pub(super) struct Source {
    map: Option<ClusterMap>,
    discovery: Discovery,
    /// The secret and the name of the node whose config it is, with which others are reached.
    security: Option<Security>,
    name: String,
}

/// A node, and what names it.
pub(super) struct Node {
    /// Where it is called; `None`: it is turned off.
    pub(super) address: Option<NodeAddress>,
    pub(super) source: String,
    pub(super) zone: Option<String>,
    pub(super) version: Option<String>,
    /// When it was started, in milliseconds since 1970.
    pub(super) started_ms: Option<u64>,
}

impl Source {
    /// The sources that a file is or names.
    pub(super) fn of_file(file: &Path) -> Result<Source, String> {
        match skyring::config::check(file).map_err(|error| error.to_string())? {
            Checked::Map(map, _) => Ok(Source {
                map: Some(map),
                discovery: Discovery::default(),
                security: None,
                name: String::new(),
            }),
            Checked::Node(config, map) => {
                let discovery = config.discovery.unwrap_or_default();
                if map.is_none() && discovery == Discovery::default() {
                    return Err(format!(
                        "{}: a node config that names no cluster map and has no discovery",
                        file.display()
                    ));
                }
                Ok(Source {
                    map,
                    discovery,
                    security: config.security,
                    name: config.open.unwrap_or_default(),
                })
            }
        }
    }

    /// The source that the text of a `discovery` describes.
    pub(super) fn of_text(text: &str) -> Result<Source, String> {
        let discovery = Discovery::parse(text, "--discovery").map_err(|error| error.to_string())?;
        if discovery.etcd.is_none() && discovery.dns.is_none() {
            return Err("--discovery: neither etcd nor dns is in it".to_owned());
        }
        Ok(Source {
            map: None,
            discovery,
            security: None,
            name: String::new(),
        })
    }

    /// How a node with this map reaches the others.
    pub(super) fn reach(&self, map: ClusterMap) -> Reach {
        Reach {
            map,
            security: self.security.clone(),
            name: self.name.clone(),
        }
    }

    /// The nodes by name. What etcd or DNS says of a node goes before what the map file says.
    pub(super) fn nodes(&self) -> Result<BTreeMap<String, Node>, String> {
        let mut nodes = BTreeMap::new();
        if let Some(map) = &self.map {
            let file = map
                .file
                .as_deref()
                .unwrap_or(Path::new("map"))
                .display()
                .to_string();
            for (name, entry) in &map.nodes {
                let node = Node {
                    address: entry.address().cloned(),
                    source: file.clone(),
                    zone: map.zone(name).map(str::to_owned),
                    version: None,
                    started_ms: None,
                };
                nodes.insert(name.clone(), node);
            }
        }
        let source = if self.discovery.etcd.is_some() {
            "etcd"
        } else {
            "DNS"
        };
        for (name, found) in discovery::nodes(&self.discovery).map_err(|error| error.to_string())? {
            let by_name = || skyring::config::region(&name).map(str::to_owned);
            let node = Node {
                address: found.address,
                source: source.to_owned(),
                zone: found.zone.or_else(by_name),
                version: found.version,
                started_ms: found.started_ms,
            };
            nodes.insert(name, node);
        }
        Ok(nodes)
    }

    /// Sets a node; returns what was done.
    pub(super) fn set(&self, name: &str, address: Option<&NodeAddress>) -> Result<String, String> {
        let value = address.map_or("false".to_owned(), ToString::to_string);
        if let Some(etcd) = &self.discovery.etcd {
            discovery::set(etcd, name, address).map_err(|error| error.to_string())?;
            return Ok(format!("etcd: {name} is {value}\n"));
        }
        let file = self.file()?;
        let entry = address.cloned().map_or(NodeEntry::Disabled, NodeEntry::Address);
        edit::set(&file, name, &entry)?;
        Ok(format!("{}: {name} is {value}\n", file.display()))
    }

    /// Removes a node; returns what was done.
    pub(super) fn unset(&self, name: &str) -> Result<String, String> {
        if let Some(etcd) = &self.discovery.etcd {
            return match discovery::unset(etcd, name).map_err(|error| error.to_string())? {
                true => Ok(format!("etcd: {name} is removed\n")),
                false => Err(format!("etcd has no node {name}")),
            };
        }
        let file = self.file()?;
        edit::unset(&file, name)?;
        Ok(format!("{}: {name} is removed\n", file.display()))
    }

    /// The map file.
    fn file(&self) -> Result<PathBuf, String> {
        if self.discovery.dns.is_some() {
            return Err("the nodes are those of DNS, which is not edited here".to_owned());
        }
        let file = self.map.as_ref().and_then(|map| map.file.clone());
        file.ok_or_else(|| "there is no map file".to_owned())
    }
}
