//! The causes for which connections and calls of a channel end.

use skyring_codec::link::ProtocolError;

use crate::cluster::membership::detector::Evidence;
use crate::error::{Error, Text};

/// Why calls fail.
#[derive(Clone, Copy)]
pub(in crate::cluster) enum Failure<'a> {
    /// The connection broke, for this cause.
    Broken(&'a Text),
    /// The map disables the node.
    Disabled,
    /// The node is down, for this cause.
    Down(&'a Text),
    /// This node stops.
    ShuttingDown,
}

impl Failure<'_> {
    /// The error of a call to `node` with this failure.
    pub(super) fn error(&self, node: &Text, may_have_run: bool) -> Error {
        let node = Text::clone(node);
        match self {
            Failure::Disabled => Error::Disabled { node, may_have_run },
            Failure::ShuttingDown => Error::ShuttingDown,
            Failure::Down(cause) if !may_have_run => Error::Unreachable {
                node,
                cause: Text::clone(cause),
            },
            Failure::Down(cause) | Failure::Broken(cause) => Error::ConnectionLost {
                node,
                cause: Text::clone(cause),
                may_have_run,
            },
        }
    }
}

/// The fault that ended a connection.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) cause: Text,
    /// There was no sign of life for the longest permitted time.
    is_silence: bool,
}

impl Fault {
    pub(super) fn new(cause: Text) -> Fault {
        Fault {
            cause,
            is_silence: false,
        }
    }

    /// The evidence that it gives to the failure detector.
    pub(super) fn evidence(self) -> Evidence {
        match self.is_silence {
            true => Evidence::Silent(self.cause),
            false => Evidence::Lost(self.cause),
        }
    }
}

impl From<ProtocolError> for Fault {
    fn from(error: ProtocolError) -> Fault {
        Fault {
            cause: error.to_string().into(),
            is_silence: matches!(error, ProtocolError::Silent { .. }),
        }
    }
}

/// How a connection ended, and why.
pub(super) enum Ended {
    /// The peer had said goodbye, and every call was answered.
    Drained,
    /// The handshake was done, and the connection broke.
    Lost(Fault),
    /// The handshake was not done.
    HandshakeFailed(Text),
}
