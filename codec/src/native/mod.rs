//! The native dialect: frames with a fixed header, names that are defined once, and the hello with which two
//! Skyring nodes agree on it. `docs/wire-native.md` specifies it.
//!
//! A frame is a [`Header`] of [`HEADER_BYTES`] and a payload of the length in it. [`FrameReader`] splits a byte
//! stream into frames, and [`put_frame`] writes one. [`crate::link`] checks their order and assigns them to calls.
//!
//! Messages are numbered without a field on the wire: calls, sends and replies count, in each direction of a
//! session, in the order in which they are written; the other kinds do not count. Acknowledgements contain the
//! number of received ones, and so does the hello of a later connection.

mod code;
mod header;
mod hello;
mod names;
mod proof;
mod reader;
mod shards;

pub use code::ErrorCode;
pub use header::{FrameKind, HEADER_BYTES, Header};
pub(crate) use hello::ReadHello;
pub use hello::{
    CHANNELS_MAX, HELLO_BYTES_MAX, HELLO_NAME, Hello, HelloError, NONCE_BYTES, Resumption, THREADS_MAX,
    VERSION,
};
pub use names::NAMES_MAX;
pub(crate) use names::{NamesIn, NamesOut};
pub(crate) use proof::{Awaited, Hash};
pub use proof::{
    PROOF_BYTES, SECRET_BYTES_MAX, SECRET_BYTES_MIN, SECRETS_MAX, SecretError, Secrets, Unproved,
};
pub use reader::{FrameReader, Step};
pub(crate) use shards::ShardsOut;

use bytes::Bytes;

use crate::outbuffer::OutBuffer;

/// The longest error text, in bytes; longer ones are truncated.
pub const ERROR_BYTES_MAX: usize = 32 * 1024;

/// A frame that version 1 of the dialect does not have. The rest of the stream is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// An unknown kind.
    #[error("frame of unknown kind {kind}")]
    Kind {
        /// The number.
        kind: u8,
    },
    /// A flag that the kind does not have.
    #[error("{kind:?} frame with unknown flags {flags:#04x}")]
    Flags {
        /// The kind of the frame.
        kind: FrameKind,
        /// All its flags.
        flags: u8,
    },
    /// Reserved bits are set.
    #[error("{kind:?} frame with reserved bits {reserved:#06x}")]
    Reserved {
        /// The kind of the frame.
        kind: FrameKind,
        /// The bits.
        reserved: u16,
    },
    /// A payload that is longer than the limit of the kind.
    #[error("{kind:?} frame of {length} bytes, limit {limit}")]
    Length {
        /// The kind of the frame.
        kind: FrameKind,
        /// The length in its header.
        length: u32,
        /// The limit.
        limit: usize,
    },
    /// Calls and replies have a session other than 0, sends have 0.
    #[error("{kind:?} frame with session {session}")]
    Session {
        /// The kind of the frame.
        kind: FrameKind,
        /// Its session.
        session: u32,
    },
    /// A kind that is never sent in this direction.
    #[error("{kind:?} frame in the wrong direction")]
    Direction {
        /// The kind of the frame.
        kind: FrameKind,
    },
    /// The number of a name is [`NAMES_MAX`] or more, or the name is empty.
    #[error("name of {bytes} bytes defined as number {number}: 1 to 255 bytes and numbers below {NAMES_MAX}")]
    Definition {
        /// The number.
        number: u32,
        /// Length of the name.
        bytes: usize,
    },
    /// An acknowledgement of frames that were never sent, or of fewer than before.
    #[error(
        "{received} frames acknowledged, but {acknowledged} were acknowledged before and {sent} were sent"
    )]
    Acknowledgement {
        /// How many frames it acknowledges.
        received: u64,
        /// How many were acknowledged before.
        acknowledged: u64,
        /// How many were sent.
        sent: u64,
    },
    /// A target without a definition.
    #[error("target is name number {number}, which was not defined")]
    NameUndefined {
        /// The number.
        number: u32,
    },
}

/// Appends a frame: `header`, whose length is set to that of `payload`, and the payload.
#[inline(always)]
pub fn put_frame(out: &mut OutBuffer, mut header: Header, payload: &Bytes) {
    header.length = payload.len() as u32;
    out.put_frame(&header.encode(), payload);
}

/// The frame of an error for `session`; its text is truncated to [`ERROR_BYTES_MAX`] bytes.
pub(crate) fn error_frame(session: u32, code: ErrorCode, text: &[u8]) -> (Header, Bytes) {
    let text = text.get(..ERROR_BYTES_MAX).unwrap_or(text);
    let header = Header {
        session,
        target: code.number(),
        ..Header::new(FrameKind::ReplyError)
    };
    (header, Bytes::copy_from_slice(text))
}

/// Appends the answer to a ping.
pub(crate) fn put_pong(out: &mut OutBuffer, session: u32) {
    let header = Header {
        session,
        ..Header::new(FrameKind::Pong)
    };
    put_frame(out, header, &Bytes::new());
}
