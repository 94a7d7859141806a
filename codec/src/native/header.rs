//! The header in front of every frame: 24 bytes, little-endian, always the same fields.
//!
//! Invariants: a header that [`Header::decode`] accepts has a known kind, only flags of its kind, zeros in reserved
//! bits, and a payload length within the limit of its kind; the limit for calls, sends and replies is the
//! receiver's. [`Header::encode`] is the inverse of `decode`.

use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute};

use super::{FrameError, PROOF_BYTES};
use crate::limits::{NAME_BYTES_MAX, TRACE_KEPT_BYTES_MAX};

/// Bytes of the header.
pub const HEADER_BYTES: usize = size_of::<Wire>();

/// Flag of a call or send: the target is the number of a name.
const TARGET_IS_NAME: u8 = 0x01;

/// The header in memory and on the wire.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Wire {
    length: U32,
    kind: u8,
    flags: u8,
    shard: U16,
    session: U32,
    target: U32,
    source: U32,
    remaining_ms: U32,
}

/// The kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// A request that expects one reply.
    Call = 1,
    /// A message without a reply.
    Send = 2,
    /// The answer to a call.
    ReplyOk = 3,
    /// The error reply to a call: the target is the number of an [`ErrorCode`](super::ErrorCode), the payload a
    /// text.
    ReplyError = 4,
    /// Assigns the number in the target to the name in the payload.
    DefineName = 5,
    /// Requests a pong with the same session.
    Ping = 6,
    /// The answer to a ping.
    Pong = 7,
    /// The sender begins nothing new on this connection.
    Goodbye = 8,
    /// Acknowledges numbered frames; see [`Header::received`].
    Ack = 9,
    /// The dialler's proof of the cluster secret, its first frame where the acceptor has one.
    Proof = 10,
    /// The trace tag of the next call or send.
    Trace = 11,
}

impl FrameKind {
    /// The kind of a number.
    #[inline]
    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Call,
            2 => Self::Send,
            3 => Self::ReplyOk,
            4 => Self::ReplyError,
            5 => Self::DefineName,
            6 => Self::Ping,
            7 => Self::Pong,
            8 => Self::Goodbye,
            9 => Self::Ack,
            10 => Self::Proof,
            11 => Self::Trace,
            _ => return None,
        })
    }

    /// The longest payload; None when the limit is the message limit of the receiver.
    #[inline]
    fn payload_bytes_max(self) -> Option<usize> {
        match self {
            Self::Call | Self::Send | Self::ReplyOk | Self::ReplyError => None,
            Self::DefineName => Some(NAME_BYTES_MAX),
            Self::Trace => Some(TRACE_KEPT_BYTES_MAX),
            Self::Proof => Some(PROOF_BYTES),
            Self::Ping | Self::Pong | Self::Goodbye | Self::Ack => Some(0),
        }
    }
}

/// The fields of a header. Fields that a kind does not use are written as 0 and ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the payload.
    pub length: u32,
    /// The kind of the frame.
    pub kind: FrameKind,
    /// Whether `target` is the number of a name, not a handle. Calls and sends only.
    pub is_target_name: bool,
    /// The shard of the callee for the key of the message, plus 1; 0 when it is the shard that owns the channel.
    /// Calls and sends only.
    pub shard: u16,
    /// The number that joins a reply to its call; never 0 there. 0 for a send.
    pub session: u32,
    /// A handle, the number of a name, or the number of an error code.
    pub target: u32,
    /// The handle of the sender, 0 for none.
    pub source: u32,
    /// The remaining time of the call, in milliseconds; 0 for no limit.
    pub remaining_ms: u32,
}

impl Header {
    /// A header of a kind with all other fields 0.
    #[inline]
    pub fn new(kind: FrameKind) -> Self {
        Self {
            length: 0,
            kind,
            is_target_name: false,
            shard: 0,
            session: 0,
            target: 0,
            source: 0,
            remaining_ms: 0,
        }
    }

    /// The header of an acknowledgement.
    pub fn acknowledging(received: u64) -> Self {
        Self {
            target: received as u32,
            source: (received >> 32) as u32,
            ..Self::new(FrameKind::Ack)
        }
    }

    /// The number of received frames in an acknowledgement.
    pub fn received(&self) -> u64 {
        u64::from(self.target) | u64::from(self.source) << 32
    }

    /// Decodes a header.
    ///
    /// # Errors
    /// A [`FrameError`] that names the invalid field.
    #[inline]
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, FrameError> {
        let wire: Wire = transmute!(*bytes);
        let Some(kind) = FrameKind::from_number(wire.kind) else {
            return Err(FrameError::Kind { kind: wire.kind });
        };
        let is_request = matches!(kind, FrameKind::Call | FrameKind::Send);
        let known_flags = if is_request { TARGET_IS_NAME } else { 0 };
        if wire.flags & !known_flags != 0 {
            let flags = wire.flags;
            return Err(FrameError::Flags { kind, flags });
        }
        let shard = wire.shard.get();
        if shard != 0 && !is_request {
            return Err(FrameError::Reserved {
                kind,
                reserved: shard,
            });
        }
        let (length, session) = (wire.length.get(), wire.session.get());
        if let Some(limit) = kind.payload_bytes_max()
            && length as usize > limit
        {
            return Err(FrameError::Length { kind, length, limit });
        }
        let is_session_wrong = match kind {
            FrameKind::Call | FrameKind::ReplyOk | FrameKind::ReplyError => session == 0,
            FrameKind::Send => session != 0,
            _ => false,
        };
        if is_session_wrong {
            return Err(FrameError::Session { kind, session });
        }
        Ok(Self {
            length,
            kind,
            is_target_name: wire.flags & TARGET_IS_NAME != 0,
            shard,
            session,
            target: wire.target.get(),
            source: wire.source.get(),
            remaining_ms: wire.remaining_ms.get(),
        })
    }

