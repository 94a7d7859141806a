//! The proof of the cluster secret, at the acceptor's end.
//!
//! The hello must offer a proof before it is answered, and the first frame after the answer must be the final proof.
//! Until then nothing comes out; a session that is resumed keeps its answers.

use bytes::Bytes;

use super::{CalleeLink, Inbound, PendingHello, Stage};
use crate::link::{Access, ProtocolError};
use crate::native::{
    Awaited, FrameKind, HELLO_BYTES_MAX, Hash, Hello, HelloError, PROOF_BYTES, Step, Unproved,
};
use crate::skynet::{
    RequestAddress, RequestFrame, decode_request, encode_error_response, encode_ok_response,
};

/// The longest first package where it must be a hello, in bytes: the type, the handle 0, the session and the hello.
const FIRST_PACKAGE_BYTES_MAX: usize = 1 + 4 + 4 + HELLO_BYTES_MAX;

/// How a TLS connection begins: a record with a part of the handshake, in the versions 3.x. As a package it would be one
/// of 5,635 bytes of a type that is shorter, or that is not the first one.
const TLS_BEGINNING: [std::ops::RangeInclusive<u8>; 3] = [0x16..=0x16, 3..=3, 1..=4];

impl CalleeLink {
    /// Whether a hello must still come, or its answer, or the proof that follows that.
    pub fn awaits_proof(&self) -> bool {
        match self.stage {
            Stage::Guarded | Stage::Unproved(_) => true,
            Stage::Skynet => self.access.is_some() && self.packages_seen == 0,
            Stage::HelloPending(_) => self.access.is_some(),
            Stage::Native | Stage::Detached | Stage::Refused => false,
        }
    }

    /// Writes the answer to a hello, with a proof if the hello has one; returns the stage after it.
    pub(super) fn answer(&mut self, pending: &PendingHello, answer: &Hello) -> Result<Stage, HelloError> {
        let (payload, stage) = match (&self.access, pending.proved) {
            (
                Some(Access {
                    secrets: Some(secrets),
                    ..
                }),
                Some((index, hello)),
            ) => {
                let prove = |hash: &Hash| secrets.answer_proof(index, &hello, hash).to_vec();
                let (payload, answer) = answer.pack_proved(prove)?;
                let awaited = Awaited { index, hello, answer };
                let stage = match fault!(ProofNotAwaited) {
                    true => Stage::Native,
                    false => Stage::Unproved(awaited),
                };
                (payload, stage)
            }
            _ => (answer.pack()?, Stage::Native),
        };
        encode_ok_response(&mut self.out, pending.session, &payload)
            .map_err(|_| HelloError::Length { bytes: payload.len() })?;
        Ok(stage)
    }

    /// The first package where it must be a hello.
    pub(super) fn poll_guarded(&mut self) -> Result<Option<Inbound>, ProtocolError> {
        self.refuse_tls()?;
        if self.may_be_tls() {
            return Ok(None);
        }
        if self
            .framer
            .next_length()
            .is_some_and(|bytes| bytes > FIRST_PACKAGE_BYTES_MAX)
        {
            self.stage = Stage::Refused;
            return Err(self.plain_or(Unproved::TooLong).into());
        }
        let Some(package) = self.framer.next_package() else {
            return Ok(None);
        };
        self.packages_seen += 1;
        self.stage = Stage::Refused;
        match decode_request(package)? {
            RequestFrame::Small {
                address: RequestAddress::Handle(0),
                session,
                payload,
            } if session != 0 && Hello::is_hello(&payload) => {
                self.requests_seen += 1;
                self.hello(session, &payload)
            }
            RequestFrame::Small { session, .. } => {
                Err(self.refuse_unproved(session, self.plain_or(Unproved::SkynetDialect)))
            }
            _ => Err(self.plain_or(Unproved::SkynetDialect).into()),
        }
    }

    /// The reason of a refusal: where TLS is required it is the missing TLS, whatever came.
    fn plain_or(&self, reason: Unproved) -> Unproved {
        match &self.access {
            Some(access) if access.is_plain => Unproved::Plain,
            _ => reason,
        }
    }

