//! How packets stand in the stream of bytes of a client, without I/O: bytes go in, packets and bytes to write come out.

use bytes::{Bytes, BytesMut};
use thiserror::Error;

use super::length::Length;
use super::settings::Protocol;
use super::websocket::{self, WebSocket};

/// A packet of a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) body: Bytes,
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
            Protocol::Length => Framing::Length(Length::new(packet_bytes_max)),
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
    pub(super) fn next(&mut self, output: &mut Vec<u8>) -> Result<Option<Packet>, FramingError> {
        match self {
            Framing::Handshaking => Ok(None),
            Framing::Length(length) => length.next(),
            Framing::WebSocket(socket) => socket.next(output),
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

/// A packet as it is written to a client; `is_text` as in [`Packet`].
///
/// # Errors
/// [`FramingError::TooLarge`].
pub(super) fn encode(
    protocol: &Protocol,
    body: &[u8],
    is_text: bool,
    packet_bytes_max: usize,
) -> Result<Bytes, FramingError> {
    if body.len() > packet_bytes_max {
        return Err(FramingError::TooLarge(packet_bytes_max));
    }
    match protocol {
        Protocol::Length => Ok(super::length::encode(body)),
        Protocol::WebSocket { .. } => Ok(websocket::encode(body, is_text)),
    }
}

/// Received bytes that were not looked at: a chunk as it was received, or a copy of several.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    chunk: Bytes,
    copied: BytesMut,
}

impl Incoming {
    /// Adds bytes at the end.
    pub(super) fn feed(&mut self, bytes: Bytes) {
        if self.copied.is_empty() && self.chunk.is_empty() {
            self.chunk = bytes;
        } else {
            self.keep();
            self.copied.extend_from_slice(&bytes);
        }
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        match self.chunk.is_empty() {
            true => &self.copied,
            false => &self.chunk,
        }
    }

    /// Takes bytes from the front, of which there are as many.
    pub(super) fn take(&mut self, count: usize) -> Bytes {
        if !self.chunk.is_empty() {
            return self.chunk.split_to(count);
        }
        let taken = self.copied.split_to(count).freeze();
        if self.copied.is_empty() {
            // A client that is idle holds no memory.
            self.copied = BytesMut::new();
        }
        taken
    }

    /// Copies what is left of a chunk, so that it does not keep the whole.
    pub(super) fn keep(&mut self) {
        if !self.chunk.is_empty() {
            self.copied.extend_from_slice(&self.chunk);
            self.chunk = Bytes::new();
        }
    }
}
