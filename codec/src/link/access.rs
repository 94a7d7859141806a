//! Whom a link talks to: with a cluster secret or with TLS, only those who prove what they must.

use std::sync::Arc;

use crate::native::Secrets;

/// What the other end of a link must prove, and what it may do without a proof.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The secrets of the node; none where TLS alone says who the other end is.
    pub secrets: Option<Arc<Secrets>>,
    /// The other end may speak the skynet dialect, which proves nothing.
    pub allows_skynet: bool,
    /// The node requires TLS, and this connection has none: an acceptor accepts no hello.
    pub is_plain: bool,
    /// The name that an acceptor must have in its hello, unless it has none; empty for any. So a dialler that is led to
    /// another node of the cluster sends nothing.
    pub node: String,
}

impl Access {
    /// Whether a hello without a proof of a secret is not accepted.
    pub(super) fn needs_proof(&self) -> bool {
        self.secrets.is_some() || self.is_plain
    }
}
