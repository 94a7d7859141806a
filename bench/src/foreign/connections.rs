//! The connections of one shard to a target, on the engine's own sockets.
//!
//! Answers come in the order of the requests, so the first whole answer of a connection belongs to its oldest call. A
//! connection that has ended is opened again by its next call.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use rustc_hash::FxHashMap;
use skyring::{SocketEvent, SocketId, SocketNews, Sockets};

use super::target::Target;

/// The codes by which calls that the target did not answer are counted.
const UNREACHABLE: &str = "unreachable";
const CONNECTION_LOST: &str = "connection-lost";
const PROTOCOL: &str = "protocol";
const OVERLOADED: &str = "overloaded";

/// All connections of a shard.
pub(crate) struct Connections {
    target: Target,
    sockets: Sockets,
    connections: Vec<Connection>,
    /// The connection of each open socket.
    by_socket: RefCell<FxHashMap<SocketId, usize>>,
}

#[derive(Default)]
struct Connection {
    socket: Cell<Option<SocketId>>,
    is_open: Cell<bool>,
    /// The calls without an answer, the oldest first.
    calls: RefCell<VecDeque<Rc<Exchange>>>,
    /// The beginning of an answer.
    received: RefCell<Vec<u8>>,
}

/// A call that waits for its answer.
#[derive(Default)]
struct Exchange {
    result: Cell<Option<Result<(), &'static str>>>,
    waker: Cell<Option<Waker>>,
}

impl Exchange {
    fn end(&self, result: Result<(), &'static str>) {
        self.result.set(Some(result));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        match self.result.get() {
            Some(result) => Poll::Ready(result),
            None => {
                self.waker.set(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Connections {
    /// So many connections, none of them open yet.
    pub(crate) fn new(target: Target, sockets: Sockets, count: usize) -> Connections {
        Connections {
            target,
            sockets,
            connections: (0..count.max(1)).map(|_| Connection::default()).collect(),
            by_socket: RefCell::default(),
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.connections.len()
    }

    /// Makes one call on a connection. An error is the code by which it is counted.
    pub(crate) async fn call(&self, number: usize) -> Result<(), &'static str> {
        let Some(connection) = self.connections.get(number) else {
            return Err(UNREACHABLE);
        };
        let socket = match connection.socket.get() {
            Some(socket) => socket,
            None => self.connect(connection, number)?,
        };
        if self.sockets.write(socket, self.target.request().clone()).is_err() {
            self.close(connection, OVERLOADED);
            return Err(OVERLOADED);
        }
        let exchange = Rc::new(Exchange::default());
        connection.calls.borrow_mut().push_back(Rc::clone(&exchange));
        poll_fn(|context| exchange.poll(context)).await
    }

    fn connect(&self, connection: &Connection, number: usize) -> Result<SocketId, &'static str> {
        let url = self.target.url();
        let socket = self
            .sockets
            .connect(&url.host, url.port)
            .map_err(|_| OVERLOADED)?;
        connection.socket.set(Some(socket));
        self.by_socket.borrow_mut().insert(socket, number);
        Ok(socket)
    }

    /// Closes a connection, and ends its calls with an error.
    fn close(&self, connection: &Connection, code: &'static str) {
        if let Some(socket) = connection.socket.take() {
            self.by_socket.borrow_mut().remove(&socket);
            // Closing is never refused.
            let _ = self.sockets.shutdown(socket);
        }
        connection.is_open.set(false);
        connection.received.borrow_mut().clear();
        let calls = connection.calls.take();
        for call in calls {
            call.end(Err(code));
        }
    }

    /// Handles an event of one of the sockets.
    pub(crate) fn event(&self, event: SocketEvent) {
        // Events of a socket that was closed here are late.
        let number = self.by_socket.borrow().get(&event.socket).copied();
        let Some(connection) = number.and_then(|number| self.connections.get(number)) else {
            return;
        };
        match event.news {
            SocketNews::Opened { .. } => connection.is_open.set(true),
            SocketNews::Data(bytes) => self.receive(connection, &bytes),
            SocketNews::Closed => self.close(connection, CONNECTION_LOST),
            SocketNews::Failed { .. } => {
                let was_open = connection.is_open.get();
                self.close(connection, if was_open { CONNECTION_LOST } else { UNREACHABLE });
            }
            SocketNews::Accepted { .. } | SocketNews::Datagram { .. } | SocketNews::Warning { .. } => {}
        }
    }

    fn receive(&self, connection: &Connection, bytes: &[u8]) {
        let mut received = connection.received.take();
        // Most of the time nothing is left over, and nothing is copied.
        let mut left = if received.is_empty() {
            bytes
        } else {
            received.extend_from_slice(bytes);
            &received[..]
        };
        let mut end = None;
        while !left.is_empty() {
            let answer = match self.target.protocol().answer(left) {
                Ok(Some(answer)) => answer,
                Ok(None) => break,
                Err(_) => {
                    end = Some(PROTOCOL);
                    break;
                }
            };
            let Some(call) = connection.calls.borrow_mut().pop_front() else {
                // An answer to no request.
                end = Some(PROTOCOL);
                break;
            };
            call.end(answer.error.map_or(Ok(()), Err));
            left = left.get(answer.bytes..).unwrap_or_default();
            if answer.closes {
                end = Some(CONNECTION_LOST);
                break;
            }
        }
        if let Some(code) = end {
            self.close(connection, code);
        } else if !left.is_empty() {
            let left = left.to_vec();
            connection.received.replace(left);
        }
    }
}
