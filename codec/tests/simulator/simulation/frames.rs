//! Which messages are in flight in one direction of a connection, derived from the bytes written to it.

use std::collections::VecDeque;
use std::io::IoSlice;

/// The kind of message in a frame, or in a package of the skynet dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageKind {
    Hello,
    Call,
    Send,
    Reply,
    /// A call, send or reply that is long: it takes several packages, or many bytes of one frame.
    Long,
    Name,
    Ping,
    Pong,
    Acknowledgement,
    Goodbye,
    Proof,
}

impl MessageKind {
    pub(crate) const ALL: [MessageKind; 11] = [
        MessageKind::Hello,
        MessageKind::Call,
        MessageKind::Send,
        MessageKind::Reply,
        MessageKind::Long,
        MessageKind::Name,
        MessageKind::Ping,
        MessageKind::Pong,
        MessageKind::Acknowledgement,
        MessageKind::Goodbye,
        MessageKind::Proof,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            MessageKind::Hello => "hello",
            MessageKind::Call => "call",
            MessageKind::Send => "send",
            MessageKind::Reply => "reply",
            MessageKind::Long => "long",
            MessageKind::Name => "name",
            MessageKind::Ping => "ping",
            MessageKind::Pong => "pong",
            MessageKind::Acknowledgement => "ack",
            MessageKind::Goodbye => "goodbye",
            MessageKind::Proof => "proof",
        }
    }
}

/// A frame with more bytes than this is long.
const LONG_BYTES_MIN: usize = 4_096;

/// Bytes that are enough for kind and length in both dialects.
const HEADER_BYTES: usize = 24;

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The first bytes of a frame whose header is not complete.
    begun: Vec<u8>,
    /// Bytes of the current frame that are still to be written.
    left: usize,
    /// Frames that were written and not read to their end: kind and position of the end.
    in_flight: VecDeque<(MessageKind, u64)>,
    has_begun: bool,
    written: u64,
    read: u64,
}

impl Frames {
    /// Counts `count` written bytes of these slices. `is_native` holds after the handshake in the native dialect.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>], count: usize, is_native: bool, is_answer: bool) {
        let mut rest = count;
        for slice in slices {
            let mut bytes = &slice[..slice.len().min(rest)];
            rest -= bytes.len();
            while !bytes.is_empty() {
                bytes = self.take(bytes, is_native, is_answer);
            }
        }
    }

    fn take<'a>(&mut self, bytes: &'a [u8], is_native: bool, is_answer: bool) -> &'a [u8] {
        if self.left > 0 {
            let count = bytes.len().min(self.left);
            self.left -= count;
            self.written += count as u64;
            return &bytes[count..];
        }
        // The first package is always of the skynet dialect.
        let is_native = is_native && self.has_begun;
        self.begun.push(bytes[0]);
        self.written += 1;
        let begun = &self.begun[..];
        let whole = match is_native {
            true if begun.len() < HEADER_BYTES => None,
            true => {
                Some(HEADER_BYTES + u32::from_le_bytes([begun[0], begun[1], begun[2], begun[3]]) as usize)
            }
            false if begun.len() < 2 => None,
            false => Some(2 + usize::from(u16::from_be_bytes([begun[0], begun[1]]))),
        };
        // A package may be shorter than a header.
        if let Some(whole) = whole.filter(|whole| is_native || begun.len() >= (*whole).min(HEADER_BYTES)) {
            let kind = match is_native {
                true => native_kind(begun, whole),
                false => skynet_kind(begun, is_answer, !self.has_begun),
            };
            self.left = whole - begun.len();
            self.in_flight.push_back((kind, self.written + self.left as u64));
            self.begun.clear();
            self.has_begun = true;
        }
        &bytes[1..]
    }

    /// Counts bytes that were read.
    pub(super) fn read(&mut self, count: usize) {
        self.read += count as u64;
        while self.in_flight.front().is_some_and(|(_, end)| *end <= self.read) {
            self.in_flight.pop_front();
        }
    }

    /// The kinds of the messages in flight.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = MessageKind> {
        self.in_flight.iter().map(|(kind, _)| *kind)
    }
}

fn native_kind(header: &[u8], whole: usize) -> MessageKind {
    match header[4] {
        1..=4 if whole >= LONG_BYTES_MIN => MessageKind::Long,
        1 => MessageKind::Call,
        2 => MessageKind::Send,
        3 | 4 => MessageKind::Reply,
        5 => MessageKind::Name,
        6 => MessageKind::Ping,
        7 => MessageKind::Pong,
        8 => MessageKind::Goodbye,
        10 => MessageKind::Proof,
        _ => MessageKind::Acknowledgement,
    }
}

/// The kind of a package by its first bytes, its length included.
fn skynet_kind(package: &[u8], is_answer: bool, is_first: bool) -> MessageKind {
    let byte = |at: usize| package.get(at).copied().unwrap_or_default();
    if is_answer {
        // Session and kind.
        return match byte(6) {
            2..=4 => MessageKind::Long,
            _ if is_first => MessageKind::Hello,
            _ => MessageKind::Reply,
        };
    }
    let session = match byte(2) {
        // A hello is a query for the handle of a name.
        0 if is_first && package[3..7.min(package.len())].iter().all(|byte| *byte == 0) => {
            return MessageKind::Hello;
        }
        0 => 7,
        0x80 => 4 + usize::from(byte(3)),
        _ => return MessageKind::Long,
    };
    let is_send = (session..session + 4).all(|at| byte(at) == 0);
    if is_send {
        MessageKind::Send
    } else {
        MessageKind::Call
    }
}
