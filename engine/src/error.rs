//! Why a call or an operation failed: one enum, one stable code for each cause, one text for it.
//!
//! The text starts with the code, so that it says the same in Rust, in a log and at the far side of a
//! wire that carries only text. [`Error::from_wire`] reads such a text back.

use std::net::SocketAddr;
use std::sync::Arc;

use skyring_codec::native::ErrorCode;
use skyring_codec::seri::{PackError, UnpackError};
use thiserror::Error;

/// Text that errors share cheaply: they are cloned once for each caller that waits on a lost channel.
pub type Text = Arc<str>;

/// Why a call or an operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// No reply came before the deadline. The call may have run.
    #[error("timeout: no reply from {target} within {timeout_ms} ms")]
    Timeout {
        /// Whom the call went to.
        target: Text,
        /// The time that the call was given, in milliseconds.
        timeout_ms: u64,
    },
    /// The node could not be reached before the deadline. The call did not run.
    #[error("unreachable: node {node}: {cause}")]
    Unreachable {
        /// The node's name in the cluster map.
        node: Text,
        /// What stood in the way, for example the error of the last attempt to connect.
        cause: Text,
    },
    /// The cluster map does not name the node. The call did not run.
    #[error("absent: cluster node [{node}] is absent.")]
    Absent {
        /// The name that the map lacks.
        node: Text,
    },
    /// The cluster map says `false` for the node.
    #[error("disabled: node {node} is turned off in the cluster map{}", may_have_run_text(*.may_have_run))]
    Disabled {
        /// The node's name in the cluster map.
        node: Text,
        /// Whether the call had been sent when the node was turned off.
        may_have_run: bool,
    },
    /// The connection broke before the reply came.
    #[error("connection-lost: node {node}: {cause}{}", may_have_run_text(*.may_have_run))]
    ConnectionLost {
        /// The node's name in the cluster map.
        node: Text,
        /// What ended the connection.
        cause: Text,
        /// Whether any byte of the call had been sent.
        may_have_run: bool,
    },
    /// The other process is not the one that the call was sent to any more. The call may have run.
    #[error("restarted: node {node} was restarted before it replied")]
    Restarted {
        /// The node's name in the cluster map.
        node: Text,
    },
    /// There is no service at that address.
    #[error("no-such-service: {address}")]
    NoSuchService {
        /// The address as it was given.
        address: Text,
    },
    /// The service answered with an error of its own; the text is all that it said.
    #[error("{text}")]
    Remote {
        /// The far side's text.
        text: Text,
    },
    /// A bounded queue or buffer is full. The call did not run.
    #[error("overloaded: {what}")]
    Overloaded {
        /// Which bound was reached.
        what: Text,
    },
    /// A message is larger than the limit.
    #[error("too-large: {bytes} bytes, and {limit} is the limit")]
    TooLarge {
        /// Size of the message.
        bytes: u64,
        /// The limit that it passed.
        limit: u64,
    },
    /// The other side refuses to serve this caller.
    #[error("denied: {reason}")]
    Denied {
        /// Why.
        reason: Text,
    },
    /// The node is stopping, this one or the one that was called.
    #[error("shutting-down: this node is stopping")]
    ShuttingDown,
    /// The caller asked for something that cannot be: a malformed address, a value that cannot be sent.
    #[error("invalid: {what}")]
    Invalid {
        /// What is wrong with it.
        what: Text,
    },
    /// This machine refused: a port in use, no descriptors left.
    #[error("system: {what}")]
    System {
        /// What failed and why.
        what: Text,
    },
}

fn may_have_run_text(may_have_run: bool) -> &'static str {
    if may_have_run {
        " (the call may have run)"
    } else {
        ""
    }
}

impl Error {
    /// An error that a service answers with: the caller sees exactly this text.
    pub fn remote(text: impl Into<Text>) -> Error {
        Error::Remote { text: text.into() }
    }

    /// The error as a service answers with it, whatever it came from: the codes of the engine are the engine's
    /// alone, so that what they say of the call, above all whether it may have run, is true.
    pub(crate) fn into_remote(self) -> Error {
        match self {
            Error::Remote { .. } => self,
            other => Error::remote(other.to_string()),
        }
    }

    /// A caller's mistake.
    pub fn invalid(what: impl Into<Text>) -> Error {
        Error::Invalid { what: what.into() }
    }

    pub(crate) fn overloaded(what: impl Into<Text>) -> Error {
        Error::Overloaded { what: what.into() }
    }

    pub(crate) fn bind(address: SocketAddr, error: &std::io::Error) -> Error {
        let advice = match error.kind() {
            std::io::ErrorKind::AddrInUse => "the port is in use; stop who uses it or choose another",
            std::io::ErrorKind::AddrNotAvailable => "this machine has no such address",
            std::io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege",
            _ => "the system refused",
        };
        Error::System {
            what: format!("cannot listen on {address}: {advice} ({error})").into(),
        }
    }

