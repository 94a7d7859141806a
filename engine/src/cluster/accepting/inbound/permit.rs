//! Which services the peer of an inbound connection may call.
//!
//! The rules name services; a connection has the handles that they lead to, and resolves them again when any name of
//! the node has changed. So a service is protected whatever a request addresses it by, a connection without a limit pays
//! nothing, and one with a limit a look-up for each request.

use std::rc::Rc;

use rustc_hash::FxHashSet;

use crate::cluster::accepting::inbound::state::Inbound;
use crate::cluster::accepting::incidents::Incident;
use crate::config::{CallingNode, Permissions};
use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::names::Names;
use crate::core::request::ReplyTo;
use crate::error::Error;
use skyring_codec::link::Dialect;

/// The services that a peer may call.
#[derive(Debug, Default)]
pub(super) enum Permit {
    /// It is not known yet who the peer is.
    #[default]
    Unknown,
    /// All of them.
    All,
    /// All but these, as the names were in this version.
    Except(u64, FxHashSet<Handle>),
    /// These alone.
    Only(u64, FxHashSet<Handle>),
}

impl Inbound {
    /// Whether there are services that its peer may not call.
    pub(super) fn is_limited(&self, shard: &ShardCore) -> bool {
        let is_unknown = matches!(*self.permit.borrow(), Permit::Unknown);
        if is_unknown {
            let security = shard.node.settings.security.as_ref();
            let is_limited =
                security.is_some_and(|security| self.with_caller(|node| security.permissions().limits(node)));
            *self.permit.borrow_mut() = match is_limited {
                // No version of the names: they are resolved before the first use.
                true => Permit::Except(u64::MAX, FxHashSet::default()),
                false => Permit::All,
            };
        }
        !matches!(*self.permit.borrow(), Permit::All)
    }

    /// Forgets who the peer is: the next connection may be of another one.
    pub(super) fn forget_permit(&self) {
        *self.permit.borrow_mut() = Permit::Unknown;
    }

    /// Whether its peer may call a service.
    pub(super) fn permits(&self, shard: &ShardCore, target: Handle) -> bool {
        if !self.is_limited(shard) {
            return true;
        }
        let version = shard.names.version();
        let is_stale = !matches!(
            *self.permit.borrow(),
            Permit::Except(known, _) | Permit::Only(known, _) if known == version
        );
        if is_stale && let Some(security) = &shard.node.settings.security {
            let permit = shard
                .names
                .read(|names| self.with_caller(|node| resolve(security.permissions(), node, names, version)));
            *self.permit.borrow_mut() = permit;
        }
        match &*self.permit.borrow() {
            Permit::Except(_, denied) => !denied.contains(&target),
            Permit::Only(_, allowed) => allowed.contains(&target),
            Permit::Unknown | Permit::All => true,
        }
    }

    /// Refuses a request for a service that its peer may not call.
    #[cold]
    pub(super) fn deny(&self, shard: &Rc<ShardCore>, target: Handle, reply_to: ReplyTo) {
        let name = shard.names.read(|names| names.registered_name(target));
        let service = name.map_or_else(|| target.to_string(), |name| format!("@{name}"));
        let reason = self.with_caller(|node| match node {
            CallingNode::Named("") => format!("a node without a name may not call {service}"),
            CallingNode::Named(name) => format!("node {name} may not call {service}"),
            CallingNode::Skynet(address) => format!("the Skynet node {address} may not call {service}"),
        });
        shard.node.metrics.calls_not_allowed.add(1);
        shard.cluster().incidents.log(shard, Incident::NotAllowed, || {
            format!("a call from {} is denied: {reason}", self.address())
        });
        shard.refuse(
            reply_to,
            Error::Denied {
                reason: reason.into(),
            },
        );
    }

    fn with_caller<T>(&self, work: impl FnOnce(CallingNode<'_>) -> T) -> T {
        let peer = self.peer.borrow();
        work(match self.connection.link.borrow().dialect() {
            Dialect::Native => CallingNode::Named(&peer.node),
            Dialect::Skynet => CallingNode::Skynet(peer.address.ip()),
        })
    }
}

/// The services that a node may call, as the names are now. Where two rules are about one service, both must allow it.
fn resolve(permissions: &Permissions, node: CallingNode<'_>, names: &Names, version: u64) -> Permit {
    let (mut allowed, mut denied) = (FxHashSet::default(), FxHashSet::default());
    for (service, is_allowed) in permissions.rules_for(node) {
        let handles = if is_allowed { &mut allowed } else { &mut denied };
        for prefix in ['@', '.'] {
            if let Some(handle) = names.resolve(&format!("{prefix}{service}")) {
                handles.insert(handle);
                handles.extend(names.instances(handle));
            }
        }
    }
    if permissions.is_allowed_by_default(node) {
        return Permit::Except(version, denied);
    }
    allowed.retain(|handle| !denied.contains(handle));
    Permit::Only(version, allowed)
}
