//! Cluster maps and addresses of services, as `call`, `bench` and `cluster` take them from a command line.

use std::path::Path;

use skyring::config::Checked;
use skyring::{Address, ClusterMap, NodeBuilder, Security};

use super::output::{EXIT_FAILURE, EXIT_USAGE};

/// What a file says about reaching a cluster.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reach {
    pub(crate) map: ClusterMap,
    /// The cluster secret and the certificate, if the file is the config of a node that has them.
    pub(crate) security: Option<Security>,
    /// The name of that node, under which the cluster is called; empty for none.
    pub(crate) name: String,
}

impl Reach {
    /// What a map alone says.
    pub(crate) fn of(map: ClusterMap) -> Reach {
        Reach {
            map,
            ..Reach::default()
        }
    }

    /// Gives a node what it needs to reach the cluster.
    pub(crate) fn prepare(self, builder: NodeBuilder) -> NodeBuilder {
        let builder = builder.map(self.map).name(&self.name);
        match self.security {
            Some(security) => builder.security(security),
            None => builder,
        }
    }
}

/// Loads a cluster map: the file itself, or the map that a node config names and what its `discovery` finds, and then that
/// config's secret too. An error is the exit code and the cause.
pub(crate) fn load_map(file: &Path) -> Result<Reach, (u8, String)> {
    let usage = |cause: String| (EXIT_USAGE, cause);
    match skyring::config::check(file).map_err(|error| usage(error.to_string()))? {
        Checked::Map(map, _) => Ok(Reach::of(map)),
        Checked::Node(config, map) => {
            let discovery = config.discovery.unwrap_or_default();
            if map.is_none() && discovery.etcd.is_none() && discovery.dns.is_none() {
                let cause = "a node config that names no cluster map and has no discovery";
                return Err(usage(format!("{}: {cause}", file.display())));
            }
            let mut map = map.unwrap_or_default();
            // What is found goes before what the file says.
            let found = skyring::discovery::map(&discovery);
            map.merge(found.map_err(|error| (EXIT_FAILURE, error.to_string()))?);
            Ok(Reach {
                map,
                security: config.security,
                name: config.open.unwrap_or_default(),
            })
        }
    }
}

/// Checks that the map names the node, or a group of that name.
pub(crate) fn check_named(map: &ClusterMap, file: &Path, node: &str) -> Result<(), String> {
    let groups = map.groups.iter().filter(|(_, group)| group.is_some());
    let names = map.nodes.keys().chain(groups.map(|(name, _)| name));
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.contains(&node) {
        return Ok(());
    }
    let names = if names.is_empty() {
        "no nodes".to_owned()
    } else {
        names.join(", ")
    };
    let file = map.file.as_deref().unwrap_or(file).display();
    Err(format!(
        "absent: node {node} is not in the cluster map {file}, which has {names}"
    ))
}

/// Parses the address of a service.
pub(crate) fn parse_address(text: &str) -> Result<Address, String> {
    Address::parse(text)
        .ok_or_else(|| format!("\"{text}\" is not the address of a service: @name, .name, :0000000a or 10"))
}