    /// Encodes the header.
    #[inline(always)]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let flags = if self.is_target_name { TARGET_IS_NAME } else { 0 };
        // Built from whole words, not field by field: a later copy loads words, and a load that spans several
        // smaller stores waits until they have left the store buffer.
        let words = [
            u64::from(self.length)
                | u64::from(self.kind as u8) << 32
                | u64::from(flags) << 40
                | u64::from(self.shard) << 48,
            u64::from(self.session) | u64::from(self.target) << 32,
            u64::from(self.source) | u64::from(self.remaining_ms) << 32,
        ];
        transmute!(words.map(u64::to_le))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call with a name, 3 bytes, session 0x04030201, target 5, source 0x0a, 30 s left.
    const CALL: [u8; HEADER_BYTES] = [
        3, 0, 0, 0, 1, 1, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0, 10, 0, 0, 0, 0x30, 0x75, 0, 0,
    ];

    #[test]
    fn fields_are_at_the_offsets_of_the_specification() {
        let header = Header {
            length: 3,
            is_target_name: true,
            session: 0x0403_0201,
            target: 5,
            source: 10,
            remaining_ms: 30_000,
            ..Header::new(FrameKind::Call)
        };
        assert_eq!(header.encode(), CALL);
        assert_eq!(Header::decode(&CALL), Ok(header));
    }

    #[test]
    fn an_acknowledgement_has_64_bits() {
        let header = Header::acknowledging(0x0807_0605_0403_0201);
        let bytes = header.encode();
        assert_eq!(bytes[4], 9);
        assert_eq!(bytes[12..20], [1, 2, 3, 4, 5, 6, 7, 8]);
        let received = Header::decode(&bytes).map(|header| header.received());
        assert_eq!(received, Ok(0x0807_0605_0403_0201));
    }

    fn changed(at: usize, byte: u8) -> Result<Header, FrameError> {
        let mut bytes = CALL;
        bytes[at] = byte;
        Header::decode(&bytes)
    }

    #[test]
    fn every_kind_that_is_not_defined_is_an_error() {
        for kind in (0..=255).filter(|kind| !(1..=11).contains(kind)) {
            assert_eq!(changed(4, kind), Err(FrameError::Kind { kind }));
        }
    }

    #[test]
    fn every_flag_that_is_not_defined_for_the_kind_is_an_error() {
        for flags in 2..=255 {
            let kind = FrameKind::Call;
            assert_eq!(changed(5, flags), Err(FrameError::Flags { kind, flags }));
        }
        for (number, kind) in [
            (3, FrameKind::ReplyOk),
            (5, FrameKind::DefineName),
            (6, FrameKind::Ping),
        ] {
            assert_eq!(changed(4, number), Err(FrameError::Flags { kind, flags: 1 }));
        }
    }

    #[test]
    fn a_shard_is_part_of_calls_and_sends_and_reserved_in_all_others() {
        assert_eq!(changed(6, 1).map(|header| header.shard), Ok(1));
        assert_eq!(changed(7, 0x80).map(|header| header.shard), Ok(0x8000));
        for kind in [FrameKind::ReplyOk, FrameKind::DefineName, FrameKind::Ping] {
            let header = Header {
                session: u32::from(kind == FrameKind::ReplyOk),
                shard: 0x0102,
                ..Header::new(kind)
            };
            let reserved = 0x0102;
            assert_eq!(
                Header::decode(&header.encode()),
                Err(FrameError::Reserved { kind, reserved })
            );
        }
    }

    #[test]
    fn control_frames_are_bounded_by_their_header_alone() {
        for (kind, limit) in [
            (FrameKind::DefineName, 255),
            (FrameKind::Proof, 32),
            (FrameKind::Trace, 255),
            (FrameKind::Ping, 0),
            (FrameKind::Pong, 0),
            (FrameKind::Goodbye, 0),
            (FrameKind::Ack, 0),
        ] {
            let length = limit as u32 + 1;
            let header = |length| Header {
                length,
                ..Header::new(kind)
            };
            let refused = Err(FrameError::Length { kind, length, limit });
            assert_eq!(Header::decode(&header(length).encode()), refused);
            assert_eq!(
                Header::decode(&header(length - 1).encode()),
                Ok(header(length - 1))
            );
        }
    }

    #[test]
    fn calls_and_replies_have_a_session_and_sends_have_none() {
        for kind in [FrameKind::Call, FrameKind::ReplyOk, FrameKind::ReplyError] {
            let refused = Err(FrameError::Session { kind, session: 0 });
            assert_eq!(Header::decode(&Header::new(kind).encode()), refused);
        }
        let kind = FrameKind::Send;
        let header = Header {
            session: 1,
            ..Header::new(kind)
        };
        assert_eq!(
            Header::decode(&header.encode()),
            Err(FrameError::Session { kind, session: 1 })
        );
    }
}
