//! The skynet dialect at the dialler's end.

use bytes::Bytes;

use super::{Call, CallerEvent, CallerLink, Message, ReplyError, Target};
use crate::Millis;
use crate::link::ProtocolError;
use crate::link::reassembly::Appended;
use crate::skynet::{
    Address, REQUEST_SMALL_BYTES_MAX, ResponseFrame, decode_response, encode_push, encode_request,
};

impl CallerLink {
    /// Writes a message; false for one that the dialect cannot say, which was refused before.
    #[inline(never)]
    pub(super) fn encode_skynet(&mut self, message: &mut Message) -> bool {
        message.start = self.out.position_put();
        let address = match message.target {
            Target::Handle(handle) => Address::Handle(handle),
            Target::Name(number) => Address::Name(self.names.name(number)),
        };
        let written = match message.session {
            0 => {
                // The parts of a long push need a number, which must not be one that awaits an answer.
                let is_long = message.payload.len() > REQUEST_SMALL_BYTES_MAX;
                let session = if is_long { self.sessions.next_number() } else { 0 };
                encode_push(&mut self.out, address, session, &message.payload)
            }
            session => encode_request(&mut self.out, address, session, &message.payload),
        };
        debug_assert_eq!(written, Ok(()), "it was not measured before");
        written.is_ok()
    }

    /// The next event that comes of received packages, or of time.
    #[inline]
    pub(super) fn poll_skynet(&mut self, now: Millis) -> Result<Option<CallerEvent>, ProtocolError> {
        while let Some(package) = self.framer.next_package() {
            let event = match decode_response(package)? {
                ResponseFrame::Ok { session, payload } if self.partials.is_empty() => {
                    // The one path that counts: nothing is passed through another type on it.
                    let Some(Call { token, .. }) = self.end(session) else {
                        self.late_replies += u64::from(!self.heartbeat.take_pong(session));
                        continue;
                    };
                    if payload.len() <= self.limits.message_bytes_max {
                        return Ok(Some(CallerEvent::Reply {
                            token,
                            result: Ok(payload),
                        }));
                    }
                    let bytes = payload.len();
                    return Ok(Some(CallerEvent::TooLarge { token, bytes }));
                }
                other => self.take_response(other)?,
            };
            if let Some(event) = event {
                return Ok(Some(event));
            }
        }
        Ok(self.expire(now))
    }

    #[inline(never)]
    fn take_response(&mut self, response: ResponseFrame) -> Result<Option<CallerEvent>, ProtocolError> {
        match response {
            ResponseFrame::Ok { session, payload } | ResponseFrame::LastPart { session, payload } => {
                self.last_part(session, payload)
            }
            // What a node says that has no service of that name, which is as good as any answer.
            ResponseFrame::Error { session, .. } if self.heartbeat.take_pong(session) => Ok(None),
            ResponseFrame::Error { session, text } => {
                Ok(self.reply(session, Err(ReplyError { code: None, text })))
            }
            ResponseFrame::Head { session, total } => self.head(session, total),
            ResponseFrame::Part { session, payload } => self.part(session, &payload),
        }
    }

    /// A whole reply, or the end of one in parts: Skynet takes each for the other.
    fn last_part(&mut self, session: u32, part: Bytes) -> Result<Option<CallerEvent>, ProtocolError> {
        if self.partials.is_empty() {
            return Ok(self.reply(session, Ok(part)));
        }
        match self.partials.append(session, &part, true) {
            Appended::Unknown => Ok(self.reply(session, Ok(part))),
            Appended::Complete((), payload) => Ok(self.reply(session, Ok(payload))),
            other => self.incomplete(session, other),
        }
    }

    fn head(&mut self, session: u32, total: u32) -> Result<Option<CallerEvent>, ProtocolError> {
        if self.sessions.get(session).is_none() {
            return Ok(None);
        }
        let limit = self
            .limits
            .message_bytes_max
            .min(self.limits.reassembly_bytes_max);
        if total as usize <= limit {
            self.partials.begin(session, total, Some(()))?;
            return Ok(None);
        }
        // The parts that follow find no call any more and are dropped.
        Ok(self.too_large(session, total))
    }

    fn part(&mut self, session: u32, part: &[u8]) -> Result<Option<CallerEvent>, ProtocolError> {
        if self.sessions.get(session).is_none() {
            return Ok(None);
        }
        match self.partials.append(session, part, false) {
            Appended::Unknown => Err(ProtocolError::PartWithoutHead { session }),
            other => self.incomplete(session, other),
        }
    }

    fn incomplete(
        &mut self,
        session: u32,
        appended: Appended<()>,
    ) -> Result<Option<CallerEvent>, ProtocolError> {
        match appended {
            Appended::LengthMismatch {
                declared, received, ..
            } => Err(ProtocolError::ReplyLength {
                session,
                declared,
                received,
            }),
            Appended::OverLimit { declared, .. } => Ok(self.too_large(session, declared)),
            Appended::Unknown | Appended::Pending | Appended::Complete(..) => Ok(None),
        }
    }
}
