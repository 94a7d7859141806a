//! The acceptor's end of a channel: requests come out, answers go in. It has one TCP connection, or with a
//! [session](resume) one after another.
//!
//! Invariants:
//! - a request comes out once, complete, in the order in which the last bytes arrive;
//! - every call that does not come out (too large, inconsistent parts) is answered here with an error text; a push
//!   never is;
//! - the memory of unfinished messages stays within [`CalleeLimits`], whatever a peer declares;
//! - input that is kept from one chunk to the next is copied, so that it does not keep the chunk, and is counted by
//!   [`CalleeLink::held_bytes`];
//! - a hello is accepted only as the first package, so no answer of the skynet dialect is outstanding when the
//!   native dialect begins;
//! - with a cluster secret nothing comes out, and no answer goes out, before the [proof](proof) of the caller.

mod native;
mod proof;
mod resume;
mod skynet;

pub use native::ResolvedRequest;

use std::io::IoSlice;

use bytes::Bytes;

use self::resume::{PendingHello, Session};
use super::acks::Acks;
use super::reassembly::{Reassembly, ReassemblyLimits};
use super::retained::Retained;
use super::{
    Access, Dialect, MESSAGE_BYTES_MAX, OUT_BUFFER_BYTES_MAX, PARTIAL_MESSAGES_MAX, ProtocolError,
    REASSEMBLY_BYTES_MAX, RETAINED_BYTES_MAX,
};
use crate::limits::TRACE_KEPT_BYTES_MAX;
use crate::native::{
    Awaited, ErrorCode, FrameKind, FrameReader, Header, Hello, HelloError, NamesIn, error_frame, put_frame,
    put_pong,
};
use crate::outbuffer::OutBuffer;
use crate::skynet::{Framer, NAME_BYTES_MAX, RequestAddress, encode_error_response};

/// The answer of Skynet to a query for an unknown name.
const NAME_NOT_FOUND: &[u8] = b"name not found";

/// The answer of Skynet to inconsistent parts of a request.
const INVALID_PARTS: &[u8] = b"Invalid large req";

/// Bytes that an unfinished message may hold besides its parts: its name and its trace tag.
const KEPT_BYTES_MAX: usize = NAME_BYTES_MAX + TRACE_KEPT_BYTES_MAX;

/// Limits of a [`CalleeLink`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CalleeLimits {
    /// Bytes of a request, a push or an answer.
    pub message_bytes_max: usize,
    /// Bytes that all unfinished messages may hold together.
    pub reassembly_bytes_max: usize,
    /// How many messages may be unfinished; one more is a [`ProtocolError`].
    pub partial_messages_max: usize,
    /// From this many bytes of queued answers on [`CalleeLink::is_output_full`] holds. The link itself refuses no
    /// answer: its driver stops reading the socket until the peer reads its answers.
    pub out_buffer_bytes_max: usize,
    /// Bytes of answers that are retained until the caller has acknowledged them, to resume after a broken
    /// connection; above it the oldest are dropped. With 0 there are no sessions.
    pub retained_bytes_max: usize,
}

impl Default for CalleeLimits {
    fn default() -> Self {
        Self {
            message_bytes_max: MESSAGE_BYTES_MAX,
            reassembly_bytes_max: REASSEMBLY_BYTES_MAX,
            partial_messages_max: PARTIAL_MESSAGES_MAX,
            out_buffer_bytes_max: OUT_BUFFER_BYTES_MAX,
            retained_bytes_max: RETAINED_BYTES_MAX,
        }
    }
}

