//! The target of a call, and the error that its caller gets.

use std::fmt;

use crate::core::handle::Address;
use crate::core::waiters::Outcome;
use crate::error::{Error, Text};

/// The target of a call.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// `None`: a service of this node.
    pub(crate) node: Option<Text>,
    pub(crate) address: Address,
    /// Selects the channel to another node, and the instance of a keyed service.
    pub(crate) key: u64,
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(formatter, "{node} {}", self.address),
            None => self.address.fmt(formatter),
        }
    }
}

impl Outcome {
    /// The error of a call without an answer, or the error that it got. `target` is the target of the call.
    #[cold]
    pub(crate) fn into_error(self, timeout_ms: u64, target: impl FnOnce() -> Target) -> Error {
        match self {
            // Only the caller has the address as it was written.
            Outcome::Answer(Err(Error::NoSuchService { address })) if address.is_empty() => {
                Error::NoSuchService {
                    address: target().address.to_string().into(),
                }
            }
            Outcome::Answer(Err(error)) => error,
            Outcome::Answer(Ok(_)) | Outcome::Elapsed => Error::Timeout {
                target: target().to_string().into(),
                timeout_ms,
            },
        }
    }
}
