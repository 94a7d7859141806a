//! Packets with their length in front: two bytes, the higher first, as in Skynet.

use bytes::{BufMut, Bytes, BytesMut};

use super::framing::{FramingError, Incoming, Packet, is_client_hello};

/// The framing of one client. A client that has declared a long packet takes only the memory of the bytes it has sent.
#[derive(Debug)]
pub(super) struct Length {
    incoming: Incoming,
    packet_bytes_max: usize,
}

impl Length {
    pub(super) fn new(packet_bytes_max: usize) -> Length {
        Length {
            incoming: Incoming::default(),
            packet_bytes_max,
        }
    }

    pub(super) fn feed(&mut self, bytes: Bytes) {
        self.incoming.feed(bytes);
    }

    pub(super) fn next(&mut self) -> Result<Option<Packet>, FramingError> {
        let Some(&[high, low]) = self.incoming.bytes().first_chunk() else {
            self.incoming.keep();
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > self.packet_bytes_max {
            return Err(FramingError::TooLarge(self.packet_bytes_max));
        }
        if self.incoming.bytes().len() < 2 + length {
            if is_client_hello(self.incoming.bytes()) {
                return Err(FramingError::Tls);
            }
            self.incoming.keep();
            return Ok(None);
        }
        let body = self.incoming.take(2 + length).slice(2..);
        Ok(Some(Packet { body, is_text: false }))
    }
}

/// A packet of at most 65,535 bytes as it is written.
pub(super) fn encode(body: &[u8]) -> Bytes {
    let mut packet = BytesMut::with_capacity(2 + body.len());
    packet.put_u16(body.len() as u16);
    packet.put_slice(body);
    packet.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(length: &mut Length) -> Vec<Bytes> {
        std::iter::from_fn(|| length.next().unwrap())
            .map(|packet| packet.body)
            .collect()
    }

    #[test]
    fn a_packet_is_taken_once_it_is_complete_however_it_comes() {
        let stream = b"\0\x03one\0\0\0\x04four";
        let expected = [&b"one"[..], b"", b"four"];
        for step in 1..=stream.len() {
            let mut length = Length::new(10);
            let mut got = Vec::new();
            for piece in stream.chunks(step) {
                length.feed(Bytes::copy_from_slice(piece));
                got.extend(bodies(&mut length));
            }
            assert_eq!(got, expected, "in steps of {step}");
            assert!(length.incoming.bytes().is_empty());
        }
        // Fed twice before anything is taken.
        let mut length = Length::new(10);
        length.feed(Bytes::from_static(&stream[..3]));
        length.feed(Bytes::from_static(&stream[3..]));
        assert_eq!(bodies(&mut length), expected);
    }

    #[test]
    fn a_packet_beyond_the_limit_is_refused_when_it_is_declared() {
        let mut length = Length::new(4);
        length.feed(Bytes::from_static(b"\0\x04four\0\x05"));
        assert_eq!(length.next().unwrap().unwrap().body, &b"four"[..]);
        assert_eq!(length.next(), Err(FramingError::TooLarge(4)));
    }
}