/// A whole request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The address of the service. Handle 0 is a query for the handle of the name in the payload.
    pub address: RequestAddress,
    /// The session for [`CalleeLink::respond`]; 0 for a push, which has no answer.
    pub session: u32,
    /// A slice of a received chunk, or the joined parts.
    pub payload: Bytes,
    /// The trace tag in front of it; None also when it was longer than [`TRACE_KEPT_BYTES_MAX`].
    pub trace: Option<Bytes>,
    /// The handle of the sender, 0 for none. The skynet dialect does not carry it.
    pub source: u32,
    /// The shard of the key of the message, plus 1, as the peer computed it; 0 when it is the shard that owns the
    /// channel, and always in the skynet dialect, which does not carry it.
    pub shard: u16,
    /// The remaining time until the deadline of its caller, in milliseconds, at least 1; None for no limit. The
    /// skynet dialect does not carry it.
    pub remaining_ms: Option<u32>,
}

/// Received input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// A request.
    Request(Request),
    /// The peer is a Skyring node and offers the native dialect. Nothing more comes out until the hello is answered
    /// with [`CalleeLink::accept_hello`] or [`CalleeLink::refuse_hello`].
    Hello(Hello),
    /// The peer sends no more requests on this connection, which may be closed once all are answered.
    Goodbye,
}

/// The stage of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The skynet dialect, with which every connection begins.
    Skynet,
    /// The first package must be a hello that proves the cluster secret.
    Guarded,
    /// A hello waits for its answer.
    HelloPending(PendingHello),
    /// The native dialect, whose first frame must be the final proof of the cluster secret.
    Unproved(Awaited),
    /// The native dialect.
    Native,
    /// The caller was refused: nothing more comes out.
    Refused,
    /// There is no connection; the session may be resumed on another one.
    Detached,
}

/// The fields of a request whose parts have not all arrived.
#[derive(Debug)]
struct Kept {
    address: RequestAddress,
    is_push: bool,
    trace: Option<Bytes>,
}

/// The acceptor's end of a channel. See the module documentation.
#[derive(Debug)]
pub struct CalleeLink {
    limits: CalleeLimits,
    access: Option<Access>,
    stage: Stage,
    framer: Framer,
    partials: Reassembly<Kept>,
    /// The trace tag of the next request.
    trace: Option<Bytes>,
    frames: FrameReader,
    names: NamesIn,
    out: OutBuffer,
    session: Option<Session>,
    acks: Acks,
    /// The end of the last acknowledgement in the stream of the out-buffer.
    ack_end: u64,
    retained: Retained,
    packages_seen: u64,
    requests_seen: u64,
    refused: u64,
}

impl CalleeLink {
    /// A link for a connection that was just accepted.
    pub fn new(limits: CalleeLimits) -> Self {
        let reassembly = ReassemblyLimits {
            bytes_max: limits.reassembly_bytes_max,
            messages_max: limits.partial_messages_max,
        };
        Self {
            limits,
            access: None,
            stage: Stage::Skynet,
            framer: Framer::new(),
            partials: Reassembly::new(reassembly),
            trace: None,
            frames: FrameReader::new(),
            names: NamesIn::default(),
            out: OutBuffer::new(),
            session: None,
            acks: Acks::new(),
            ack_end: 0,
            retained: Retained::new(limits.retained_bytes_max),
            packages_seen: 0,
            requests_seen: 0,
            refused: 0,
        }
    }

    /// The same, for callers that must prove a cluster secret.
    pub fn with_access(limits: CalleeLimits, access: Access) -> Self {
        Self {
            stage: match access.allows_skynet {
                true => Stage::Skynet,
                false => Stage::Guarded,
            },
            access: Some(access),
            ..Self::new(limits)
        }
    }

    /// A link that takes nothing, in the place of one whose connection has ended.
    pub fn ended() -> Self {
        Self {
            stage: Stage::Refused,
            ..Self::new(CalleeLimits::default())
        }
    }

    /// Takes bytes that were read from the socket. Poll until there is no event before reading more, so that chunks
    /// do not accumulate.
    #[inline]
    pub fn receive(&mut self, chunk: Bytes) {
        match self.stage {
            Stage::Skynet | Stage::Guarded | Stage::HelloPending(_) => self.framer.push(chunk),
            Stage::Native | Stage::Unproved(_) => self.frames.push(chunk),
            Stage::Detached | Stage::Refused => {}
        }
    }

