//! The acceptor's end of one TCP connection: requests out, answers in.
//!
//! Invariants:
//! - a request comes out once, whole, in the order in which its last byte came;
//! - every call that does not come out (too large, parts that do not add up) is answered here with an
//!   error text; a push never is;
//! - what is held of unfinished messages stays within [`CalleeLimits`], whatever a peer declares;
//! - what is kept from one chunk to the next is a copy, so that it does not keep the chunk, and is
//!   counted by [`CalleeLink::held_bytes`].

use std::io::IoSlice;

use bytes::Bytes;

use super::reassembly::{Appended, Reassembly, ReassemblyLimits};
use super::{
    MESSAGE_BYTES_MAX, OUT_BUFFER_BYTES_MAX, PARTIAL_MESSAGES_MAX, ProtocolError, REASSEMBLY_BYTES_MAX,
};
use crate::outbuffer::OutBuffer;
use crate::skynet::{
    Framer, NAME_BYTES_MAX, RequestAddress, RequestFrame, decode_request, encode_error_response,
    encode_ok_response,
};

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
}

impl Default for CalleeLimits {
    fn default() -> Self {
        Self {
            message_bytes_max: MESSAGE_BYTES_MAX,
            reassembly_bytes_max: REASSEMBLY_BYTES_MAX,
            partial_messages_max: PARTIAL_MESSAGES_MAX,
            out_buffer_bytes_max: OUT_BUFFER_BYTES_MAX,
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
}

/// What is kept of a request until its parts have come.
#[derive(Debug)]
struct Kept {
    address: RequestAddress,
    is_push: bool,
    trace: Option<Bytes>,
}

/// The acceptor's end of one TCP connection. See the module's page.
#[derive(Debug)]
pub struct CalleeLink {
    limits: CalleeLimits,
    framer: Framer,
    partials: Reassembly<Kept>,
    trace: Option<Bytes>,
    out: OutBuffer,
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
            framer: Framer::new(),
            partials: Reassembly::new(reassembly),
            trace: None,
            out: OutBuffer::new(),
            packages_seen: 0,
            requests_seen: 0,
            refused: 0,
        }
    }

    /// Takes what was read from the socket. Poll until there is no event before reading more, so that
    /// chunks do not heap up.
    #[inline]
    pub fn receive(&mut self, chunk: Bytes) {
        self.framer.push(chunk);
    }

    /// The next request; None when more has to be received first.
    ///
    /// # Errors
    /// [`ProtocolError`] for what no Skynet node sends; the connection is to be closed then.
    #[inline]
    pub fn poll_event(&mut self) -> Result<Option<Request>, ProtocolError> {
        while let Some(package) = self.framer.next_package() {
            self.packages_seen += 1;
            let request = match decode_request(package)? {
                RequestFrame::Small {
                    address,
                    session,
                    payload,
                } => self.small(address, session, payload),
                RequestFrame::Head {
                    address,
                    session,
                    total,
                    is_push,
                } => {
                    self.head(address, session, total, is_push)?;
                    None
                }
                RequestFrame::Part {
                    session,
                    payload,
                    is_last,
                } => self.part(session, &payload, is_last),
                RequestFrame::Trace { tag } => {
                    self.trace = (tag.len() <= TRACE_KEPT_BYTES_MAX).then(|| Bytes::copy_from_slice(&tag));
                    None
                }
            };
            if request.is_some() {
                return Ok(request);
            }
        }
        Ok(None)
    }

    #[inline]
    fn small(&mut self, address: RequestAddress, session: u32, payload: Bytes) -> Option<Request> {
        let trace = self.trace.take();
        self.requests_seen += 1;
        if payload.len() > self.limits.message_bytes_max {
            self.refuse_too_large(session, payload.len(), self.limits.message_bytes_max);
            return None;
        }
        Some(Request {
            address,
            session,
            payload,
            trace,
        })
    }

