//! Packets with their length in front: two bytes, the higher first, as in Skynet.

use bytes::Bytes;

use super::framing::{Body, FramingError, Header, Incoming, Packet, is_client_hello};

/// The framing of one client. A client that has declared a long packet takes only the memory of the bytes it has sent.
#[derive(Debug, Default)]
pub(super) struct Length {
    incoming: Incoming,
}

impl Length {
    pub(super) fn feed(&mut self, bytes: Bytes) {
        self.incoming.feed(bytes);
    }

    pub(super) fn next(&mut self, packet_bytes_max: usize) -> Result<Option<Packet<'_>>, FramingError> {
        let Some(&[high, low]) = self.incoming.bytes().first_chunk() else {
            self.incoming.forget_taken();
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > packet_bytes_max {
            return Err(FramingError::TooLarge(packet_bytes_max));
        }
        if self.incoming.bytes().len() < 2 + length {
            if is_client_hello(self.incoming.bytes()) {
                return Err(FramingError::Tls);
            }
            self.incoming.forget_taken();
            return Ok(None);
        }
        Ok(Some(Packet {
            body: Body::Received(&self.incoming.take(2 + length)[2..]),
            is_text: false,
        }))
    }
}

/// Writes what a packet of at most 65,535 bytes begins with.
pub(super) fn write_header(header: &mut Header, body: &[u8]) {
    header.append(&(body.len() as u16).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(length: &mut Length) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| length.next(10).unwrap().map(|packet| packet.body.to_vec())).collect()
    }

    #[test]
    fn a_packet_is_taken_once_it_is_complete_however_it_comes() {
        let stream = b"\0\x03one\0\0\0\x04four";
        let expected = [&b"one"[..], b"", b"four"];
        for step in 1..=stream.len() {
            let mut length = Length::default();
            let mut got = Vec::new();
            for piece in stream.chunks(step) {
                length.feed(Bytes::copy_from_slice(piece));
                got.extend(bodies(&mut length));
            }
            assert_eq!(got, expected, "in steps of {step}");
            assert!(length.incoming.bytes().is_empty());
        }
        // Fed twice before anything is taken.
        let mut length = Length::default();
        length.feed(Bytes::from_static(&stream[..3]));
        length.feed(Bytes::from_static(&stream[3..]));
        assert_eq!(bodies(&mut length), expected);
    }

    #[test]
    fn a_packet_beyond_the_limit_is_refused_when_it_is_declared() {
        let mut length = Length::default();
        length.feed(Bytes::from_static(b"\0\x04four\0\x05"));
        assert_eq!(&*length.next(4).unwrap().unwrap().body, b"four");
        assert_eq!(length.next(4).unwrap_err(), FramingError::TooLarge(4));
    }
}
