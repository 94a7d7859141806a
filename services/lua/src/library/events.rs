//! Encodes the events of sockets as messages of the kind [`SOCKET`](crate::kind::SOCKET), and decodes them.
//!
//! A message is a header of 16 bytes (type, socket, number), the sender's address if it is a datagram, and bytes or a
//! text.

use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};
use skyring::{SocketEvent, SocketNews};

/// The types of events, with Skynet's numbers.
pub(super) const DATA: u8 = 1;
pub(super) const CONNECT: u8 = 2;
pub(super) const CLOSE: u8 = 3;
pub(super) const ACCEPT: u8 = 4;
pub(super) const ERROR: u8 = 5;
pub(super) const UDP: u8 = 6;
pub(super) const WARNING: u8 = 7;

const HEADER_BYTES: usize = 16;

/// An event as decoded from a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) kind: u8,
    pub(super) socket: u32,
    /// Depends on the type: a size, a port, or another socket.
    pub(super) number: i64,
    /// The sender's address of a datagram, in Skynet's encoding.
    pub(super) from: Bytes,
    pub(super) body: Bytes,
}

/// Encodes an event.
pub(crate) fn encode(event: &SocketEvent) -> Bytes {
    let kilobytes = |bytes: usize| bytes.div_ceil(1024) as i64;
    let (kind, number, from, text, body): (u8, i64, Vec<u8>, String, &[u8]) = match &event.news {
        SocketNews::Data(bytes) => (DATA, bytes.len() as i64, Vec::new(), String::new(), bytes),
        SocketNews::Datagram { from, bytes } => (
            UDP,
            bytes.len() as i64,
            encode_address(*from),
            String::new(),
            bytes,
        ),
        SocketNews::Opened { address, port } => {
            (CONNECT, i64::from(*port), Vec::new(), address.to_string(), &[])
        }
        SocketNews::Accepted { socket, peer } => {
            (ACCEPT, i64::from(socket.0), Vec::new(), peer.to_string(), &[])
        }
        SocketNews::Warning { waiting } => (WARNING, kilobytes(*waiting), Vec::new(), String::new(), &[]),
        SocketNews::Closed => (CLOSE, 0, Vec::new(), String::new(), &[]),
        SocketNews::Failed { cause } => (ERROR, 0, Vec::new(), cause.to_string(), &[]),
    };
    let mut message = BytesMut::with_capacity(HEADER_BYTES + from.len() + text.len() + body.len());
    message.put_u8(kind);
    message.put_u8(from.len() as u8);
    message.put_u16_le(0);
    message.put_u32_le(event.socket.0);
    message.put_i64_le(number);
    message.put_slice(&from);
    message.put_slice(text.as_bytes());
    message.put_slice(body);
    message.freeze()
}

/// Type, socket, number and body of a message, for its line in a log. `None`: it is not an event of a socket.
pub(crate) fn parts(message: &[u8]) -> Option<(u8, u32, i64, Bytes)> {
    let event = decode(Bytes::copy_from_slice(message))?;
    Some((event.kind, event.socket, event.number, event.body))
}

/// Whether the body of an event of this type is a text.
pub(crate) fn is_text(kind: u8) -> bool {
    !matches!(kind, DATA | UDP)
}

/// Decodes a message. `None`: it is not an event of a socket.
pub(super) fn decode(mut message: Bytes) -> Option<Event> {
    let header = message.get(..HEADER_BYTES)?;
    let kind = header[0];
    let from_bytes = usize::from(header[1]);
    let socket = u32::from_le_bytes(header[4..8].try_into().ok()?);
    let number = i64::from_le_bytes(header[8..16].try_into().ok()?);
    if !(DATA..=WARNING).contains(&kind) || message.len() < HEADER_BYTES + from_bytes {
        return None;
    }
    let mut body = message.split_off(HEADER_BYTES);
    let from = body.split_to(from_bytes);
    Some(Event {
        kind,
        socket,
        number,
        from,
        body,
    })
}

/// Encodes an address of UDP as Skynet's Lua code passes it: protocol, port, address.
pub(super) fn encode_address(address: SocketAddr) -> Vec<u8> {
    let mut encoded = vec![if address.is_ipv4() { 1 } else { 2 }];
    encoded.extend(address.port().to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => encoded.extend(ip.octets()),
        IpAddr::V6(ip) => encoded.extend(ip.octets()),
    }
    encoded
}

/// Decodes an address of UDP.
pub(super) fn decode_address(encoded: &[u8]) -> Option<SocketAddr> {
    let (head, ip) = encoded.split_at_checked(3)?;
    let port = u16::from_be_bytes([head[1], head[2]]);
    let ip = match head[0] {
        1 => IpAddr::from(<[u8; 4]>::try_from(ip).ok()?),
        2 => IpAddr::from(<[u8; 16]>::try_from(ip).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use skyring::SocketId;

    use super::*;

    fn decoded(news: SocketNews) -> Event {
        let socket = SocketId(7);
        decode(encode(&SocketEvent { socket, news })).expect("an event")
    }

    #[test]
    fn events_have_skynet_s_numbers() {
        let data = decoded(SocketNews::Data(Bytes::from_static(b"hello")));
        assert_eq!(
            (data.kind, data.socket, data.number, &data.body[..]),
            (1, 7, 5, &b"hello"[..])
        );
        let peer = "127.0.0.1:80".parse().expect("an address");
        let socket = SocketId(9);
        let accepted = decoded(SocketNews::Accepted { socket, peer });
        assert_eq!(
            (accepted.kind, accepted.number, &accepted.body[..]),
            (4, 9, &b"127.0.0.1:80"[..])
        );
        let warning = decoded(SocketNews::Warning {
            waiting: (1 << 20) + 1,
        });
        assert_eq!((warning.kind, warning.number), (7, 1025));
        let bytes = Bytes::from_static(b"x");
        let datagram = decoded(SocketNews::Datagram { from: peer, bytes });
        assert_eq!(&datagram.from[..], b"\x01\x00\x50\x7f\x00\x00\x01");
        assert_eq!(decode_address(&datagram.from), Some(peer));
        assert_eq!(&datagram.body[..], b"x");
    }

    #[test]
    fn an_invalid_message_or_address_is_not_decoded() {
        for bytes in [&b""[..], &[0; 16], &[9; 16], &[6; 16], b"short"] {
            assert_eq!(decode(Bytes::copy_from_slice(bytes)), None, "{bytes:?}");
        }
        assert_eq!(decode_address(b"\x01\x00"), None);
        assert_eq!(decode_address(b"\x03\x00\x50\x7f\x00\x00\x01"), None);
        assert_eq!(decode_address(b"\x02\x00\x50\x7f\x00\x00\x01"), None);
    }
}
