//! The acceptor's end of a channel: requests out, answers in. It has one TCP connection, or in a
//! [session](resume) that can be resumed one after another.
//!
//! Invariants:
//! - a request comes out once, whole, in the order in which its last byte came;
//! - every call that does not come out (too large, parts that do not add up) is answered here with an
//!   error text; a push never is;
//! - what is held of unfinished messages stays within [`CalleeLimits`], whatever a peer declares;
//! - what is kept from one chunk to the next is a copy, so that it does not keep the chunk, and is
//!   counted by [`CalleeLink::held_bytes`];
//! - a hello is one only as the first package, so no answer of the old dialect is outstanding when the
//!   new one begins.

mod native;
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
    Dialect, MESSAGE_BYTES_MAX, OUT_BUFFER_BYTES_MAX, PARTIAL_MESSAGES_MAX, ProtocolError,
    REASSEMBLY_BYTES_MAX, RETAINED_BYTES_MAX,
};
use crate::native::{
    ErrorCode, FrameKind, FrameReader, Header, Hello, HelloError, NamesIn, error_frame, put_frame, put_pong,
};
use crate::outbuffer::OutBuffer;
use crate::skynet::{Framer, NAME_BYTES_MAX, RequestAddress, encode_error_response, encode_ok_response};

/// What Skynet answers to a query for a name that nobody has.
const NAME_NOT_FOUND: &[u8] = b"name not found";

/// What Skynet answers when the parts of a request do not make one.
const INVALID_PARTS: &[u8] = b"Invalid large req";

/// A trace tag longer than this, in bytes, is dropped: Skynet's are short, and unfinished messages keep
/// theirs.
pub const TRACE_KEPT_BYTES_MAX: usize = 255;

/// What an unfinished message may keep beside its parts, in bytes: its name and its trace tag.
const KEPT_BYTES_MAX: usize = NAME_BYTES_MAX + TRACE_KEPT_BYTES_MAX;

/// Bounds of a [`CalleeLink`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CalleeLimits {
    /// Bytes that a request, a push or an answer may have.
    pub message_bytes_max: usize,
    /// Bytes that all unfinished messages may hold together.
    pub reassembly_bytes_max: usize,
    /// How many messages may be unfinished; one more is a [`ProtocolError`].
    pub partial_messages_max: usize,
    /// From so many bytes of waiting answers on [`CalleeLink::is_output_full`] holds. The link itself
    /// refuses no answer: who drives it stops reading the socket until the peer reads its answers.
    pub out_buffer_bytes_max: usize,
    /// Bytes of answers that are kept until the caller has acknowledged them, to go on after a broken
    /// connection; past it the oldest are let go. 0: none are, and nothing outlives a connection.
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
    /// Whom it is for. Handle 0 asks for the handle behind the name in the payload.
    pub address: RequestAddress,
    /// What to answer with [`CalleeLink::respond`]; 0 for a push, which has no answer.
    pub session: u32,
    /// A slice of a chunk that was received, or the joined parts.
    pub payload: Bytes,
    /// The trace tag that came before it; None when that was longer than [`TRACE_KEPT_BYTES_MAX`].
    pub trace: Option<Bytes>,
    /// The handle of who asks, 0 for none. The skynet dialect does not carry it.
    pub source: u32,
    /// The shard that the message's key belongs to, plus 1, as the peer worked it out; 0 when that is the one
    /// that owns the channel, and always in the skynet dialect, which does not carry it.
    pub shard: u16,
    /// How much longer its caller waits for it, in milliseconds, at least 1; None for no limit. The skynet
    /// dialect does not carry it.
    pub remaining_ms: Option<u32>,
}

/// What came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// A request.
    Request(Request),
    /// The peer is a Skyring node and wants to speak the native dialect. Nothing more comes out until it is
    /// answered with [`CalleeLink::accept_hello`] or [`CalleeLink::refuse_hello`].
    Hello(Hello),
    /// The peer will send no more requests on this connection, which may be closed once all are answered.
    Goodbye,
}

/// How the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// In the skynet dialect, as every connection begins.
    Skynet,
    /// With the answer to a hello.
    HelloPending(PendingHello),
    /// In the native dialect.
    Native,
    /// With another connection, if one comes: this one is over.
    Detached,
}

