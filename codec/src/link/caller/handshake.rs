//! The handshake at the dialler's end, which determines the dialect of the connection.

use bytes::Bytes;

use super::{CallerEvent, CallerLink, Ended, HANDSHAKE_MS_MAX};
use crate::Millis;
use crate::link::{Access, Dialect, ProtocolError};
use crate::native::{
    FrameKind, FrameReader, Hash, Header, Hello, HelloError, ReadHello, ShardsOut, Unproved, put_frame,
};
use crate::skynet::{Address, ResponseFrame, decode_response, encode_request};

/// The session of the hello. Nothing else is sent before its answer, so no other call can have it.
const HELLO_SESSION: u32 = 1;

/// The answer of a node that does not have the name of the hello: a Skynet node, or a Skyring node that refuses the
/// native dialect.
const NAME_NOT_FOUND: &[u8] = b"name not found";

/// How many bytes of the text of a refusal are reported.
const REFUSAL_BYTES_MAX: usize = 256;

/// The proof that a hello offers.
#[derive(Debug, Default)]
pub(super) struct Offer {
    /// The hash of the hello.
    hello: Hash,
    proof: Vec<u8>,
}

impl CallerLink {
    /// Writes the hello.
    pub(super) fn send_hello(&mut self, hello: Hello) -> Result<(), HelloError> {
        self.offer = Offer::default();
        let payload = match &self.access {
            None | Some(Access { secrets: None, .. }) => hello.pack()?,
            Some(Access {
                secrets: Some(secrets),
                ..
            }) => {
                self.attempts += 1;
                let attempt = self.attempts;
                let hello = Hello { attempt, ..hello };
                let proof = &mut self.offer.proof;
                let (payload, hash) = hello.pack_proved(|hash| {
                    *proof = secrets.offers(&hello.nonce, hash);
                    proof.clone()
                })?;
                self.offer.hello = hash;
                payload
            }
        };
        let address = Address::Handle(0);
        // A packed hello is far shorter than a multi-part message.
        encode_request(&mut self.out, address, HELLO_SESSION, &payload)
            .map_err(|_| HelloError::Length { bytes: payload.len() })
    }

    /// Takes the answer to the hello, if it has arrived.
    pub(super) fn poll_handshake(
        &mut self,
        until: Millis,
        offered: u32,
    ) -> Result<Option<CallerEvent>, ProtocolError> {
        let Some(package) = self.framer.next_package() else {
            if self.now < until {
                return Ok(None);
            }
            let limit_ms = HANDSHAKE_MS_MAX;
            return Err(ProtocolError::HandshakeTime { limit_ms });
        };
        match decode_response(package)? {
            ResponseFrame::Ok { session, payload } if session == HELLO_SESSION => {
                let ReadHello {
                    hello: peer,
                    hash,
                    proof,
                } = Hello::read(&payload)?;
                if peer.version > offered {
                    let version = peer.version;
                    return Err(HelloError::Version { version, offered }.into());
                }
                let own_proof = self.check_answer(&hash, proof)?;
                if let Some(access) = &self.access
                    && !access.node.is_empty()
                    && !peer.node.is_empty()
                    && peer.node != access.node
                {
                    let (answered, dialled) = (peer.node, access.node.clone());
                    return Err(HelloError::OtherNode { answered, dialled }.into());
                }
                self.settle_session(&peer)?;
                self.frames = FrameReader::starting_with(self.framer.take_chunks());
                if let Some(proof) = own_proof {
                    let proof = Bytes::copy_from_slice(&proof);
                    put_frame(&mut self.out, Header::new(FrameKind::Proof), &proof);
                }
                self.traces.is_taken = peer.traces;
                self.shards = ShardsOut::new(self.channel, peer.threads);
                self.begin(Dialect::Native, self.now);
                Ok(Some(CallerEvent::Ready {
                    dialect: Dialect::Native,
                    peer: Some(Box::new(peer)),
                }))
            }
            ResponseFrame::Error { session, text } if session == HELLO_SESSION => {
                if text != NAME_NOT_FOUND {
                    let text = text.get(..REFUSAL_BYTES_MAX).unwrap_or(&text);
                    let text = String::from_utf8_lossy(text).into_owned();
                    return Err(ProtocolError::HelloRefused { text });
                }
                if self.access.as_ref().is_some_and(|access| !access.allows_skynet)
                    && !fault!(DowngradeAccepted)
                {
                    return Err(Unproved::SkynetDialect.into());
                }
                self.end_session(Ended::Forgotten);
                self.begin(Dialect::Skynet, self.now);
                Ok(Some(CallerEvent::Ready {
                    dialect: Dialect::Skynet,
                    peer: None,
                }))
            }
            _ => Err(ProtocolError::HandshakeOrder),
        }
    }

    /// Checks the proof of the acceptor; returns the one that answers it. None without a cluster secret.
    fn check_answer(&self, hash: &Hash, proof: &[u8]) -> Result<Option<Hash>, Unproved> {
        let Some(secrets) = self.access.as_ref().and_then(|access| access.secrets.as_ref()) else {
            return Ok(None);
        };
        if proof.is_empty() && !fault!(AnswerUnchecked) {
            return Err(Unproved::NoProof);
        }
        let Offer { hello, proof: offers } = &self.offer;
        let index = secrets.check_answer(hello, hash, proof, offers)?;
        Ok(Some(secrets.final_proof(index, hello, hash)))
    }
}
