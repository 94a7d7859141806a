//! The native dialect at the acceptor's end.

use bytes::Bytes;

use super::{CalleeLink, Inbound, Request};
use crate::link::ProtocolError;
use crate::native::{FrameError, FrameKind, Header, Received, put_frame};
use crate::skynet::RequestAddress;

impl CalleeLink {
    /// What comes next of received frames.
    #[inline]
    pub(super) fn poll_native(&mut self) -> Result<Option<Inbound>, ProtocolError> {
        while let Some(received) = self.frames.next_frame(self.limits.message_bytes_max)? {
            self.packages_seen += 1;
            let (header, payload) = match received {
                Received::Frame(header, payload) => (header, payload),
                Received::TooLarge(header) => {
                    self.too_large(header)?;
                    continue;
                }
            };
            match header.kind {
                FrameKind::Call | FrameKind::Send => {
                    let request = self.request(header, payload)?;
                    return Ok(Some(Inbound::Request(request)));
                }
                FrameKind::DefineName => self.names.define(header.target, &payload)?,
                FrameKind::Ping => {
                    let pong = Header {
                        session: header.session,
                        ..Header::new(FrameKind::Pong)
                    };
                    put_frame(&mut self.out, pong, &Bytes::new());
                }
                FrameKind::Pong => {}
                FrameKind::Goodbye => return Ok(Some(Inbound::Goodbye)),
                kind @ (FrameKind::ReplyOk | FrameKind::ReplyError) => {
                    return Err(FrameError::Direction { kind }.into());
                }
            }
        }
        Ok(None)
    }

    #[inline]
    fn request(&mut self, header: Header, payload: Bytes) -> Result<Request, FrameError> {
        self.requests_seen += 1;
        let address = if header.is_target_name {
            RequestAddress::Name(self.names.get(header.target)?)
        } else {
            RequestAddress::Handle(header.target)
        };
        Ok(Request {
            address,
            session: header.session,
            payload,
            trace: None,
            source: header.source,
            remaining_ms: (header.remaining_ms != 0).then_some(header.remaining_ms),
        })
    }

    /// Answers a call whose bytes are not even taken in.
    fn too_large(&mut self, header: Header) -> Result<(), FrameError> {
        let kind = header.kind;
        if !matches!(kind, FrameKind::Call | FrameKind::Send) {
            return Err(FrameError::Direction { kind });
        }
        self.requests_seen += 1;
        let limit = self.limits.message_bytes_max;
        self.refuse_too_large(header.session, header.length as usize, limit);
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
        put_frame(&mut self.out, header, payload);
    }
}
