//! The contenders: Skyring, the floors and the peers.

use skyring::{DialectChoice, Runtime};

use crate::floors::Peer;

/// The name of Skyring in the table, in its own dialect.
pub const SKYRING: &str = "skyring";

/// A way to run Skyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variant {
    pub(super) name: &'static str,
    pub(super) runtime: Runtime,
    pub(super) dialect: DialectChoice,
    /// What is special about it.
    pub(super) note: &'static str,
}

/// The ways in which Skyring is measured; the first is the default one.
pub(super) const VARIANTS: [Variant; 3] = [
    Variant {
        name: SKYRING,
        runtime: Runtime::Uring,
        dialect: DialectChoice::Auto,
        note: "names, sessions, deadlines, reconnects, lua-seri values; one shard each side",
    },
    Variant {
        name: "skyring-skynet",
        runtime: Runtime::Uring,
        dialect: DialectChoice::Skynet,
        note: "Skynet's packages on the wire, between two Skyring nodes",
    },
    Variant {
        name: "skyring-glommio",
        runtime: Runtime::Glommio,
        dialect: DialectChoice::Auto,
        note: "Skyring with its shards on glommio's executor",
    },
];

/// A program or library that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contender {
    /// Skyring.
    Skyring(&'static Variant),
    /// A floor or a peer.
    Peer(Peer),
}

impl Contender {
    pub(super) fn name(self) -> &'static str {
        match self {
            Contender::Skyring(variant) => variant.name,
            Contender::Peer(peer) => peer.name(),
        }
    }

    /// Whether the spinning setting changes anything for it.
    pub(super) fn spins(self) -> bool {
        match self {
            Contender::Skyring(_) => true,
            Contender::Peer(peer) => matches!(
                peer,
                Peer::Glommio | Peer::Uring | Peer::Erlang | Peer::SkyringLua
            ),
        }
    }
}
