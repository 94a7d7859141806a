//! The native dialect at the acceptor's end.

use bytes::Bytes;

use super::{CalleeLink, Inbound, Request, Stage};
use crate::link::ProtocolError;
use crate::native::{FrameError, FrameKind, Header, Step, put_pong};
use crate::skynet::RequestAddress;

/// A call or a send to a resolved service: see [`CalleeLink::next_resolved`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedRequest {
    /// The handle of the service; never 0.
    pub target: u32,
    /// The session for [`CalleeLink::respond`]; 0 for a send.
    pub session: u32,
    /// The handle of the sender, 0 for none.
    pub source: u32,
    /// As [`Request::shard`].
    pub shard: u16,
    /// The remaining time until the deadline of its caller, in milliseconds; 0 for no limit.
    pub remaining_ms: u32,
    /// A slice of the chunk that was received last.
    pub payload: Bytes,
}

impl CalleeLink {
    /// Fast path: the next call or send that is complete in the last chunk and is for a service that exists.
    /// `resolve` resolves its name, unless the result of an earlier call with the same `state` is cached; `state`
    /// must change when a name changes. None when the next frame is anything else; [`CalleeLink::poll_inbound`]
    /// returns it.
    #[inline(always)]
    pub fn next_resolved(
        &mut self,
        state: u64,
        resolve: impl FnOnce(&[u8]) -> Option<u32>,
    ) -> Option<ResolvedRequest> {
        if self.stage != Stage::Native || self.trace.is_some() {
            return None;
        }
        let names = &mut self.names;
        let ((header, target), payload) =
            self.frames
                .take_whole_if(self.limits.message_bytes_max, |header| {
                    let target = match header.kind {
                        FrameKind::Call | FrameKind::Send if header.is_target_name => {
                            names.resolve(header.target, state, resolve)?
                        }
                        FrameKind::Call | FrameKind::Send => header.target,
                        _ => return None,
                    };
                    // Handle 0 is no service: it is a query for the handle of a name.
                    (target != 0).then_some((*header, target))
                })?;
        self.packages_seen += 1;
        self.requests_seen += 1;
        if !fault!(RequestUncounted) {
            self.note_received(payload.len());
        }
        Some(ResolvedRequest {
            target,
            session: header.session,
            source: header.source,
            shard: header.shard,
            remaining_ms: header.remaining_ms,
            payload,
        })
    }

    /// The next input from received frames.
    #[inline]
    pub(super) fn poll_native(&mut self) -> Result<Option<Inbound>, ProtocolError> {
        loop {
            let (header, payload) = match self.frames.take_whole(self.limits.message_bytes_max) {
                Some(frame) => frame,
                None => match self.frames.step(self.limits.message_bytes_max) {
                    Step::Frame => (*self.frames.header(), self.frames.take_payload()),
                    Step::Wait => return Ok(None),
                    Step::TooLarge => {
                        self.refuse_frame()?;
                        continue;
                    }
                    Step::Malformed => match self.frames.error() {
                        Some(error) => return Err(error.into()),
                        None => return Ok(None),
                    },
                },
            };
            self.packages_seen += 1;
            match header.kind {
                FrameKind::Call | FrameKind::Send => {
                    self.requests_seen += 1;
                    self.note_received(payload.len());
                    let address = if header.is_target_name {
                        RequestAddress::Name(self.names.get(header.target)?)
                    } else {
                        RequestAddress::Handle(header.target)
                    };
                    return Ok(Some(Inbound::Request(Request {
                        address,
                        session: header.session,
                        payload,
                        trace: self.trace.take(),
                        source: header.source,
                        shard: header.shard,
                        remaining_ms: (header.remaining_ms != 0).then_some(header.remaining_ms),
                    })));
                }
                FrameKind::DefineName => self.names.define(header.target, &payload)?,
                FrameKind::Trace => self.trace = Some(Bytes::copy_from_slice(&payload)),
                FrameKind::Ping => put_pong(&mut self.out, header.session),
                FrameKind::Pong => {}
                FrameKind::Ack => self.take_ack(&header)?,
                FrameKind::Goodbye => {
                    self.end_session();
                    return Ok(Some(Inbound::Goodbye));
                }
                kind @ (FrameKind::ReplyOk | FrameKind::ReplyError | FrameKind::Proof) => {
                    return Err(FrameError::Direction { kind }.into());
                }
            }
        }
    }

    /// Refuses a call above the size limit, whose payload is skipped.
    fn refuse_frame(&mut self) -> Result<(), FrameError> {
        let Header {
            kind,
            session,
            length,
            ..
        } = *self.frames.header();
        if !matches!(kind, FrameKind::Call | FrameKind::Send) {
            return Err(FrameError::Direction { kind });
        }
        self.packages_seen += 1;
        self.requests_seen += 1;
        self.note_received(0);
        self.trace = None;
        let limit = self.limits.message_bytes_max;
        self.refuse_too_large(session, length as usize, limit);
        Ok(())
    }

    /// Answers a call with its result.
    #[inline]
    pub(super) fn answer_native(&mut self, session: u32, payload: &Bytes) {
        if u32::try_from(payload.len()).is_err() {
            return self.respond_too_large(session, payload.len(), u32::MAX as usize);
        }
        let header = Header {
            session,
            ..Header::new(FrameKind::ReplyOk)
        };
        self.put_answer(header, payload);
    }

    /// Writes an answer, and retains it in a session until the caller acknowledges it.
    #[inline]
    pub(super) fn put_answer(&mut self, mut header: Header, payload: &Bytes) {
        header.length = payload.len() as u32;
        let header = header.encode();
        if self.stage == Stage::Native {
            self.out.put_frame(&header, payload);
        }
        if self.session.is_some() {
            self.retained.put(&header, payload);
        }
    }
}
