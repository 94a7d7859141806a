//! Whom a link talks to: with a cluster secret, only those who prove it.

use std::sync::Arc;

use crate::native::Secrets;

/// The cluster secret of a link, and what it accepts without a proof of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The secrets of the node.
    pub secrets: Arc<Secrets>,
    /// The other end may speak the skynet dialect, which proves nothing.
    pub allows_skynet: bool,
    /// The name that an acceptor must have in its hello, unless it has none; empty for any. So a dialler that is led to
    /// another node of the cluster sends nothing.
    pub node: String,
}
