//! A connected socket that no executor has: on its way from a listener to a shard, or from one shard to another.

use std::os::fd::OwnedFd;
use std::time::Duration;

use socket2::SockRef;

#[cfg(feature = "testing")]
use super::manual;

/// A connected socket. Dropping it closes it.
pub(crate) enum Socket {
    /// Of the kernel.
    Kernel(OwnedFd),
    /// Of a test, which holds the other end.
    #[cfg(feature = "testing")]
    Manual(manual::Socket),
}

impl From<OwnedFd> for Socket {
    fn from(descriptor: OwnedFd) -> Socket {
        Socket::Kernel(descriptor)
    }
}

impl Socket {
    /// Closes an accepted connection with a reset: this end keeps nothing of it, and the peer knows at once.
    pub(crate) fn turn_away(self) {
        match self {
            Socket::Kernel(descriptor) => {
                // Without it the socket lingers for a minute after it was closed.
                let _ = SockRef::from(&descriptor).set_linger(Some(Duration::ZERO));
            }
            #[cfg(feature = "testing")]
            Socket::Manual(socket) => drop(socket),
        }
    }
}
