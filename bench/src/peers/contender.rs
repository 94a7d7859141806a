//! The contenders: Skyring, the floors and the peers.

use crate::floors::Peer;

/// The name of Skyring in the table, in its own dialect.
pub const SKYRING: &str = "skyring";

/// A program or library that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contender {
    /// Skyring, in the native dialect or in Skynet's.
    Skyring { skynet_dialect: bool },
    /// A floor or a peer.
    Peer(Peer),
}

impl Contender {
    pub(super) fn name(self) -> &'static str {
        match self {
            Contender::Skyring {
                skynet_dialect: false,
            } => SKYRING,
            Contender::Skyring { skynet_dialect: true } => "skyring-skynet",
            Contender::Peer(peer) => peer.name(),
        }
    }

    /// Whether the spinning setting changes anything for it.
    pub(super) fn spins(self) -> bool {
        match self {
            Contender::Skyring { .. } => true,
            Contender::Peer(peer) => matches!(
                peer,
                Peer::Glommio | Peer::Uring | Peer::Erlang | Peer::SkyringLua
            ),
        }
    }
}
