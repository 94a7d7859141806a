//! How packets stand in a client's stream, as a client has them: two bytes of length, or messages of a websocket.

use std::io;

/// The key of a handshake, and what the server must answer to it.
const WEBSOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const WEBSOCKET_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Most bytes of the answer to a handshake.
const ANSWER_BYTES_MAX: usize = 4 << 10;

/// The mask of every message. A client that is no browser may choose it.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x1e, 0x87];

/// Which framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Two bytes of length, the higher first.
    Length,
    /// Binary messages of a websocket.
    WebSocket,
}

/// What stands in front of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Front {
    Incomplete,
    /// A packet: where its body begins, and where it ends.
    Packet(usize, usize),
}

fn invalid(cause: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, cause)
}

/// The request that opens a websocket.
pub(super) fn handshake(host: &str, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {WEBSOCKET_KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// Looks for the answer to a handshake in front of the bytes; returns its length once it is complete.
///
/// # Errors
/// When the answer is no.
pub(super) fn shaken(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(invalid("the answer to the handshake of a websocket has no end"));
        }
        return Ok(None);
    };
    let answer = String::from_utf8_lossy(&bytes[..end]);
    if !answer.starts_with("HTTP/1.1 101 ") || !answer.contains(WEBSOCKET_ACCEPT) {
        let status = answer.lines().next().unwrap_or_default();
        return Err(invalid(&format!(
            "the handshake of a websocket was answered with {status}"
        )));
    }
    Ok(Some(end + 4))
}

impl Framing {
    /// Appends a packet.
    pub(super) fn write(self, out: &mut Vec<u8>, body: &[u8]) {
        match self {
            Framing::Length => {
                out.extend_from_slice(&(body.len() as u16).to_be_bytes());
                out.extend_from_slice(body);
            }
            Framing::WebSocket => {
                out.push(0x82);
                match body.len() {
                    short @ ..126 => out.push(0x80 | short as u8),
                    long => {
                        out.push(0x80 | 126);
                        out.extend_from_slice(&(long as u16).to_be_bytes());
                    }
                }
                out.extend_from_slice(&MASK);
                out.extend(
                    body.iter()
                        .zip(MASK.iter().cycle())
                        .map(|(byte, mask)| byte ^ mask),
                );
            }
        }
    }

    /// What stands in front of the bytes.
    ///
    /// # Errors
    /// When a websocket's server sends something else than a binary message in one piece.
    pub(super) fn front(self, bytes: &[u8]) -> io::Result<Front> {
        let (start, length) = match (self, bytes) {
            (Framing::Length, [high, low, ..]) => (2, usize::from(u16::from_be_bytes([*high, *low]))),
            (Framing::WebSocket, [first, ..]) if *first != 0x82 => {
                return Err(invalid(&format!(
                    "a frame of a websocket that begins with {first:#04x}"
                )));
            }
            (Framing::WebSocket, [_, 126, high, low, ..]) => {
                (4, usize::from(u16::from_be_bytes([*high, *low])))
            }
            (Framing::WebSocket, [_, length, ..]) if *length < 126 => (2, usize::from(*length)),
            (Framing::WebSocket, [_, length, ..]) if *length > 126 => {
                return Err(invalid("a frame of more than 65,535 bytes"));
            }
            _ => return Ok(Front::Incomplete),
        };
        Ok(match bytes.len() >= start + length {
            true => Front::Packet(start, start + length),
            false => Front::Incomplete,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_found_once_they_are_complete() {
        for (framing, start) in [(Framing::Length, 2), (Framing::WebSocket, 2)] {
            // What a server sends has no mask.
            let mut stream = match framing {
                Framing::Length => vec![0, 3],
                Framing::WebSocket => vec![0x82, 3],
            };
            stream.extend_from_slice(b"one and more");
            for length in 0..start + 3 {
                assert_eq!(framing.front(&stream[..length]).unwrap(), Front::Incomplete);
            }
            assert_eq!(framing.front(&stream).unwrap(), Front::Packet(start, start + 3));
        }
        let long = [&[0x82, 126, 1, 0][..], &[7; 256]].concat();
        assert_eq!(Framing::WebSocket.front(&long).unwrap(), Front::Packet(4, 260));
        assert!(Framing::WebSocket.front(&[0x88, 0]).is_err());
    }

    #[test]
    fn a_packet_of_a_client_has_a_mask() {
        let mut out = Vec::new();
        Framing::WebSocket.write(&mut out, b"hello");
        assert_eq!(out[..6], [0x82, 0x85, 0x5a, 0xc3, 0x1e, 0x87]);
        let body: Vec<u8> = out[6..]
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(a, b)| a ^ b)
            .collect();
        assert_eq!(body, b"hello");
    }

    #[test]
    fn an_answer_to_a_handshake_must_be_yes() {
        let yes = format!(
            "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {WEBSOCKET_ACCEPT}\r\n\r\nrest"
        );
        assert_eq!(shaken(yes.as_bytes()).unwrap(), Some(yes.len() - 4));
        assert_eq!(shaken(&yes.as_bytes()[..30]).unwrap(), None);
        assert!(shaken(b"HTTP/1.1 404 Not Found\r\n\r\n").is_err());
    }
}
