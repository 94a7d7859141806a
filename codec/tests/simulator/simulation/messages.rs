//! What requests and answers say: who they are, and what is to be done, so that each can be told from all
//! others and checked byte by byte.

use std::sync::LazyLock;

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of a request before those that only fill it.
pub(super) const HEADER_BYTES: usize = 16;

/// What fills messages repeats after so many bytes, a prime, so that shifts show.
const PATTERN_PERIOD: usize = 251;

/// The longest message, in bytes.
pub(super) const FILL_BYTES_MAX: usize = 128 * 1024;

static PATTERN: LazyLock<Bytes> = LazyLock::new(|| {
    let bytes = 0..FILL_BYTES_MAX + PATTERN_PERIOD;
    bytes.map(|index| (index % PATTERN_PERIOD) as u8).collect()
});

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Call,
    /// A call that may run more than once.
    IdempotentCall,
    Send,
}

/// What a service does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It answers with so many bytes.
    Bytes(u32),
    /// It answers with an error.
    Error,
    /// It never answers.
    Never,
}

/// Whom a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Handle,
    /// The name with that number.
    Name(u8),
}

/// What a request says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
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

impl Order {
    /// The request, with so many bytes more than it needs.
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

    /// Reads a request; None for what is none.
    pub(super) fn unpack(payload: &[u8]) -> Option<Order> {
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
        is_whole.then_some(Order {
            message,
            target,
            answer,
            takes_ms,
        })
    }

    /// The answer; the text of the error when it is to be one.
    pub(super) fn answer(&self) -> Result<Bytes, String> {
        match self.answer {
            Answer::Bytes(count) => Ok(answer_bytes(self.message, count)),
            Answer::Error | Answer::Never => Err(error_text(self.message)),
        }
    }
}

/// What answers a message with so many bytes.
pub(super) fn answer_bytes(message: u64, count: u32) -> Bytes {
    let mut bytes = BytesMut::from(&message.to_le_bytes()[..]);
    bytes.extend_from_slice(&fill(message, count as usize));
    bytes.freeze()
}

/// What answers a message that is to fail.
pub(super) fn error_text(message: u64) -> String {
    format!("message {message} fails")
}