/// What is kept of a request until its parts have come.
#[derive(Debug)]
struct Kept {
    address: RequestAddress,
    is_push: bool,
    trace: Option<Bytes>,
}

/// The acceptor's end of a channel. See the module's page.
#[derive(Debug)]
pub struct CalleeLink {
    limits: CalleeLimits,
    stage: Stage,
    framer: Framer,
    partials: Reassembly<Kept>,
    trace: Option<Bytes>,
    frames: FrameReader,
    names: NamesIn,
    out: OutBuffer,
    session: Option<Session>,
    acks: Acks,
    /// Where in the out-buffer's stream the last acknowledgement ends.
    ack_end: u64,
    retained: Retained,
    packages_seen: u64,
    requests_seen: u64,
    refused: u64,
}

impl CalleeLink {
    /// The state of a connection that was just accepted.
    pub fn new(limits: CalleeLimits) -> Self {
        let reassembly = ReassemblyLimits {
            bytes_max: limits.reassembly_bytes_max,
            messages_max: limits.partial_messages_max,
        };
        Self {
            limits,
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

    /// Takes what was read from the socket. Poll until there is no event before reading more, so that
    /// chunks do not heap up.
    #[inline]
    pub fn receive(&mut self, chunk: Bytes) {
        match self.stage {
            Stage::Skynet | Stage::HelloPending(_) => self.framer.push(chunk),
            Stage::Native => self.frames.push(chunk),
            Stage::Detached => {}
        }
    }

    /// Where the next bytes may be read to without a chunk, and how many: see [`FrameReader::room`].
    pub fn room(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        match self.stage {
            Stage::Native => self.frames.room(),
            Stage::Skynet | Stage::HelloPending(_) | Stage::Detached => None,
        }
    }

    /// What came next; None when more has to be received first, and while a hello awaits its answer.
    ///
    /// # Errors
    /// [`ProtocolError`] for what no peer sends; the connection is to be closed then, though the answer to
    /// a malformed hello, which says what is wrong with it, may be transmitted before.
    #[inline]
    pub fn poll_inbound(&mut self) -> Result<Option<Inbound>, ProtocolError> {
        match self.stage {
            Stage::Skynet => self.poll_skynet(),
            Stage::Native => self.poll_native(),
            Stage::HelloPending(_) | Stage::Detached => Ok(None),
        }
    }

    /// Answers a hello with this end's own; both ends speak the native dialect from there on, in the lower
    /// of the two versions. If both want so, a session begins, whose secret is the nonce of `hello`: also
    /// when the caller's hello names another one, which is then over for it. Without a hello that awaits an answer this does nothing.
    ///
    /// # Errors
    /// [`HelloError`] for a hello that no peer would take; the peer's still awaits its answer then.
    pub fn accept_hello(&mut self, hello: &Hello) -> Result<(), HelloError> {
        let Stage::HelloPending(pending) = self.stage else {
            return Ok(());
        };
        let answer = Hello {
            version: hello.version.min(pending.version),
            resume: self.begin_session(&pending, hello),
            ..hello.clone()
        };
        let payload = answer.pack()?;
        encode_ok_response(&mut self.out, pending.session, &payload)
            .map_err(|_| HelloError::Length { bytes: payload.len() })?;
        self.frames = FrameReader::starting_with(self.framer.take_chunks());
        self.stage = Stage::Native;
        Ok(())
    }

    /// Answers a hello as a Skynet node does; both ends speak the skynet dialect from there on. Without a
    /// hello that awaits an answer this does nothing.
    pub fn refuse_hello(&mut self) {
        if let Stage::HelloPending(PendingHello { session, .. }) = self.stage {
            encode_error_response(&mut self.out, session, NAME_NOT_FOUND);
            self.stage = Stage::Skynet;
        }
    }

    /// What is spoken on the connection so far.
    pub fn dialect(&self) -> Dialect {
        match self.stage {
            Stage::Skynet | Stage::HelloPending(_) => Dialect::Skynet,
            Stage::Native | Stage::Detached => Dialect::Native,
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

    /// Answers a call: with its result, or with the text of the service's own error. Pushes (session 0)
    /// have no answer. A result that is longer than a message may be becomes an error that says so.
    #[inline]
    pub fn respond(&mut self, session: u32, result: Result<Bytes, &[u8]>) {
        match result {
            Ok(_) if session == 0 => {}
            Ok(payload) if payload.len() > self.limits.message_bytes_max => {
                self.respond_too_large(session, payload.len(), self.limits.message_bytes_max);
            }
            Ok(payload) => match self.stage {
                Stage::Native | Stage::Detached => self.answer_native(session, &payload),
                Stage::Skynet | Stage::HelloPending(_) => self.answer_skynet(session, &payload),
            },
            Err(text) => self.respond_error(session, ErrorCode::Remote, text),
        }
    }

    /// Answers a call with an error. The skynet dialect carries its text only. Pushes (session 0) have no
    /// answer.
    pub fn respond_error(&mut self, session: u32, code: ErrorCode, text: &[u8]) {
        match self.stage {
            _ if session == 0 => {}
            Stage::Native | Stage::Detached => {
                let (header, text) = error_frame(session, code, text);
                self.put_answer(header, &text);
            }
            Stage::Skynet | Stage::HelloPending(_) => encode_error_response(&mut self.out, session, text),
        }
    }

    fn respond_too_large(&mut self, session: u32, bytes: usize, limit: usize) {
        let text = format!("too-large: response of {bytes} bytes, limit {limit}");
        self.respond_error(session, ErrorCode::TooLarge, text.as_bytes());
    }

    /// Tells the peer that this connection will be closed, so that it begins nothing new on it. The skynet
    /// dialect cannot say so.
    pub fn goodbye(&mut self) {
        if self.stage == Stage::Native {
            put_frame(&mut self.out, Header::new(FrameKind::Goodbye), &Bytes::new());
        }
    }

    /// Tells the peer that this end lives, though it does not read: a pong that answers no ping. For whoever
    /// does not read for longer than the interval of a heartbeat. The skynet dialect cannot say so.
    pub fn send_heartbeat(&mut self) {
        if self.stage == Stage::Native {
            put_pong(&mut self.out, 0);
        }
    }

    /// Fills `slices` with what is to be written next; returns how many were filled.
    #[inline]
    pub fn transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.out.slices(slices)
    }

    /// The socket has taken `count` bytes of what [`CalleeLink::transmit`] showed.
    ///
    /// # Panics
    /// When that is more than waited.
    #[inline]
    pub fn transmitted(&mut self, count: usize) {
        self.out.advance(count);
        if self.out.position_transmitted() >= self.ack_end {
            self.acks.written();
        }
    }

    /// Whether answers wait for the socket.
    #[inline]
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Bytes of answers that wait for the socket.
    pub fn out_buffer_bytes(&self) -> usize {
        self.out.len()
    }

    /// Whether so many answers wait that reading should stop until some were written.
    pub fn is_output_full(&self) -> bool {
        self.out.len() >= self.limits.out_buffer_bytes_max
    }

    /// Bytes of memory that input, unfinished messages and answers hold, room kept for more included.
    pub fn held_bytes(&self) -> usize {
        let partials = self.partials.held_bytes() + self.partials.list_bytes();
        let kept = self.partials.len() * KEPT_BYTES_MAX;
        let input = self.framer.held_bytes() + self.frames.held_bytes() + self.names.held_bytes();
        input + partials + kept + self.out.held_bytes() + self.retained.held_bytes()
    }

    /// Copies the input that no event has come of yet, so that it does not keep the chunks that it came
    /// in. For a pause between two polls.
    pub fn own_input(&mut self) {
        self.framer.own_chunks();
        self.frames.own_chunks();
    }

    /// Gives back memory that is kept for the next burst. For a connection that is idle.
    pub fn release_memory(&mut self) {
        self.out.release();
        self.retained.release();
        self.partials.release();
    }

    /// Whether bytes of an unfinished package, frame or message are held, or the rest of a refused one is
    /// awaited.
    pub fn has_partial_input(&self) -> bool {
        self.framer.has_partial() || !self.partials.is_empty() || self.frames.has_partial()
    }

    /// How many whole packages and frames have come.
    pub fn packages_seen(&self) -> u64 {
        self.packages_seen
    }

    /// How many requests and pushes have come to their end, refused ones included.
    pub fn requests_seen(&self) -> u64 {
        self.requests_seen
    }

    /// How many requests and pushes were refused: too large, or parts that did not add up.
    pub fn requests_refused(&self) -> u64 {
        self.refused
    }
}
