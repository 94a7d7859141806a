//! The causes for which connections and calls of a channel end.

use skyring_codec::link::ProtocolError;
use skyring_codec::native::HelloError;

use crate::cluster::membership::detector::Evidence;
use crate::error::{Error, Text};
use crate::tls::{TlsFault, TlsReason};

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
            Failure::Down(cause) if !may_have_run => Error::down(node, cause),
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
    kind: FaultKind,
}

/// What a fault says about the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The connection broke.
    Break,
    /// There was no sign of life for the longest permitted time.
    Silence,
    /// The node refuses this one.
    Denied,
    /// The node has not proved the cluster secret.
    Unproved,
    /// Another node answered.
    Misled,
}

impl Fault {
    pub(super) fn new(cause: Text) -> Fault {
        Fault {
            cause,
            kind: FaultKind::Break,
        }
    }

    /// The node cannot prove what it must.
    pub(super) fn unproved(cause: String) -> Fault {
        Fault {
            cause: cause.into(),
            kind: FaultKind::Unproved,
        }
    }

    pub(super) fn kind(&self) -> FaultKind {
        self.kind
    }

    /// The evidence that it gives to the failure detector.
    pub(super) fn evidence(self) -> Evidence {
        match self.kind {
            FaultKind::Silence => Evidence::Silent(self.cause),
            _ => Evidence::Lost(self.cause),
        }
    }
}

impl From<ProtocolError> for Fault {
    fn from(error: ProtocolError) -> Fault {
        let kind = match &error {
            ProtocolError::Silent { .. } => FaultKind::Silence,
            ProtocolError::HelloRefused { text } if text.starts_with("denied: ") => FaultKind::Denied,
            ProtocolError::Unproved(_) => FaultKind::Unproved,
            ProtocolError::Hello(error) if matches!(**error, HelloError::OtherNode { .. }) => {
                FaultKind::Misled
            }
            _ => FaultKind::Break,
        };
        let cause = match &error {
            ProtocolError::HelloRefused { text } if kind == FaultKind::Denied => {
                format!("it refuses this node: {}", text.trim_start_matches("denied: "))
            }
            ProtocolError::Unproved(reason) => format!("this node does not trust it: {reason}"),
            error => error.to_string(),
        };
        Fault {
            cause: cause.into(),
            kind,
        }
    }
}

impl From<TlsFault> for Fault {
    fn from(fault: TlsFault) -> Fault {
        let kind = match fault.reason {
            TlsReason::Refused => FaultKind::Denied,
            TlsReason::OtherName => FaultKind::Misled,
            TlsReason::TooLong | TlsReason::Malformed | TlsReason::Incompatible => FaultKind::Break,
            TlsReason::NoCertificate
            | TlsReason::Expired
            | TlsReason::NotYetValid
            | TlsReason::OtherCa
            | TlsReason::InvalidCertificate
            | TlsReason::NotTls => FaultKind::Unproved,
        };
        let cause = match kind {
            FaultKind::Unproved | FaultKind::Misled => format!("this node does not trust it: {fault}"),
            _ => fault.to_string(),
        };
        let cause = cause.into();
        Fault { cause, kind }
    }
}

/// How a connection ended, and why.
pub(super) enum Ended {
    /// The peer had said goodbye, and every call was answered.
    Drained,
    /// The handshake was done, and the connection broke.
    Lost(Fault),
    /// The handshake was not done.
    HandshakeFailed(Fault),
}
