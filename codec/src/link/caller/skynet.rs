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
    /// Encodes a message; false for one that the dialect cannot represent, which is refused earlier.
    #[inline(never)]
    pub(super) fn encode_skynet(&mut self, message: &mut Message) -> bool {
        message.start = self.out.position_put();
        let address = match message.target {
            Target::Handle(handle) => Address::Handle(handle),
            Target::Name(number) => Address::Name(self.names.name(number)),
        };
        let written = match message.session {
            0 => {
                // The parts of a long push need a number, which must differ from those of outstanding calls.
                let is_long = message.payload.len() > REQUEST_SMALL_BYTES_MAX;
                let session = if is_long { self.sessions.next_number() } else { 0 };
                encode_push(&mut self.out, address, session, &message.payload)
            }
            session => encode_request(&mut self.out, address, session, &message.payload),
        };
        debug_assert_eq!(written, Ok(()), "the message was not checked");
        written.is_ok()
    }

    /// The next event from received packages, or from time.
    #[inline]
    pub(super) fn poll_skynet(&mut self, now: Millis) -> Result<Option<CallerEvent>, ProtocolError> {
        while let Some(package) = self.framer.next_package() {
            let event = match decode_response(package)? {
                ResponseFrame::Ok { session, payload } if self.partials.is_empty() => {
                    // The hot path: the reply is not passed through another type.
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
            // The answer of a node without a service of that name, which is a sign of life.
            ResponseFrame::Error { session, .. } if self.heartbeat.take_pong(session) => Ok(None),
            ResponseFrame::Error { session, text } => {
                Ok(self.reply(session, Err(ReplyError { code: None, text })))
            }
            ResponseFrame::Head { session, total } => self.head(session, total),
            ResponseFrame::Part { session, payload } => self.part(session, &payload),
        }
    }

    /// A whole reply, or the last part of one: Skynet accepts each in place of the other.
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
        // The parts that follow have no call any more and are dropped.
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