    /// The stable name of the cause, for programs to match on.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Timeout { .. } => "timeout",
            Error::Unreachable { .. } => "unreachable",
            Error::Absent { .. } => "absent",
            Error::Disabled { .. } => "disabled",
            Error::ConnectionLost { .. } => "connection-lost",
            Error::Restarted { .. } => "restarted",
            Error::NoSuchService { .. } => "no-such-service",
            Error::Remote { .. } => "remote",
            Error::Overloaded { .. } => "overloaded",
            Error::TooLarge { .. } => "too-large",
            Error::Denied { .. } => "denied",
            Error::ShuttingDown => "shutting-down",
            Error::Invalid { .. } => "invalid",
            Error::System { .. } => "system",
        }
    }

    /// The code as the native dialect numbers it.
    pub(crate) fn wire_code(&self) -> ErrorCode {
        match self {
            Error::Timeout { .. } => ErrorCode::Timeout,
            Error::Unreachable { .. } => ErrorCode::Unreachable,
            Error::Absent { .. } => ErrorCode::Absent,
            Error::Disabled { .. } => ErrorCode::Disabled,
            Error::ConnectionLost { .. } => ErrorCode::ConnectionLost,
            Error::Restarted { .. } => ErrorCode::Restarted,
            Error::NoSuchService { .. } => ErrorCode::NoSuchService,
            Error::Remote { .. } => ErrorCode::Remote,
            Error::Overloaded { .. } => ErrorCode::Overloaded,
            Error::TooLarge { .. } => ErrorCode::TooLarge,
            Error::Denied { .. } => ErrorCode::Denied,
            Error::ShuttingDown => ErrorCode::ShuttingDown,
            Error::Invalid { .. } => ErrorCode::Invalid,
            Error::System { .. } => ErrorCode::System,
        }
    }

    /// Whether the callee may have run the call although it failed. False is a promise, true is not.
    pub fn may_have_run(&self) -> bool {
        match self {
            Error::Timeout { .. } | Error::Restarted { .. } | Error::Remote { .. } => true,
            Error::Disabled { may_have_run, .. } | Error::ConnectionLost { may_have_run, .. } => {
                *may_have_run
            }
            // The limit can be passed by the reply, after the call has run.
            Error::TooLarge { .. } => true,
            // Calls that were under way when the node stopped get it too.
            Error::ShuttingDown => true,
            _ => false,
        }
    }

    /// The error behind the text of an error reply. Skynet's own words for an unknown name, and the texts
    /// that Skyring itself gives to callers, come back as what they mean; all else is the service's own.
    pub fn from_wire(text: &[u8], address: &str) -> Error {
        let text = String::from_utf8_lossy(text);
        match text.as_ref() {
            "Invalid name" | "name not found" => {
                return Error::NoSuchService {
                    address: address.into(),
                };
            }
            "shutting-down: this node is stopping" => return Error::ShuttingDown,
            _ => {}
        }
        match text.split_once(": ") {
            Some(("no-such-service", address)) => Error::NoSuchService {
                address: address.into(),
            },
            Some(("overloaded", what)) => Error::Overloaded { what: what.into() },
            Some(("denied", reason)) => Error::Denied {
                reason: reason.into(),
            },
            Some(("too-large", sizes)) => match too_large(sizes) {
                Some(error) => error,
                None => Error::Remote { text: text.into() },
            },
            _ => Error::Remote { text: text.into() },
        }
    }
}

/// The error behind what a peer says of a request or of its response that is too large.
fn too_large(sizes: &str) -> Option<Error> {
    let sizes = sizes
        .strip_prefix("request of ")
        .or_else(|| sizes.strip_prefix("response of "))?;
    let (bytes, limit) = sizes.split_once(" bytes, limit ")?;
    Some(Error::TooLarge {
        bytes: bytes.parse().ok()?,
        limit: limit.parse().ok()?,
    })
}

impl From<PackError> for Error {
    fn from(error: PackError) -> Error {
        Error::Invalid {
            what: error.to_string().into(),
        }
    }
}

impl From<UnpackError> for Error {
    fn from(error: UnpackError) -> Error {
        Error::Invalid {
            what: error.to_string().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_crossed_the_wire_means_what_it_meant() {
        for error in [
            Error::NoSuchService {
                address: ":0000000a".into(),
            },
            Error::Overloaded {
                what: "the inbox of :0000000a holds 65536 messages".into(),
            },
            Error::Denied {
                reason: "wrong secret".into(),
            },
            Error::ShuttingDown,
            Error::remote("unknown command FOO"),
        ] {
            assert_eq!(Error::from_wire(error.to_string().as_bytes(), "@sdb"), error);
        }
        let too_large = Error::TooLarge { bytes: 20, limit: 10 };
        for text in [
            "too-large: request of 20 bytes, limit 10",
            "too-large: response of 20 bytes, limit 10",
        ] {
            assert_eq!(Error::from_wire(text.as_bytes(), "@sdb"), too_large);
        }
        assert_eq!(
            Error::from_wire(b"too-large: request of a fool", "@sdb"),
            Error::remote("too-large: request of a fool")
        );
        assert_eq!(
            Error::from_wire(b"Invalid name", "@sdb"),
            Error::NoSuchService {
                address: "@sdb".into()
            }
        );
    }

    #[test]
    fn every_text_but_a_services_own_starts_with_its_code() {
        for error in [
            Error::Timeout {
                target: "db @sdb".into(),
                timeout_ms: 5,
            },
            Error::Unreachable {
                node: "db".into(),
                cause: "refused".into(),
            },
            Error::Absent { node: "db".into() },
            Error::Disabled {
                node: "db".into(),
                may_have_run: false,
            },
            Error::ConnectionLost {
                node: "db".into(),
                cause: "reset".into(),
                may_have_run: true,
            },
            Error::Restarted { node: "db".into() },
            Error::TooLarge { bytes: 2, limit: 1 },
            Error::invalid("a bad address"),
        ] {
            assert!(
                error.to_string().starts_with(&format!("{}: ", error.code())),
                "{error}"
            );
        }
    }
}