    /// The buffer into which the next bytes may be read without a chunk, and how many: see [`FrameReader::room`].
    pub fn room(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        match self.stage {
            Stage::Native => self.frames.room(),
            _ => None,
        }
    }

    /// The next input; None when more must be received first, and while a hello waits for its answer.
    ///
    /// # Errors
    /// [`ProtocolError`] for input that no peer sends. Close the connection then; the answer to a malformed hello,
    /// which contains the reason, may be transmitted before.
    #[inline]
    pub fn poll_inbound(&mut self) -> Result<Option<Inbound>, ProtocolError> {
        match self.stage {
            Stage::Skynet => self.poll_skynet(),
            Stage::Native => self.poll_native(),
            Stage::Guarded => self.poll_guarded(),
            Stage::Unproved(_) => self.poll_proof(),
            Stage::HelloPending(_) | Stage::Detached | Stage::Refused => Ok(None),
        }
    }

    /// Answers a hello with the own one; both ends speak the native dialect from then on, in the lower of the two
    /// versions. If both want one, a session begins, whose secret is the nonce of `hello`; that ends a session that
    /// the hello of the caller names. Without a pending hello this does nothing.
    ///
    /// # Errors
    /// [`HelloError`] for a hello that no peer would accept; the hello of the peer stays pending.
    pub fn accept_hello(&mut self, hello: &Hello) -> Result<(), HelloError> {
        let Stage::HelloPending(pending) = self.stage else {
            return Ok(());
        };
        let answer = Hello {
            version: hello.version.min(pending.version),
            resume: self.begin_session(&pending, hello),
            ..hello.clone()
        };
        let stage = self.answer(&pending, &answer)?;
        self.frames = FrameReader::starting_with(self.framer.take_chunks());
        self.stage = stage;
        Ok(())
    }

    /// Answers a hello as a Skynet node does; both ends speak the skynet dialect from then on, or nothing comes out any
    /// more where that must not be spoken. Without a pending hello this does nothing.
    pub fn refuse_hello(&mut self) {
        if let Stage::HelloPending(PendingHello { session, .. }) = self.stage {
            encode_error_response(&mut self.out, session, NAME_NOT_FOUND);
            self.stage = match &self.access {
                Some(access) if !access.allows_skynet => Stage::Refused,
                _ => Stage::Skynet,
            };
        }
    }

    /// The dialect of the connection.
    pub fn dialect(&self) -> Dialect {
        match self.stage {
            Stage::Skynet | Stage::Guarded | Stage::HelloPending(_) | Stage::Refused => Dialect::Skynet,
            Stage::Native | Stage::Unproved(_) | Stage::Detached => Dialect::Native,
        }
    }

    fn refuse_too_large(&mut self, session: u32, bytes: usize, limit: usize) {
        let text = format!("too-large: request of {bytes} bytes, limit {limit}");
        self.refuse(session, ErrorCode::TooLarge, text.as_bytes());
    }

    fn refuse(&mut self, session: u32, code: ErrorCode, text: &[u8]) {
        self.refused += 1;
        self.respond_error(session, code, text);
    }

    /// Answers a call with its result, or with the text of the service's own error. Pushes (session 0) have no
    /// answer. A result above the size limit becomes an error.
    #[inline]
    pub fn respond(&mut self, session: u32, result: Result<Bytes, &[u8]>) {
        match result {
            Ok(_) if session == 0 => {}
            Ok(payload) if payload.len() > self.limits.message_bytes_max => {
                self.respond_too_large(session, payload.len(), self.limits.message_bytes_max);
            }
            Ok(payload) => match self.stage {
                Stage::Native | Stage::Unproved(_) | Stage::Detached => self.answer_native(session, &payload),
                _ => self.answer_skynet(session, &payload),
            },
            Err(text) => self.respond_error(session, ErrorCode::Remote, text),
        }
    }

