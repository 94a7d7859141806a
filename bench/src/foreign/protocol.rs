//! What a protocol has to say about an answer: where it ends, and whether it is an error.

use bytes::Bytes;

use super::{echo, http, redis};

/// Longest answer, its headers included, in bytes.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;

/// A whole answer at the beginning of received bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// How many of the bytes it is.
    pub(crate) bytes: usize,
    /// The code of the error that it reports.
    pub(crate) error: Option<&'static str>,
    /// Whether the server closes the connection after it.
    pub(crate) closes: bool,
}

impl Answer {
    pub(super) fn of(bytes: usize) -> Answer {
        Answer {
            bytes,
            error: None,
            closes: false,
        }
    }
}

/// The protocol of a target.
#[derive(Debug, Clone)]
pub(crate) enum Protocol {
    Redis,
    Http,
    /// The value that is returned.
    Echo(Bytes),
}

impl Protocol {
    /// The answer at the beginning of `received`; `None` = more is to come.
    ///
    /// # Errors
    /// What shows that the server speaks another protocol.
    pub(crate) fn answer(&self, received: &[u8]) -> Result<Option<Answer>, String> {
        let answer = match self {
            Protocol::Redis => redis::answer(received),
            Protocol::Http => http::answer(received),
            Protocol::Echo(value) => echo::answer(value, received),
        }?;
        let bytes = answer.as_ref().map_or(received.len(), |answer| answer.bytes);
        if bytes > ANSWER_BYTES_MAX {
            return Err(format!("an answer is longer than {ANSWER_BYTES_MAX} bytes"));
        }
        Ok(answer)
    }
}
