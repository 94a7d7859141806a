//! The native dialect at the dialler's end.

use bytes::Bytes;

use super::{CallerEvent, CallerLink, Dialect, Message, ReplyError, Stage, Target};
use crate::Millis;
use crate::link::ProtocolError;
use crate::native::{ErrorCode, FrameError, FrameKind, Header, Received, put_frame};

impl CallerLink {
    /// Writes a message, and the definition of its name in front of it where that is due.
    #[inline]
    pub(super) fn encode_native(&mut self, message: &mut Message) {
        let (target, is_target_name) = match &message.target {
            Target::Handle(handle) => (*handle, false),
            Target::Name(name) => {
                let (number, is_new) = self.names.number(name);
                if is_new {
                    let definition = Header {
                        target: number,
                        ..Header::new(FrameKind::DefineName)
                    };
                    put_frame(&mut self.out, definition, name);
                }
                (number, true)
            }
        };
        let kind = match message.session {
            0 => FrameKind::Send,
            _ => FrameKind::Call,
        };
        message.start = self.out.position_put();
        let header = Header {
            is_target_name,
            session: message.session,
            target,
            source: message.source,
            remaining_ms: remaining_ms(message.deadline, self.now),
            ..Header::new(kind)
        };
        put_frame(&mut self.out, header, &message.payload);
    }

    /// The next event that comes of received frames.
    #[inline]
    pub(super) fn poll_native(&mut self) -> Result<Option<CallerEvent>, ProtocolError> {
        while let Some(received) = self.frames.next_frame(self.limits.message_bytes_max)? {
            let event = match received {
                Received::Frame(header, payload) => self.frame(header, payload)?,
                Received::TooLarge(header) => match header.kind {
                    FrameKind::ReplyOk | FrameKind::ReplyError => {
                        self.too_large(header.session, header.length)
                    }
                    kind => return Err(FrameError::Direction { kind }.into()),
                },
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    #[inline]
    fn frame(&mut self, header: Header, payload: Bytes) -> Result<Option<CallerEvent>, FrameError> {
        match header.kind {
            FrameKind::ReplyOk => Ok(self.reply(header.session, Ok(payload))),
            FrameKind::ReplyError => {
                let code = ErrorCode::from_number(header.target);
                let text = payload;
                Ok(self.reply(header.session, Err(ReplyError { code, text })))
            }
            FrameKind::Ping => {
                let pong = Header {
                    session: header.session,
                    ..Header::new(FrameKind::Pong)
                };
                put_frame(&mut self.out, pong, &Bytes::new());
                Ok(None)
            }
            FrameKind::Pong => Ok(None),
            FrameKind::Goodbye => {
                self.stage = Stage::Leaving(Dialect::Native);
                Ok(Some(CallerEvent::Goodbye))
            }
            kind @ (FrameKind::Call | FrameKind::Send | FrameKind::DefineName) => {
                Err(FrameError::Direction { kind })
            }
        }
    }
}

/// The time left for a call as the header says it: at least 1 while there is a limit, 0 for none.
#[inline]
fn remaining_ms(deadline: Millis, now: Millis) -> u32 {
    match deadline {
        Millis::MAX => 0,
        deadline => deadline.saturating_sub(now).clamp(1, u64::from(u32::MAX)) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remaining_time_is_0_only_without_a_limit() {
        assert_eq!(remaining_ms(Millis::MAX, 5), 0);
        assert_eq!(remaining_ms(1_000, 400), 600);
        assert_eq!(remaining_ms(1_000, 1_000), 1);
        assert_eq!(remaining_ms(1_000, 2_000), 1);
        assert_eq!(remaining_ms(u64::MAX - 1, 0), u32::MAX);
    }
}