    /// Refuses a peer that begins with TLS, which this end does not speak: its first bytes are those of no package.
    /// Its answer is no TLS, by which the peer knows.
    pub(super) fn refuse_tls(&mut self) -> Result<(), ProtocolError> {
        let is_tls = self.packages_seen == 0 && self.framer.begins_with(&TLS_BEGINNING);
        match is_tls {
            true => Err(self.refuse_unproved(1, Unproved::Tls)),
            false => Ok(()),
        }
    }

    /// Whether the first bytes are those of TLS, and the one that tells has not come.
    fn may_be_tls(&self) -> bool {
        let [first, second, _] = TLS_BEGINNING;
        self.framer.begins_with(&[first.clone(), second.clone()])
            && !self.framer.begins_with(&[first, second, 0..=u8::MAX])
    }

    /// Refuses the pending hello of a peer whose certificate is for another name. Nothing more comes out.
    pub fn deny_hello(&mut self, reason: Unproved) -> ProtocolError {
        let session = match &self.stage {
            Stage::HelloPending(pending) => pending.session,
            _ => 0,
        };
        self.refuse_unproved(session, reason)
    }

    /// Checks the offer of a hello; returns the secret that both ends have, and the hash of the hello. `None` for a
    /// caller without a proof that may go on in the skynet dialect.
    pub(super) fn check_offer(
        &mut self,
        session: u32,
        hello: &Hello,
        hash: Hash,
        proof: &[u8],
    ) -> Result<Option<(usize, Hash)>, ProtocolError> {
        let Some(access) = &self.access else {
            return Ok(None);
        };
        let Some(secrets) = access.secrets.as_ref().filter(|_| !access.is_plain) else {
            return match access.is_plain && !access.allows_skynet {
                true => Err(self.refuse_unproved(session, Unproved::Plain)),
                false => Ok(None),
            };
        };
        match secrets.check_offers(&hello.nonce, &hash, proof) {
            Ok(index) => Ok(Some((index, hash))),
            Err(Unproved::NoProof) if access.allows_skynet => Ok(None),
            Err(reason) => Err(self.refuse_unproved(session, reason)),
        }
    }

    /// Answers with the reason, and lets nothing more come out.
    fn refuse_unproved(&mut self, session: u32, reason: Unproved) -> ProtocolError {
        self.stage = Stage::Refused;
        if session != 0 {
            encode_error_response(&mut self.out, session, format!("denied: {reason}").as_bytes());
        }
        reason.into()
    }

    /// The first frame, which must be the final proof.
    pub(super) fn poll_proof(&mut self) -> Result<Option<Inbound>, ProtocolError> {
        let Stage::Unproved(awaited) = self.stage else {
            return Ok(None);
        };
        // A longer frame is no proof, and nothing of its payload is kept.
        let payload = match self.frames.step(PROOF_BYTES) {
            Step::Wait => return Ok(None),
            Step::Frame => self.frames.take_payload(),
            Step::TooLarge => Bytes::new(),
            Step::Malformed => match self.frames.error() {
                Some(error) => return Err(error.into()),
                None => return Ok(None),
            },
        };
        self.packages_seen += 1;
        let secrets = self.access.as_ref().and_then(|access| access.secrets.as_ref());
        let checked = match (self.frames.header().kind, secrets) {
            (FrameKind::Proof, Some(secrets)) => awaited.check(secrets, &payload),
            _ => Err(Unproved::EarlyFrame),
        };
        if let Err(reason) = checked {
            // A session that this caller did not begin stays for the one that did.
            if !(self.is_session_proved() && self.disconnected()) {
                self.end_session();
                self.stage = Stage::Refused;
            }
            return Err(reason.into());
        }
        self.stage = Stage::Native;
        if let Some(session) = &mut self.session {
            session.is_proved = true;
        }
        // The answers of an earlier connection have waited for this.
        self.retained.replay(&mut self.out);
        self.poll_native()
    }
}
