//! Websockets, RFC 6455, as a server: the handshake, and messages as packets. Frames, masks, fragments, pings and closing
//! are `tungstenite`'s, which reads from and writes to memory here.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use tungstenite::Message;
use tungstenite::error::{CapacityError, Error, ProtocolError};
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, FrameHeader};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

use super::framing::{Body, FramingError, Header, Incoming, Packet, is_client_hello};

/// Most bytes of the request that opens a websocket.
const REQUEST_BYTES_MAX: usize = 8 << 10;

/// Memory that each client has for what it sends; more is taken for a longer message while it arrives.
const BUFFER_BYTES: usize = 512;

/// The reason that `tungstenite` puts in place of a close with a code that may not be sent, with the code 1002.
const WRONG_CLOSE: &str = "Protocol violation";

/// The websocket of one client.
#[derive(Debug)]
pub(super) struct WebSocket {
    path: Arc<str>,
    message_bytes_max: usize,
    incoming: Incoming,
    /// `None` before the handshake.
    context: Option<WebSocketContext>,
    /// The client has closed it with a code that a client may not send.
    is_close_wrong: bool,
    /// The header of its request, until somebody takes it.
    traceparent: Option<Box<str>>,
}

/// A stream in memory.
struct Memory<'a> {
    input: &'a mut Incoming,
    output: &'a mut Vec<u8>,
}

impl Read for Memory<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.input.bytes().len());
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer[..count].copy_from_slice(self.input.take(count));
        Ok(count)
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl WebSocket {
    pub(super) fn new(path: &Arc<str>, message_bytes_max: usize) -> WebSocket {
        WebSocket {
            path: Arc::clone(path),
            message_bytes_max,
            incoming: Incoming::default(),
            context: None,
            is_close_wrong: false,
            traceparent: None,
        }
    }

    pub(super) fn feed(&mut self, bytes: Bytes) {
        self.incoming.feed(bytes);
    }

    /// Takes the header `traceparent` of the request that opened it.
    pub(super) fn take_traceparent(&mut self) -> Option<Box<str>> {
        self.traceparent.take()
    }

    pub(super) fn is_open(&self) -> bool {
        self.context.as_ref().is_some_and(WebSocketContext::can_write)
    }

    pub(super) fn next(&mut self, output: &mut Vec<u8>) -> Result<Option<Packet<'_>>, FramingError> {
        if self.context.is_none() && !self.shake_hands(output)? {
            return Ok(None);
        }
        let Some(context) = &mut self.context else {
            return Ok(None);
        };
        let mut memory = Memory {
            input: &mut self.incoming,
            output,
        };
        loop {
            return match context.read(&mut memory) {
                Ok(Message::Binary(body)) => Ok(Some(Packet {
                    body: Body::Assembled(body),
                    is_text: false,
                })),
                Ok(Message::Text(text)) => Ok(Some(Packet {
                    body: Body::Assembled(text.into()),
                    is_text: true,
                })),
                // Pings and closes were answered by this.
                Ok(Message::Close(Some(close))) => {
                    self.is_close_wrong = close.code == CloseCode::Protocol && close.reason == WRONG_CLOSE;
                    continue;
                }
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(None) | Message::Frame(_)) => {
                    continue;
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.incoming.forget_taken();
                    Ok(None)
                }
                Err(Error::ConnectionClosed | Error::AlreadyClosed) if self.is_close_wrong => Err(
                    FramingError::Malformed("a close with a code that may not be sent".to_owned()),
                ),
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => Err(FramingError::Goodbye),
                Err(error) => Err(fail(context, &mut memory, &error, self.message_bytes_max)),
            };
        }
    }

    /// Answers the request that opens the websocket; false when it is not complete.
    fn shake_hands(&mut self, output: &mut Vec<u8>) -> Result<bool, FramingError> {
        self.incoming.forget_taken();
        let parsed = Request::try_parse(self.incoming.bytes());
        let refuse = |output: &mut Vec<u8>, status: &str, cause: String| {
            let text = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            output.extend_from_slice(text.as_bytes());
            FramingError::Malformed(format!("the handshake of a websocket: {cause}"))
        };
        let (bytes, request) = match parsed {
            Ok(Some(parsed)) => parsed,
            Ok(None) if self.incoming.bytes().len() > REQUEST_BYTES_MAX => {
                let cause = format!("a request of more than {REQUEST_BYTES_MAX} bytes");
                return Err(refuse(output, "431 Request Header Fields Too Large", cause));
            }
            Ok(None) => return Ok(false),
            Err(_) if is_client_hello(self.incoming.bytes()) => return Err(FramingError::Tls),
            Err(error) => return Err(refuse(output, "400 Bad Request", error.to_string())),
        };
        if request.uri().path() != &*self.path {
            let cause = format!("the path is not {}", self.path);
            return Err(refuse(output, "404 Not Found", cause));
        }
        let response = match create_response(&request) {
            Ok(response) => response,
            Err(Error::Protocol(error @ ProtocolError::MissingSecWebSocketVersionHeader)) => {
                let status = "426 Upgrade Required\r\nSec-WebSocket-Version: 13";
                return Err(refuse(output, status, error.to_string()));
            }
            Err(error) => return Err(refuse(output, "400 Bad Request", error.to_string())),
        };
        write_response(&mut *output, &response)
            .map_err(|error| FramingError::Malformed(error.to_string()))?;
        let mut headers = request.headers().get_all("traceparent").iter();
        // One that stands there twice is invalid.
        if let (Some(only), None) = (headers.next(), headers.next()) {
            self.traceparent = only.to_str().ok().map(Box::from);
        }
        let _ = self.incoming.take(bytes);
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(self.message_bytes_max))
            .max_frame_size(Some(self.message_bytes_max));
        self.context = Some(WebSocketContext::new(Role::Server, Some(config)));
        Ok(true)
    }
}

/// Says to the client why it is closed.
fn fail(
    context: &mut WebSocketContext,
    memory: &mut Memory<'_>,
    error: &Error,
    message_bytes_max: usize,
) -> FramingError {
    let (code, cause) = match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            (CloseCode::Size, FramingError::TooLarge(message_bytes_max))
        }
        Error::Utf8(_) => (CloseCode::Invalid, FramingError::Malformed(error.to_string())),
        _ => (CloseCode::Protocol, FramingError::Malformed(error.to_string())),
    };
    // A websocket that is closing already says nothing more.
    let _ = context.close(
        memory,
        Some(CloseFrame {
            code,
            reason: "".into(),
        }),
    );
    cause
}

/// Writes what a message begins with: a text where that is asked for and the bytes are one.
pub(super) fn write_header(header: &mut Header, body: &[u8], is_text: bool) {
    let is_text = is_text && std::str::from_utf8(body).is_ok();
    let frame = FrameHeader {
        opcode: OpCode::Data(if is_text { Data::Text } else { Data::Binary }),
        ..FrameHeader::default()
    };
    // There is room for the longest header.
    let _ = frame.format(body.len() as u64, header);
}

impl Write for Header {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.append(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
