//! Why a call or an operation failed: one enum, one stable code for each cause, one text for it.
//!
//! The text starts with the code, so that it has the same meaning in Rust, in a log and at the other side of a wire
//! that transmits only text. [`Error::from_wire`] parses such a text.

use std::net::SocketAddr;
use std::sync::Arc;

use skyring_codec::native::{ERROR_BYTES_MAX, ErrorCode};
use skyring_codec::seri::{PackError, SerdeError, UnpackError, pack, unpack};
use thiserror::Error;

/// Text that is cheap to clone: an error is cloned for each caller of a lost channel.
pub type Text = Arc<str>;

/// Why a call or an operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// No reply arrived before the deadline. The call may have run.
    #[error("timeout: no reply from {target} within {timeout_ms} ms")]
    Timeout {
        /// The target of the call.
        target: Text,
        /// The timeout of the call, in milliseconds.
        timeout_ms: u64,
    },
    /// The node could not be reached before the deadline. The call did not run.
    #[error("unreachable: node {node}: {cause}")]
    Unreachable {
        /// The node's name in the cluster map.
        node: Text,
        /// The cause, for example the error of the last attempt to connect.
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
        /// Whether the call had been sent when the node was disabled.
        may_have_run: bool,
    },
    /// The connection broke before the reply arrived.
    #[error("connection-lost: node {node}: {cause}{}", may_have_run_text(*.may_have_run))]
    ConnectionLost {
        /// The node's name in the cluster map.
        node: Text,
        /// What ended the connection.
        cause: Text,
        /// Whether any byte of the call had been sent.
        may_have_run: bool,
    },
    /// Another process has replaced the one that the call was sent to. The call may have run.
    #[error("restarted: node {node} was restarted before it replied")]
    Restarted {
        /// The node's name in the cluster map.
        node: Text,
    },
    /// The service that the call was sent to has ended, and its supervisor starts it again. Call it again.
    #[error("restarted: service {address} has ended and is started again{}", may_have_run_text(*.may_have_run))]
    ServiceRestarted {
        /// One of its names, or the handle of the life that has ended.
        address: Text,
        /// Whether the service had begun to handle the call.
        may_have_run: bool,
    },
    /// There is no service at that address.
    #[error("no-such-service: {address}")]
    NoSuchService {
        /// The address as it was given.
        address: Text,
    },
    /// The service answered with an error of its own; the text is all that it sent.
    #[error("{text}")]
    Remote {
        /// The text of the other side.
        text: Text,
        /// The error as a packed value, if the service is [typed](crate::typed) and the error has a type of its own.
        /// It does not travel in the skynet dialect.
        value: Option<Arc<[u8]>>,
    },
    /// A bounded queue or buffer is full. The call did not run.
    #[error("overloaded: {what}")]
    Overloaded {
        /// The bound that was reached.
        what: Text,
    },
    /// A message is larger than the limit.
    #[error("too-large: {bytes} bytes, and {limit} is the limit")]
    TooLarge {
        /// Size of the message.
        bytes: u64,
        /// The limit that it exceeded.
        limit: u64,
    },
    /// The other side refuses to serve this caller.
    #[error("denied: {reason}")]
    Denied {
        /// The reason.
        reason: Text,
    },
    /// The node is stopping, this one or the one that was called.
    #[error("shutting-down: this node is stopping")]
    ShuttingDown,
    /// The caller's request is not valid: a malformed address, a value that cannot be sent.
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

/// How the cause begins for which a node is down that refuses this one.
const DENIED: &str = "denied: ";

/// Whether a node is down for this cause because it refuses this one, or is not trusted.
pub(crate) fn is_refusal(cause: &Text) -> bool {
    cause.starts_with(DENIED)
}

impl Error {
    /// An error that a service answers with: the caller gets exactly this text.
    pub fn remote(text: impl Into<Text>) -> Error {
        Error::Remote {
            text: text.into(),
            value: None,
        }
    }

    /// Like [`remote`](Self::remote), with the error as a packed value beside its text, for typed callers.
    pub fn remote_value(text: impl Into<Text>, value: &[u8]) -> Error {
        Error::Remote {
            text: text.into(),
            value: Some(value.into()),
        }
    }

    /// The error as a service answers with it. Only the engine uses its own codes, so that what they state about the
    /// call, above all whether it may have run, is true.
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

    /// The error of a call to a node that is down for this cause. A cause that begins with `denied: ` is a refusal.
    pub(crate) fn down(node: Text, cause: &Text) -> Error {
        match cause.strip_prefix(DENIED) {
            Some(reason) => Error::Denied {
                reason: format!("node {node}: {reason}").into(),
            },
            None => Error::Unreachable {
                node,
                cause: Text::clone(cause),
            },
        }
    }

    pub(crate) fn overloaded(what: impl Into<Text>) -> Error {
        Error::Overloaded { what: what.into() }
    }

