//! Whom a node talks to: its cluster secret, its certificate, and the Skynet nodes that cannot prove anything.

use std::net::IpAddr;
use std::sync::Arc;

use skyring_codec::link::Access;
use skyring_codec::native::{SecretError, Secrets};

use super::network::Network;
use super::permissions::Permissions;
use crate::tls::Tls;

/// The most networks of Skynet nodes that a config may list.
pub const SKYNET_NETWORKS_MAX: usize = 256;

/// What a node and its peers prove to each other, and what it permits without a proof. Secrets and keys are never printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    secrets: Option<Arc<Secrets>>,
    tls: Option<Tls>,
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
            secrets: Some(Arc::new(secrets)),
            ..Security::default()
        }
    }

    /// A node whose connections to other nodes are encrypted, and which serves only nodes with a certificate.
    pub fn of_tls(tls: Tls) -> Security {
        Security::default().with_tls(tls)
    }

    /// Encrypts the connections to other nodes too; then both ends prove the secret within TLS.
    pub fn with_tls(mut self, tls: Tls) -> Security {
        self.tls = Some(tls);
        self
    }

    /// The node's certificate, if it has one.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Lets only these callers call the service behind `@service` and `.service`: names of nodes, in which `*` stands
    /// for any characters, or networks of Skynet nodes. With TLS the names are those of the peers' certificates; without
    /// it those of their hellos, which whoever has the secret chooses.
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

    /// Whether everybody who is served may call services without a rule.
    pub fn is_open_by_default(&self) -> bool {
        self.permissions.is_open_by_default()
    }

    pub(crate) fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// Whether nodes that connect must prove who they are: rules alone prove nothing.
    pub(crate) fn requires_proof(&self) -> bool {
        self.secrets.is_some() || self.tls.is_some()
    }

    /// Permits the skynet dialect, which proves nothing, with the addresses of a network; in both directions.
    pub fn allow_skynet_peers(mut self, network: Network) -> Security {
        self.skynet_networks.push(network);
        self
    }

    /// How many secrets it has.
    pub fn secret_count(&self) -> usize {
        self.secrets.as_ref().map_or(0, |secrets| secrets.count())
    }

    /// The networks with which the skynet dialect is permitted.
    pub fn skynet_networks(&self) -> &[Network] {
        &self.skynet_networks
    }

    /// Whether the skynet dialect is permitted with this address.
    pub(crate) fn allows_skynet(&self, address: IpAddr) -> bool {
        let mut networks = self.skynet_networks.iter();
        networks.any(|network| network.contains(address))
    }

    /// What the link of a connection with this address permits, within TLS if there is a certificate; `node` is the name
    /// that must answer, empty for any.
    pub(crate) fn access(&self, address: IpAddr, node: &str) -> Access {
        Access {
            secrets: self.secrets.clone(),
            allows_skynet: self.tls.is_none() && self.allows_skynet(address),
            is_plain: false,
            node: node.to_owned(),
        }
    }

    /// The same of a connection that has no TLS, or has not begun with it. Skynet nodes have none.
    pub(crate) fn plain_access(&self, address: IpAddr) -> Access {
        match self.tls {
            None => self.access(address, ""),
            Some(_) => Access {
                is_plain: true,
                allows_skynet: self.allows_skynet(address),
                ..Access::default()
            },
        }
    }
}
