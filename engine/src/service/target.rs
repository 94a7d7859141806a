//! Whom a call goes to, and the error that its caller gets.

use std::fmt;

use crate::core::handle::Address;
use crate::core::waiters::Outcome;
use crate::error::{Error, Text};

/// Whom a call goes to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// `None`: a service of this node.
    pub(crate) node: Option<Text>,
    pub(crate) address: Address,
    /// What decides on the channel to another node, and on the instance of a keyed service.
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
    /// The error of a call that got no answer, or the one that it got. `target` is whom the call went to.
    #[cold]
    pub(crate) fn into_error(self, timeout_ms: u64, target: impl FnOnce() -> Target) -> Error {
        match self {
            // Only the caller knows how it wrote the address that its channel got an error for.
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
