//! A debug console: commands about the services of a node, for `nc HOST PORT` and for HTTP, also on a node without Lua.
//!
//! A config starts it with its address: `services = { console = "debug_console 127.0.0.1 8000" }`; with a port alone the
//! address is 127.0.0.1. Whoever reaches the port controls the node.
//!
//! The commands are those of Skynet's console that have a meaning for native services; the others say that they need the
//! console in Lua, which is the service file `debug_console`.
//!
//! Invariants: a client's commands run one after the other, and its connection is not read meanwhile; what a client
//! sends is held up to [`LINE_BYTES_MAX`]. A client that does not read its output gets no further command run.

mod commands;
mod literals;
mod request;

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use skyring::{Answer, Context, Error, Message, Service, SocketEvent, SocketId, SocketNews};

use request::Parsed;

/// Most clients at a time.
pub const CONSOLE_CLIENTS_MAX: usize = 64;

/// Most bytes of a line, and of the head and body of a request.
pub const LINE_BYTES_MAX: usize = 64 * 1_024;

/// How long a client may be silent before it is greeted: a client of HTTP speaks first.
const GREETING_DELAY: Duration = Duration::from_millis(100);

/// Connections that the kernel queues until they are accepted.
const BACKLOG: u32 = 64;

#[derive(Default)]
struct Client {
    /// Received bytes that are not handled yet.
    incoming: BytesMut,
    is_greeted: bool,
    /// A command runs, and the connection is paused.
    is_busy: bool,
    /// It has sent its first line, so it does not speak HTTP.
    speaks_lines: bool,
    /// It sends no more.
    has_ended: bool,
    /// It reads its output too slowly: no command runs until it has read it all.
    is_full: bool,
}

/// A debug console: see the module documentation.
pub struct DebugConsole {
    host: String,
    port: u16,
    listener: Option<SocketId>,
    clients: HashMap<SocketId, Client>,
}

impl DebugConsole {
    /// A console that listens on this address. With port 0 it takes a free port; the log says which.
    pub fn new(host: &str, port: u16) -> DebugConsole {
        DebugConsole {
            host: host.to_owned(),
            port,
            listener: None,
            clients: HashMap::new(),
        }
    }

    /// Parses the arguments in a config: an address, which may be missing, and a port.
    pub(crate) fn from_arguments(arguments: &str) -> Result<DebugConsole, Error> {
        let invalid = |cause: &str| Error::invalid(format!("debug_console expects [ADDRESS] PORT: {cause}"));
        let tokens: Vec<&str> = arguments.split_whitespace().collect();
        let (host, port) = match tokens[..] {
            [port] => ("127.0.0.1", port),
            [host, port] => (host, port),
            [] => return Err(invalid("the port is missing")),
            [..] => return Err(invalid("it has more than two arguments")),
        };
        let port = port
            .parse()
            .map_err(|_| invalid(&format!("\"{port}\" is not a port")))?;
        Ok(DebugConsole::new(host, port))
    }

    fn accept(&mut self, context: &Context<Self>, id: SocketId, peer: &str) {
        if self.clients.len() >= CONSOLE_CLIENTS_MAX {
            context.log(format!(
                "{peer} is turned away: the console has {CONSOLE_CLIENTS_MAX} clients"
            ));
            let _ = context.sockets().shutdown(id);
            return;
        }
        context.log(format!("{peer} connected"));
        self.clients.insert(id, Client::default());
        let _ = context.sockets().start(id);
        let later = context.clone();
        context.spawn(async move {
            later.sleep(GREETING_DELAY).await;
            later.update(|console| console.greet(&later, id));
        });
    }

    fn greet(&mut self, context: &Context<Self>, id: SocketId) {
        if let Some(client) = self.clients.get_mut(&id)
            && !std::mem::replace(&mut client.is_greeted, true)
        {
            // A client that has disconnected is removed by its event.
            let _ = context
                .sockets()
                .write(id, Bytes::from_static(b"Welcome to skynet console\n"));
        }
    }

    fn close(&mut self, context: &Context<Self>, id: SocketId) {
        if self.clients.remove(&id).is_some() {
            let _ = context.sockets().close(id);
        }
    }

