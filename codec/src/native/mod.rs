//! The native dialect: frames with a fixed header, names that are defined once, and the hello by which two
//! Skyring nodes agree to speak it. `docs/wire-native.md` specifies it.
//!
//! A frame is a [`Header`] of [`HEADER_BYTES`] and as many bytes as it says. [`FrameReader`] cuts a byte
//! stream into frames, and [`put_frame`] writes one. Which frames may come when, and who waits for them, is
//! the business of [`crate::link`].
//!
//! Messages are numbered without a field for it: calls, sends and replies count, in each direction of a
//! channel's session, in the order in which they are written; the other kinds do not count. Acknowledgements say
//! how many have come, and the hello of a later connection says it again.

mod code;
mod header;
mod hello;
mod names;
mod reader;
mod shards;

pub use code::ErrorCode;
pub use header::{FrameKind, HEADER_BYTES, Header};
pub use hello::{
    CHANNELS_MAX, HELLO_BYTES_MAX, HELLO_NAME, Hello, HelloError, NONCE_BYTES, Resumption, THREADS_MAX,
    VERSION,
};
pub use names::NAMES_MAX;
pub(crate) use names::{NamesIn, NamesOut};
pub use reader::{FrameReader, Step};
pub(crate) use shards::ShardsOut;

use bytes::Bytes;

use crate::outbuffer::OutBuffer;

/// The longest error text, in bytes; more is cut off.
pub const ERROR_BYTES_MAX: usize = 32 * 1024;

/// A frame that version 1 of the dialect does not have. The stream cannot be trusted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No kind has this number.
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
    /// Bits that mean nothing yet are set.
    #[error("{kind:?} frame with reserved bits {reserved:#06x}")]
    Reserved {
        /// The kind of the frame.
        kind: FrameKind,
        /// The bits.
        reserved: u16,
    },
    /// More bytes than a frame of this kind has.
    #[error("{kind:?} frame of {length} bytes, limit {limit}")]
    Length {
        /// The kind of the frame.
        kind: FrameKind,
        /// The bytes that its header declares.
        length: u32,
        /// How many there may be.
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
    /// A kind that this end never sends to that one.
    #[error("{kind:?} frame in the wrong direction")]
    Direction {
        /// The kind of the frame.
        kind: FrameKind,
    },
    /// A name's number is [`NAMES_MAX`] or more, or its name is empty.
    #[error("name of {bytes} bytes defined as number {number}: 1 to 255 bytes and numbers below {NAMES_MAX}")]
    Definition {
        /// The number.
        number: u32,
        /// Length of the name.
        bytes: usize,
    },
    /// An acknowledgement of frames that were never sent, or of fewer than were acknowledged before.
    #[error("{received} frames acknowledged: {acknowledged} were before, and {sent} were sent")]
    Acknowledgement {
        /// How many frames the other end says that it has.
        received: u64,
        /// How many it has said before that it has.
        acknowledged: u64,
        /// How many there are.
        sent: u64,
    },
    /// A target that no name was defined for.
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

/// The frame of an error for `session`; of its text at most [`ERROR_BYTES_MAX`] bytes are sent.
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
