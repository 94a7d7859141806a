//! The contents of requests and answers: their number and what the service is to do, so that each message is unique
//! and can be checked byte by byte.

use std::sync::LazyLock;

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of a request in front of its filling.
pub(super) const HEADER_BYTES: usize = 16;

/// The filling repeats after this many bytes, a prime, so that a shift is found.
const PATTERN_PERIOD: usize = 251;

/// The longest filling, in bytes.
pub(super) const FILL_BYTES_MAX: usize = 128 * 1024;

static PATTERN: LazyLock<Bytes> = LazyLock::new(|| {
    let bytes = 0..FILL_BYTES_MAX + PATTERN_PERIOD;
    bytes.map(|index| (index % PATTERN_PERIOD) as u8).collect()
});

/// The kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Call,
    /// A call that may run more than once.
    IdempotentCall,
    Send,
}

/// How a service answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// With this many bytes.
    Bytes(u32),
    /// With an error.
    Error,
    /// Never.
    Never,
}

/// The address of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Handle,
    /// The name with this number.
    Name(u8),
}

/// The contents of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Command {
    /// No other message of the run has this number.
    pub(super) message: u64,
    pub(super) target: Target,
    pub(super) answer: Answer,
    /// How long the service takes, in milliseconds.
    pub(super) takes_ms: u16,
}

const BY_HANDLE: u8 = u8::MAX;
const ERROR: u32 = u32::MAX;
const NEVER: u32 = u32::MAX - 1;

fn fill(message: u64, count: usize) -> Bytes {
    let start = (message % PATTERN_PERIOD as u64) as usize;
    PATTERN.slice(start..start + count)
}

impl Command {
    /// The request, with a filling of `fill_bytes`.
    pub(super) fn pack(&self, fill_bytes: usize) -> Bytes {
        let mut bytes = BytesMut::with_capacity(HEADER_BYTES + fill_bytes);
        bytes.put_u64_le(self.message);
        bytes.put_u32_le(match self.answer {
            Answer::Bytes(count) => count,
            Answer::Error => ERROR,
            Answer::Never => NEVER,
        });
        bytes.put_u16_le(self.takes_ms);
        bytes.put_u8(match self.target {
            Target::Handle => BY_HANDLE,
            Target::Name(number) => number,
        });
        bytes.put_u8(0);
        bytes.extend_from_slice(&fill(self.message, fill_bytes));
        bytes.freeze()
    }

    /// Reads a request; None when it is malformed.
    pub(super) fn unpack(payload: &[u8]) -> Option<Command> {
        let (header, rest) = payload.split_first_chunk::<HEADER_BYTES>()?;
        let message = u64::from_le_bytes(header[..8].try_into().ok()?);
        let answer = match u32::from_le_bytes(header[8..12].try_into().ok()?) {
            ERROR => Answer::Error,
            NEVER => Answer::Never,
            count => Answer::Bytes(count),
        };
        let takes_ms = u16::from_le_bytes(header[12..14].try_into().ok()?);
        let target = match header[14] {
            BY_HANDLE => Target::Handle,
            number => Target::Name(number),
        };
        let is_whole = rest.len() <= FILL_BYTES_MAX && fill(message, rest.len()) == *rest;
        is_whole.then_some(Command {
            message,
            target,
            answer,
            takes_ms,
        })
    }

    /// The answer, or the text of the error.
    pub(super) fn answer(&self) -> Result<Bytes, String> {
        match self.answer {
            Answer::Bytes(count) => Ok(answer_bytes(self.message, count)),
            Answer::Error | Answer::Never => Err(error_text(self.message)),
        }
    }
}

/// The answer to a message, with a filling of `count` bytes.
pub(super) fn answer_bytes(message: u64, count: u32) -> Bytes {
    let mut bytes = BytesMut::from(&message.to_le_bytes()[..]);
    bytes.extend_from_slice(&fill(message, count as usize));
    bytes.freeze()
}

/// The error text of a message that fails.
pub(super) fn error_text(message: u64) -> String {
    format!("message {message} fails")
}
