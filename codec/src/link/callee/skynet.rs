//! The skynet dialect at the acceptor's end.

use bytes::Bytes;

use super::{CalleeLink, INVALID_PARTS, Inbound, Kept, PendingHello, Request, Stage};
use crate::limits::TRACE_KEPT_BYTES_MAX;
use crate::link::reassembly::Appended;
use crate::link::{Access, ProtocolError};
use crate::native::{ErrorCode, Hello, ReadHello};
use crate::skynet::{
    RequestAddress, RequestFrame, decode_request, encode_error_response, encode_ok_response,
};

impl CalleeLink {
    /// The next input from received packages.
    #[inline]
    pub(super) fn poll_skynet(&mut self) -> Result<Option<Inbound>, ProtocolError> {
        self.refuse_tls()?;
        while let Some(package) = self.framer.next_package() {
            self.packages_seen += 1;
            let request = match decode_request(package)? {
                RequestFrame::Small {
                    address: RequestAddress::Handle(0),
                    session,
                    payload,
                } if self.packages_seen == 1 && session != 0 && Hello::is_hello(&payload) => {
                    self.requests_seen += 1;
                    if let Some(hello) = self.hello(session, &payload)? {
                        return Ok(Some(hello));
                    }
                    None
                }
                RequestFrame::Small {
                    address,
                    session,
                    payload,
                } => {
                    let trace = self.trace.take();
                    self.requests_seen += 1;
                    let limit = self.limits.message_bytes_max;
                    if payload.len() <= limit {
                        // The hot path: the request is not passed through another type.
                        return Ok(Some(Inbound::Request(Request {
                            address,
                            session,
                            payload,
                            trace,
                            source: 0,
                            shard: 0,
                            remaining_ms: None,
                        })));
                    }
                    self.refuse_too_large(session, payload.len(), limit);
                    None
                }
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
            if let Some(request) = request {
                return Ok(Some(Inbound::Request(request)));
            }
        }
        Ok(None)
    }

    /// Takes a hello. None for one that is answered already: its caller goes on in the skynet dialect.
    pub(super) fn hello(&mut self, session: u32, payload: &[u8]) -> Result<Option<Inbound>, ProtocolError> {
        match Hello::read(payload) {
            Ok(ReadHello { hello, hash, proof }) => {
                let proved = self.check_offer(session, &hello, hash, proof)?;
                self.stage = Stage::HelloPending(PendingHello::new(session, &hello, proved));
                if self.access.as_ref().is_some_and(Access::needs_proof) && proved.is_none() {
                    self.refuse_hello();
                    return Ok(None);
                }
                Ok(Some(Inbound::Hello(hello)))
            }
            Err(error) => {
                let text = format!("invalid: {error}");
                encode_error_response(&mut self.out, session, text.as_bytes());
                Err(error.into())
            }
        }
    }

    /// Answers a call with its result.
    #[inline]
    pub(super) fn answer_skynet(&mut self, session: u32, payload: &Bytes) {
        if encode_ok_response(&mut self.out, session, payload).is_err() {
            self.respond_too_large(session, payload.len(), u32::MAX as usize);
        }
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
                    source: 0,
                    shard: 0,
                    remaining_ms: None,
                });
            }
            Appended::LengthMismatch { kept, .. } => {
                self.refuse(
                    if kept.is_push { 0 } else { session },
                    ErrorCode::Invalid,
                    INVALID_PARTS,
                );
            }
            Appended::OverLimit { kept, declared } => {
                let session = if kept.is_push { 0 } else { session };
                self.refuse_too_large(session, declared as usize, self.limits.reassembly_bytes_max);
            }
            // Parts without a head are answered at the last one, so that there is one answer.
            Appended::Unknown if is_last => self.refuse(session, ErrorCode::Invalid, INVALID_PARTS),
            Appended::Unknown | Appended::Pending => {}
        }
        None
    }
}