    fn head(
        &mut self,
        address: RequestAddress,
        session: u32,
        total: u32,
        is_push: bool,
    ) -> Result<(), ProtocolError> {
        let trace = self.trace.take();
        let limit = self
            .limits
            .message_bytes_max
            .min(self.limits.reassembly_bytes_max);
        if total as usize <= limit {
            let address = match address {
                RequestAddress::Name(name) => RequestAddress::Name(Bytes::copy_from_slice(&name)),
                handle => handle,
            };
            return self.partials.begin(
                session,
                total,
                Some(Kept {
                    address,
                    is_push,
                    trace,
                }),
            );
        }
        self.partials.begin(session, total, None)?;
        self.refuse_too_large(if is_push { 0 } else { session }, total as usize, limit);
        Ok(())
    }

    fn part(&mut self, session: u32, part: &[u8], is_last: bool) -> Option<Request> {
        let appended = self.partials.append(session, part, is_last);
        if is_last {
            self.requests_seen += 1;
        }
        match appended {
            Appended::Complete(
                Kept {
                    address,
                    is_push,
                    trace,
                },
                payload,
            ) => {
                let session = if is_push { 0 } else { session };
                return Some(Request {
                    address,
                    session,
                    payload,
                    trace,
                });
            }
            Appended::LengthMismatch { kept, .. } => {
                self.refuse(if kept.is_push { 0 } else { session }, INVALID_PARTS);
            }
            Appended::OverLimit { kept, declared } => {
                let session = if kept.is_push { 0 } else { session };
                self.refuse_too_large(session, declared as usize, self.limits.reassembly_bytes_max);
            }
            // Only the last part of a message nobody began is answered, so that it is answered once.
            Appended::Unknown if is_last => self.refuse(session, INVALID_PARTS),
            Appended::Unknown | Appended::Pending => {}
        }
        None
    }

    fn refuse_too_large(&mut self, session: u32, bytes: usize, limit: usize) {
        let text = format!("too-large: request of {bytes} bytes, limit {limit}");
        self.refuse(session, text.as_bytes());
    }

    fn refuse(&mut self, session: u32, text: &[u8]) {
        self.refused += 1;
        self.respond(session, Err(text));
    }

    /// Answers a call: with its result, or with the text of an error. Pushes (session 0) have no
    /// answer. A result that is longer than a message may be becomes an error text that says so.
    #[inline]
    pub fn respond(&mut self, session: u32, result: Result<Bytes, &[u8]>) {
        if session == 0 {
            return;
        }
        match result {
            Ok(payload) if payload.len() <= self.limits.message_bytes_max => {
                if encode_ok_response(&mut self.out, session, &payload).is_err() {
                    self.respond_too_large(session, payload.len(), u32::MAX as usize);
                }
            }
            Ok(payload) => {
                self.respond_too_large(session, payload.len(), self.limits.message_bytes_max);
            }
            Err(text) => encode_error_response(&mut self.out, session, text),
        }
    }

    fn respond_too_large(&mut self, session: u32, bytes: usize, limit: usize) {
        let text = format!("too-large: response of {bytes} bytes, limit {limit}");
        encode_error_response(&mut self.out, session, text.as_bytes());
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
        self.framer.held_bytes() + partials + kept + self.out.held_bytes()
    }

    /// Copies the input that no event has come of yet, so that it does not keep the chunks that it came
    /// in. For a pause between two polls.
    pub fn own_input(&mut self) {
        self.framer.own_chunks();
    }

    /// Gives back memory that is kept for the next burst. For a connection that is idle.
    pub fn release_memory(&mut self) {
        self.out.release();
        self.partials.release();
    }

    /// Whether bytes of an unfinished package or message are held.
    pub fn has_partial_input(&self) -> bool {
        self.framer.has_partial() || !self.partials.is_empty()
    }

    /// How many whole packages have come.
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
