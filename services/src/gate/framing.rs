//! How packets stand in the stream of bytes of a client, without I/O: bytes go in, packets and bytes to write come out.

use std::ops::Deref;

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use super::length::{self, Length};
use super::settings::Protocol;
use super::websocket::{self, WebSocket};

/// The bytes of a packet: where they were received, or put together of several frames.
#[derive(Debug)]
pub(super) enum Body<'a> {
    Received(&'a [u8]),
    Assembled(Bytes),
}

impl Deref for Body<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Body::Received(bytes) => bytes,
            Body::Assembled(bytes) => bytes,
        }
    }
}

/// A packet of a client.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) body: Body<'a>,
    /// A text of a websocket; answers are texts then, if they can be.
    pub(super) is_text: bool,
}

/// Why a client is closed.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum FramingError {
    /// It closed the connection in order.
    #[error("it said goodbye")]
    Goodbye,
    /// It declared or sent a packet of more bytes than the limit.
    #[error("a packet of more than {0} bytes")]
    TooLarge(usize),
    /// It speaks TLS, and the gate does not.
    #[error("TLS, which this gate does not speak")]
    Tls,
    /// It sent something else than the protocol allows.
    #[error("{0}")]
    Malformed(String),
}

/// The framing of one client.
#[derive(Debug)]
pub(super) enum Framing {
    /// There are no packets yet: the TLS handshake has not ended.
    Handshaking,
    Length(Length),
    WebSocket(Box<WebSocket>),
}

impl Framing {
    /// That of a client that has just connected.
    pub(super) fn new(protocol: &Protocol, packet_bytes_max: usize) -> Framing {
        match protocol {
            Protocol::Length => Framing::Length(Length::default()),
            Protocol::WebSocket { path } => {
                Framing::WebSocket(Box::new(WebSocket::new(path, packet_bytes_max)))
            }
        }
    }

    /// Takes received bytes.
    pub(super) fn feed(&mut self, bytes: Bytes) {
        match self {
            // Nothing comes before the end of the handshake.
            Framing::Handshaking => {}
            Framing::Length(length) => length.feed(bytes),
            Framing::WebSocket(socket) => socket.feed(bytes),
        }
    }

    /// The next complete packet, if there is one. What is to be written to the client is added to `output`, also when
    /// there is an error.
    ///
    /// # Errors
    /// [`FramingError`]: nothing that follows is a packet.
    pub(super) fn next(
        &mut self,
        packet_bytes_max: usize,
        output: &mut Vec<u8>,
    ) -> Result<Option<Packet<'_>>, FramingError> {
        match self {
            Framing::Handshaking => Ok(None),
            Framing::Length(length) => length.next(packet_bytes_max),
            Framing::WebSocket(socket) => socket.next(output),
        }
    }

    /// Takes the header `traceparent` of the request that opened a websocket.
    pub(super) fn take_traceparent(&mut self) -> Option<Box<str>> {
        match self {
            Framing::Handshaking | Framing::Length(_) => None,
            Framing::WebSocket(socket) => socket.take_traceparent(),
        }
    }

    /// Whether packets can be written: all handshakes, if there are any, are over.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Framing::Handshaking => false,
            Framing::Length(_) => true,
            Framing::WebSocket(socket) => socket.is_open(),
        }
    }
}

/// Whether bytes are the beginning of TLS: a record with a whole `ClientHello`, whose lengths and version are right.
pub(super) fn is_client_hello(bytes: &[u8]) -> bool {
    // Type, version and length of the record; type and length of the message, which fills the record; and its version.
    let Some(&[0x16, 3, 1..=4, high, low, 1, 0, high_within, low_within, 3, 3]) = bytes.first_chunk() else {
        return false;
    };
    let within = usize::from(u16::from_be_bytes([high_within, low_within]));
    usize::from(u16::from_be_bytes([high, low])) == within + 4
}

/// What stands in front of a packet's body as it is written.
#[derive(Debug, Default)]
pub(super) struct Header {
    bytes: [u8; PACKET_HEADER_BYTES_MAX],
    length: usize,
}

/// Most bytes in front of a packet that is written.
const PACKET_HEADER_BYTES_MAX: usize = 14;

impl Header {
    /// Adds bytes, of which there is room for [`PACKET_HEADER_BYTES_MAX`]; says how many it has taken.
    pub(super) fn append(&mut self, bytes: &[u8]) -> usize {
        let room = &mut self.bytes[self.length..];
        let count = bytes.len().min(room.len());
        room[..count].copy_from_slice(&bytes[..count]);
        self.length += count;
        count
    }
}

impl Deref for Header {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// What a packet with this body begins with when it is written; `is_text` as in [`Packet`].
///
/// # Errors
/// [`FramingError::TooLarge`].
pub(super) fn header(
    protocol: &Protocol,
    body: &[u8],
    is_text: bool,
    packet_bytes_max: usize,
) -> Result<Header, FramingError> {
    if body.len() > packet_bytes_max {
        return Err(FramingError::TooLarge(packet_bytes_max));
    }
    let mut header = Header::default();
    match protocol {
        Protocol::Length => length::write_header(&mut header, body),
        Protocol::WebSocket { .. } => websocket::write_header(&mut header, body, is_text),
    }
    Ok(header)
}

/// Received bytes that were not looked at.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    received: BytesMut,
    /// Bytes at the front that were taken.
    taken: usize,
}

impl Incoming {
    /// Adds bytes at the end; of bytes that nobody shares nothing is copied if there were none.
    pub(super) fn feed(&mut self, bytes: Bytes) {
        self.forget_taken();
        if self.received.is_empty() {
            self.received = bytes.into();
        } else {
            self.received.extend_from_slice(&bytes);
        }
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.received[self.taken..]
    }

    /// Takes bytes from the front, of which there are as many.
    pub(super) fn take(&mut self, count: usize) -> &[u8] {
        let from = self.taken;
        self.taken += count;
        &self.received[from..self.taken]
    }

    /// Forgets what was taken. A client that is idle holds no memory.
    pub(super) fn forget_taken(&mut self) {
        if self.bytes().is_empty() {
            self.received = BytesMut::new();
        } else {
            self.received.advance(self.taken);
        }
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_in_order_and_nothing_is_held_afterwards() {
        for forgets in [false, true] {
            let mut incoming = Incoming::default();
            incoming.feed(Bytes::from_static(b"hello, "));
            assert_eq!(incoming.take(3), b"hel");
            if forgets {
                incoming.forget_taken();
            }
            incoming.feed(Bytes::from_static(b"world"));
            incoming.feed(Bytes::from_static(b"!"));
            assert_eq!(incoming.bytes(), b"lo, world!");
            assert_eq!(incoming.take(9), b"lo, world");
            incoming.forget_taken();
            assert_eq!(incoming.take(1), b"!");
            incoming.forget_taken();
            assert_eq!((incoming.bytes(), incoming.received.capacity()), (&b""[..], 0));
        }
    }
}
