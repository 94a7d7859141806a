//! Whom a node talks to: its cluster secret, and the Skynet nodes that cannot prove one.

use std::net::IpAddr;
use std::sync::Arc;

use skyring_codec::link::Access;
use skyring_codec::native::{SecretError, Secrets};

use super::network::Network;
use super::permissions::Permissions;

/// The most networks of Skynet nodes that a config may list.
pub const SKYNET_NETWORKS_MAX: usize = 256;

/// The cluster secret of a node, and what it permits without a proof of it. It is never printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    secrets: Arc<Secrets>,
    skynet_networks: Vec<Network>,
    pub(super) permissions: Permissions,
}

impl Security {
    /// A node with these secrets: one, or two while one replaces the other.
    ///
    /// # Errors
    /// [`SecretError`] for a secret of fewer than 32 or more than 1,024 bytes, and for none or more than two.
    pub fn new(secrets: &[&str]) -> Result<Security, SecretError> {
        let secrets = secrets.iter().map(|secret| secret.as_bytes().to_vec().into());
        Ok(Security::with(Secrets::new(secrets.collect())?))
    }

    pub(super) fn with(secrets: Secrets) -> Security {
        Security {
            secrets: Arc::new(secrets),
            skynet_networks: Vec::new(),
            permissions: Permissions::default(),
        }
    }

    /// Lets only these callers call the service behind `@service` and `.service`: names of nodes, in which `*` stands
    /// for any characters, or networks of Skynet nodes. The names are those of the peers' hellos, which whoever has
    /// the secret chooses.
    ///
    /// # Errors
    /// A text that says what was expected.
    pub fn allow(mut self, service: &str, callers: &[&str]) -> Result<Security, String> {
        self.permissions.add(service, callers)?;
        Ok(self)
    }

    /// Sets who may call services without a rule: everybody unless this is called, nobody for an empty list.
    ///
    /// # Errors
    /// As [`Security::allow`].
    pub fn allow_default(mut self, callers: &[&str]) -> Result<Security, String> {
        self.permissions.set_default(callers)?;
        Ok(self)
    }

    /// How many services have a rule of who may call them.
    pub fn rule_count(&self) -> usize {
        self.permissions.rule_count()
    }

    /// Whether everybody who has the secret may call services without a rule.
    pub fn is_open_by_default(&self) -> bool {
        self.permissions.is_open_by_default()
    }

    pub(crate) fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// Permits the skynet dialect, which proves nothing, with the addresses of a network; in both directions.
    pub fn allow_skynet_peers(mut self, network: Network) -> Security {
        self.skynet_networks.push(network);
        self
    }

    /// How many secrets it has.
    pub fn secret_count(&self) -> usize {
        self.secrets.count()
    }

    /// The networks with which the skynet dialect is permitted.
    pub fn skynet_networks(&self) -> &[Network] {
        &self.skynet_networks
    }

    /// What the link of a connection with this address permits; `node` is the name that must answer, empty for any.
    pub(crate) fn access(&self, address: IpAddr, node: &str) -> Access {
        Access {
            secrets: Arc::clone(&self.secrets),
            allows_skynet: self
                .skynet_networks
                .iter()
                .any(|network| network.contains(address)),
            node: node.to_owned(),
        }
    }
}