    pub(crate) fn bind(address: SocketAddr, error: &std::io::Error) -> Error {
        let advice = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "the port is in use; stop the program that uses it or choose another"
            }
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
            Error::Restarted { .. } | Error::ServiceRestarted { .. } => "restarted",
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

    /// The code and the payload of the error in the native dialect.
    pub(crate) fn to_wire(&self) -> (ErrorCode, Vec<u8>) {
        let packed = match self {
            Error::Remote {
                text,
                value: Some(value),
            } => pack(&(&**text, &**value)).ok(),
            _ => None,
        };
        match packed {
            Some(packed) if packed.len() <= ERROR_BYTES_MAX => (ErrorCode::RemoteValue, packed.to_vec()),
            _ => (self.wire_code(), self.to_string().into_bytes()),
        }
    }

    /// The error of a reply with [`ErrorCode::RemoteValue`].
    pub(crate) fn remote_from_wire(payload: &[u8]) -> Error {
        match unpack::<(&[u8], &[u8])>(payload) {
            Ok((text, value)) => Error::remote_value(String::from_utf8_lossy(text), value),
            Err(_) => Error::remote(String::from_utf8_lossy(payload)),
        }
    }

    /// The code in the native dialect.
    fn wire_code(&self) -> ErrorCode {
        match self {
            Error::Timeout { .. } => ErrorCode::Timeout,
            Error::Unreachable { .. } => ErrorCode::Unreachable,
            Error::Absent { .. } => ErrorCode::Absent,
            Error::Disabled { .. } => ErrorCode::Disabled,
            Error::ConnectionLost { .. } => ErrorCode::ConnectionLost,
            Error::Restarted { .. } | Error::ServiceRestarted { .. } => ErrorCode::Restarted,
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

    /// Whether the callee may have run the call although it failed. False is certain, true is not.
    pub fn may_have_run(&self) -> bool {
        match self {
            Error::Timeout { .. } | Error::Restarted { .. } | Error::Remote { .. } => true,
            Error::Disabled { may_have_run, .. }
            | Error::ConnectionLost { may_have_run, .. }
            | Error::ServiceRestarted { may_have_run, .. } => *may_have_run,
            // The reply may exceed the limit, after the call has run.
            Error::TooLarge { .. } => true,
            // Calls that were in flight when the node stopped get it too.
            Error::ShuttingDown => true,
            _ => false,
        }
    }

    /// The error of the text of an error reply. Skynet's texts for an unknown name, and the texts of Skyring itself,
    /// become the errors that they mean; any other text is the service's own.
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
            Some(("restarted", what)) => match service_restarted(what) {
                Some(error) => error,
                None => Error::remote(text),
            },
            Some(("overloaded", what)) => Error::Overloaded { what: what.into() },
            Some(("denied", reason)) => Error::Denied {
                reason: reason.into(),
            },
            Some(("too-large", sizes)) => match too_large(sizes) {
                Some(error) => error,
                None => Error::remote(text),
            },
            _ => Error::remote(text),
        }
    }
}

/// The error of a peer's text about a service that is started again.
fn service_restarted(what: &str) -> Option<Error> {
    let (what, may_have_run) = match what.strip_suffix(may_have_run_text(true)) {
        Some(what) => (what, true),
        None => (what, false),
    };
    let address = what.strip_prefix("service ")?;
    let address = address.strip_suffix(" has ended and is started again")?;
    Some(Error::ServiceRestarted {
        address: address.into(),
        may_have_run,
    })
}

/// The error of a peer's text about a request or a response that is too large.
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

impl From<SerdeError> for Error {
    fn from(error: SerdeError) -> Error {
        Error::Invalid {
            what: error.to_string().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_its_text_on_the_wire() {
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
            Error::ServiceRestarted {
                address: "@sdb".into(),
                may_have_run: false,
            },
            Error::ServiceRestarted {
                address: "@sdb".into(),
                may_have_run: true,
            },
            Error::remote("restarted: the engine, by hand"),
            Error::remote("unknown command FOO"),
        ] {
            assert_eq!(Error::from_wire(error.to_string().as_bytes(), "@sdb"), error);
        }
        let valued = Error::remote_value("no such player", b"\x0a\x01");
        let (code, payload) = valued.to_wire();
        assert_eq!(code, ErrorCode::RemoteValue);
        assert_eq!(Error::remote_from_wire(&payload), valued);
        let large = Error::remote_value("a long story", &[0; ERROR_BYTES_MAX]);
        assert_eq!(large.to_wire(), (ErrorCode::Remote, b"a long story".to_vec()));
        assert_eq!(Error::remote_from_wire(b"\xff"), Error::remote("\u{fffd}"));
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
    fn every_text_except_a_services_own_starts_with_its_code() {
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
