//! The native dialect at the dialler's end.

use bytes::Bytes;

use super::{Call, CallerEvent, CallerLink, Dialect, Message, ReplyError, Stage, Target};
use crate::Millis;
use crate::link::ProtocolError;
use crate::native::{ErrorCode, FrameError, FrameKind, Header, Step, put_frame, put_pong};

/// The result of a step in the stream.
enum Stepped {
    Event(CallerEvent),
    /// A frame without an event.
    Nothing,
    /// More of the stream must arrive.
    Wait,
}

impl CallerLink {
    /// Encodes a message, and in front of it the definition of its name if that is due; the definition belongs to
    /// the message for its cost and for whether it was begun.
    #[inline(always)]
    pub(super) fn encode_native(&mut self, message: &mut Message) {
        message.start = self.out.position_put();
        message.frame = self.resume.next_frame;
        self.resume.next_frame += 1;
        let (target, is_target_name) = match message.target {
            Target::Handle(handle) => (handle, false),
            Target::Name(number) => {
                if let Some(name) = self.names.define(number) {
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
        let header = Header {
            is_target_name,
            shard: self.shards.of_key(message.key),
            session: message.session,
            target,
            source: message.source,
            remaining_ms: remaining_ms(message.deadline, self.now),
            ..Header::new(kind)
        };
        put_frame(&mut self.out, header, &message.payload);
    }

    /// Fast path: the next successful answer that is complete in the last chunk, with the token of its call. None
    /// when the next frame is anything else; [`CallerLink::poll_event`] returns it.
    #[inline(always)]
    pub fn next_reply(&mut self) -> Option<(u64, Bytes)> {
        if !self.failures.is_empty()
            || !matches!(
                self.stage,
                Stage::Up(Dialect::Native) | Stage::Draining(Dialect::Native)
            )
        {
            return None;
        }
        loop {
            let (session, payload) = self
                .frames
                .take_whole_if(self.limits.message_bytes_max, |header| {
                    (header.kind == FrameKind::ReplyOk).then_some(header.session)
                })?;
            self.note_received(payload.len());
            match self.end(session) {
                Some(Call { token, .. }) => return Some((token, payload)),
                None => self.late_replies += 1,
            }
        }
    }

    /// The next event from received frames, or from time.
    #[inline]
    pub(super) fn poll_native(&mut self, now: Millis) -> Result<Option<CallerEvent>, ProtocolError> {
        loop {
            let Some((header, payload)) = self.frames.take_whole(self.limits.message_bytes_max) else {
                match self.step_native()? {
                    Stepped::Event(event) => return Ok(Some(event)),
                    Stepped::Nothing => continue,
                    Stepped::Wait => return Ok(self.expire(now)),
                }
            };
            if header.kind != FrameKind::ReplyOk {
                match self.take_frame(header, payload)? {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                }
            }
            self.note_received(payload.len());
            // The hot path: the reply is not passed through another type.
            match self.end(header.session) {
                Some(Call { token, .. }) => {
                    return Ok(Some(CallerEvent::Reply {
                        token,
                        result: Ok(payload),
                    }));
                }
                None => self.late_replies += 1,
            }
        }
    }

    /// Counts a received reply, and acknowledges if enough have arrived.
    #[inline]
    fn note_received(&mut self, payload_bytes: usize) {
        if self.resume.acks.note(payload_bytes) {
            self.put_ack();
        }
    }

    /// Handles a frame that is not complete within a chunk.
    #[inline(never)]
    fn step_native(&mut self) -> Result<Stepped, ProtocolError> {
        let event = match self.frames.step(self.limits.message_bytes_max) {
            Step::Wait => return Ok(Stepped::Wait),
            Step::Frame => {
                let header = *self.frames.header();
                let payload = self.frames.take_payload();
                self.take_frame(header, payload)?
            }
            Step::TooLarge => self.refuse_frame()?,
            Step::Malformed => match self.frames.error() {
                Some(error) => return Err(error.into()),
                None => return Ok(Stepped::Wait),
            },
        };
        Ok(event.map_or(Stepped::Nothing, Stepped::Event))
    }

    #[inline(never)]
    fn take_frame(&mut self, header: Header, payload: Bytes) -> Result<Option<CallerEvent>, FrameError> {
        match header.kind {
            FrameKind::ReplyOk => {
                self.note_received(payload.len());
                Ok(self.reply(header.session, Ok(payload)))
            }
            FrameKind::ReplyError => {
                let code = ErrorCode::from_number(header.target);
                let text = payload;
                self.note_received(text.len());
                Ok(self.reply(header.session, Err(ReplyError { code, text })))
            }
            FrameKind::Ping => {
                put_pong(&mut self.out, header.session);
                Ok(None)
            }
            FrameKind::Pong => {
                self.heartbeat.take_pong(header.session);
                Ok(None)
            }
            FrameKind::Ack => {
                self.take_ack(&header)?;
                Ok(None)
            }
            FrameKind::Goodbye => {
                self.stage = Stage::Draining(Dialect::Native);
                Ok(Some(CallerEvent::Goodbye))
            }
            kind @ (FrameKind::Call
            | FrameKind::Send
            | FrameKind::DefineName
            | FrameKind::Proof
            | FrameKind::Trace) => Err(FrameError::Direction { kind }),
        }
    }

    /// Handles a frame above the size limit, whose payload is skipped.
    fn refuse_frame(&mut self) -> Result<Option<CallerEvent>, FrameError> {
        let Header {
            kind,
            session,
            length,
            ..
        } = *self.frames.header();
        match kind {
            FrameKind::ReplyOk | FrameKind::ReplyError => {
                self.note_received(0);
                Ok(self.too_large(session, length))
            }
            kind => Err(FrameError::Direction { kind }),
        }
    }
}

/// The remaining time of a call in its header: at least 1 with a limit, 0 for none.
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