    /// Handles what a client has sent, up to the next command, which runs as a task.
    fn proceed(&mut self, context: &Context<Self>, id: SocketId) {
        loop {
            let can_run = |client: &&mut Client| !client.is_busy && !client.is_full;
            let Some(client) = self.clients.get_mut(&id).filter(can_run) else {
                return;
            };
            if !client.speaks_lines && request::begins(&client.incoming) {
                return self.proceed_request(context, id);
            }
            let Some(end) = client.incoming.iter().position(|byte| *byte == b'\n') else {
                let is_too_long = client.incoming.len() > LINE_BYTES_MAX;
                if is_too_long {
                    context.log(format!(
                        "a client is disconnected: its line is longer than {LINE_BYTES_MAX} bytes"
                    ));
                }
                if is_too_long || client.has_ended {
                    self.close(context, id);
                }
                return;
            };
            let line = String::from_utf8_lossy(&client.incoming[..end]).trim().to_owned();
            client.incoming.advance(end + 1);
            client.speaks_lines = true;
            self.greet(context, id);
            if !line.is_empty() {
                self.run(context, id, line, false);
            }
        }
    }

    /// Handles a request of HTTP, if it is complete.
    fn proceed_request(&mut self, context: &Context<Self>, id: SocketId) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        match request::parse(&client.incoming, LINE_BYTES_MAX) {
            Parsed::Command(command) => {
                client.is_greeted = true;
                self.run(context, id, command, true);
            }
            Parsed::Invalid(status) => {
                let _ = context
                    .sockets()
                    .write(id, request::response(status, status).into());
                self.close(context, id);
            }
            Parsed::Incomplete if client.has_ended => self.close(context, id),
            Parsed::Incomplete => {}
        }
    }

    /// Runs a command and writes its output. `is_request`: as the response to a request of HTTP, the last one.
    fn run(&mut self, context: &Context<Self>, id: SocketId, line: String, is_request: bool) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.is_busy = true;
        let _ = context.sockets().pause(id);
        let later = context.clone();
        context.spawn(async move {
            let output = match commands::run(&later, &line).await {
                Ok(text) => format!("{text}<CMD OK>\n"),
                Err(text) => format!("{text}\n<CMD Error>\n"),
            };
            let output = if is_request {
                request::response("200 OK", &output)
            } else {
                output
            };
            let _ = later.sockets().write(id, output.into());
            later.update(|console| console.finish(&later, id, is_request));
        });
    }

    /// Goes on after a command.
    fn finish(&mut self, context: &Context<Self>, id: SocketId, is_last: bool) {
        if is_last {
            return self.close(context, id);
        }
        if let Some(client) = self.clients.get_mut(&id) {
            client.is_busy = false;
            if !client.has_ended && !client.is_full {
                let _ = context.sockets().start(id);
            }
            self.proceed(context, id);
        }
    }

    /// Waits for a client that reads its output too slowly, and goes on when it has read all.
    fn set_full(&mut self, context: &Context<Self>, id: SocketId, is_full: bool) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.is_full = is_full;
        if is_full {
            let _ = context.sockets().pause(id);
        } else if !client.is_busy {
            if !client.has_ended {
                let _ = context.sockets().start(id);
            }
            self.proceed(context, id);
        }
    }
}

impl Service for DebugConsole {
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        let listener = context.sockets().listen(&self.host, self.port, BACKLOG)?;
        self.listener = Some(listener);
        context.sockets().start(listener)
    }

    fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
        Answer::error(Error::remote("the console takes commands on its port only"))
    }

    fn socket(&mut self, context: &Context<Self>, event: SocketEvent) {
        let id = event.socket;
        match event.news {
            SocketNews::Accepted { socket, peer } => self.accept(context, socket, &peer.to_string()),
            SocketNews::Data(bytes) => {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.incoming.extend_from_slice(&bytes);
                    self.proceed(context, id);
                }
            }
            SocketNews::Closed => {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.has_ended = true;
                    self.proceed(context, id);
                }
            }
            SocketNews::Failed { cause } if Some(id) == self.listener => {
                context.log(format!("the console cannot listen or accept a client: {cause}"));
            }
            SocketNews::Failed { .. } => self.close(context, id),
            SocketNews::Opened { address, port } if Some(id) == self.listener && port != 0 => {
                context.log(format!("Start debug console at {address}:{port}"));
            }
            SocketNews::Warning { waiting } => self.set_full(context, id, waiting > 0),
            SocketNews::Opened { .. } | SocketNews::Datagram { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_argument_is_an_error_that_shows_the_syntax() {
        for (arguments, part) in [
            ("", "the port is missing"),
            ("x", "\"x\" is not a port"),
            ("127.0.0.1 70000", "\"70000\" is not a port"),
            ("127.0.0.1 80 90", "more than two arguments"),
        ] {
            let error = DebugConsole::from_arguments(arguments)
                .map(|_| ())
                .expect_err(arguments)
                .to_string();
            assert!(
                error.contains(part) && error.contains("[ADDRESS] PORT"),
                "{error}"
            );
        }
        let console = DebugConsole::from_arguments("8000").expect("valid arguments");
        assert_eq!((console.host.as_str(), console.port), ("127.0.0.1", 8000));
    }
}