    /// Answers a call with an error. The skynet dialect carries only the text. Pushes (session 0) have no answer.
    pub fn respond_error(&mut self, session: u32, code: ErrorCode, text: &[u8]) {
        match self.stage {
            _ if session == 0 => {}
            Stage::Native | Stage::Unproved(_) | Stage::Detached => {
                let (header, text) = error_frame(session, code, text);
                self.put_answer(header, &text);
            }
            _ => encode_error_response(&mut self.out, session, text),
        }
    }

    fn respond_too_large(&mut self, session: u32, bytes: usize, limit: usize) {
        let text = format!("too-large: response of {bytes} bytes, limit {limit}");
        self.respond_error(session, ErrorCode::TooLarge, text.as_bytes());
    }

    /// Announces to the peer that this connection will be closed, so that it begins no new calls on it. The skynet
    /// dialect has no such package.
    pub fn goodbye(&mut self) {
        if matches!(self.stage, Stage::Native | Stage::Unproved(_)) {
            put_frame(&mut self.out, Header::new(FrameKind::Goodbye), &Bytes::new());
        }
    }

    /// Sends a sign of life while this end does not read: a pong without a ping. For a driver that does not read
    /// for longer than the interval of a heartbeat. The skynet dialect has no such package.
    pub fn send_heartbeat(&mut self) {
        if self.stage == Stage::Native {
            put_pong(&mut self.out, 0);
        }
    }

    /// Fills `slices` with the next output; returns how many were filled.
    #[inline]
    pub fn transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.out.slices(slices)
    }

    /// The socket has taken `count` bytes of the output of [`CalleeLink::transmit`].
    ///
    /// # Panics
    /// When `count` is larger than the output.
    #[inline]
    pub fn transmitted(&mut self, count: usize) {
        self.out.advance(count);
        if self.out.position_transmitted() >= self.ack_end {
            self.acks.written();
        }
    }

    /// Whether there is output.
    #[inline]
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Bytes of answers that are queued for the socket.
    pub fn out_buffer_bytes(&self) -> usize {
        self.out.len()
    }

    /// Whether so many answers are queued that the driver should stop reading until some are written.
    pub fn is_output_full(&self) -> bool {
        self.out.len() >= self.limits.out_buffer_bytes_max
    }

    /// Memory in bytes that input, unfinished messages and answers hold, unused capacity included.
    pub fn held_bytes(&self) -> usize {
        let partials = self.partials.held_bytes() + self.partials.list_bytes();
        let kept = self.partials.len() * KEPT_BYTES_MAX;
        let input = self.framer.held_bytes() + self.frames.held_bytes() + self.names.held_bytes();
        let input = input + self.trace.as_ref().map_or(0, Bytes::len);
        input + partials + kept + self.out.held_bytes() + self.retained.held_bytes()
    }

    /// Copies the input that was not polled yet, so that it does not keep the chunks that it arrived in. For a
    /// pause between two polls.
    pub fn own_input(&mut self) {
        self.framer.own_chunks();
        self.frames.own_chunks();
    }

    /// Frees the memory that is kept for the next burst. For an idle connection.
    pub fn release_memory(&mut self) {
        self.out.release();
        self.retained.release();
        self.partials.release();
    }

    /// Whether bytes of an unfinished package, frame or message are held, or the rest of a refused one is still to
    /// arrive.
    pub fn has_partial_input(&self) -> bool {
        self.framer.has_partial() || !self.partials.is_empty() || self.frames.has_partial()
    }

    /// How many whole packages and frames were received.
    pub fn packages_seen(&self) -> u64 {
        self.packages_seen
    }

    /// How many requests and pushes were received completely, refused ones included.
    pub fn requests_seen(&self) -> u64 {
        self.requests_seen
    }

    /// How many requests and pushes were refused: too large, or with inconsistent parts.
    pub fn requests_refused(&self) -> u64 {
        self.refused
    }
}
