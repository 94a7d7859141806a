//! The services of a process, which take the requests of its acceptors.

use bytes::Bytes;
use skyring_codec::link::{Dialect, Inbound, ProtocolError};
use skyring_codec::native::ErrorCode;
use skyring_codec::seri;
use skyring_codec::skynet::RequestAddress;

use super::clock::Event;
use super::ledger::Arrival;
use super::messages::{Answer, Command, Target};
use super::node::HANDLE;
use super::world::World;

/// A request on its way to a service.
struct Taken {
    /// The handle of its address; None for a name that is not registered.
    target: Option<u32>,
    session: u32,
    remaining_ms: Option<u32>,
    payload: Bytes,
}

impl World {
    /// Passes the requests that have arrived to their services.
    pub(super) fn serve(&mut self, id: usize) {
        match self.take_requests(id) {
            Ok(id) => self.drive_acceptor(id),
            // The other end is a link of the simulator, which sends nothing malformed.
            Err(error) => self.ledger.fail(|| format!("acceptor {id} reads {error}")),
        }
    }

    /// Takes all requests that have arrived. Returns the acceptor that has the connection then.
    fn take_requests(&mut self, mut id: usize) -> Result<usize, ProtocolError> {
        loop {
            if self.pause_if_full(id) {
                return Ok(id);
            }
            let Some(acceptor) = &mut self.acceptors[id] else {
                return Ok(id);
            };
            let node = &self.nodes[acceptor.process.node];
            // The fast path and the general one, at random.
            if self.random.chance(700)
                && let Some(request) = acceptor
                    .link
                    .next_resolved(node.names_state, |name| node.resolve(name))
            {
                let remaining = request.remaining_ms;
                let taken = Taken {
                    target: Some(request.target),
                    session: request.session,
                    remaining_ms: (remaining != 0).then_some(remaining),
                    payload: request.payload,
                };
                self.take(id, taken);
                continue;
            }
            match acceptor.link.poll_inbound()? {
                None => return Ok(id),
                Some(Inbound::Goodbye) => {}
                Some(Inbound::Hello(hello)) => id = self.answer_hello(id, &hello),
                Some(Inbound::Request(request)) => {
                    let target = match &request.address {
                        RequestAddress::Handle(0) => {
                            self.answer_query(id, request.session, &request.payload);
                            continue;
                        }
                        RequestAddress::Handle(handle) => Some(*handle),
                        RequestAddress::Name(name) => node.resolve(name),
                    };
                    let taken = Taken {
                        target,
                        session: request.session,
                        remaining_ms: request.remaining_ms,
                        payload: request.payload,
                    };
                    self.take(id, taken);
                }
            }
        }
    }

    /// Answers a query for a name, which only the heartbeat sends.
    fn answer_query(&mut self, id: usize, session: u32, payload: &[u8]) {
        if seri::unpack::<&str>(payload) != Ok("skyring.ping") {
            self.ledger
                .fail(|| format!("acceptor {id}: a query for {payload:?}"));
        }
        if let Some(acceptor) = &mut self.acceptors[id] {
            acceptor.link.respond(session, Err(b"name not found"));
        }
    }

    /// A service takes a request.
    fn take(&mut self, id: usize, taken: Taken) {
        let Some(acceptor) = &mut self.acceptors[id] else {
            return;
        };
        let (process, is_native) = (acceptor.process, acceptor.link.dialect() == Dialect::Native);
        let Taken {
            target,
            session,
            remaining_ms,
            payload,
        } = taken;
        let Some(command) = Command::unpack(&payload) else {
            let bytes = payload.len();
            let text = format!("acceptor {id}: a request of {bytes} bytes that was never sent");
            return self.ledger.fail(|| text);
        };
        let message = command.message;
        let expected = match command.target {
            Target::Handle => Some(HANDLE),
            Target::Name(number) => self.nodes[process.node].handle_of(number),
        };
        if target != expected {
            let text = format!("message {message} goes to {target:?}, its target is {expected:?}");
            return self.ledger.fail(|| text);
        }
        let Some(target) = target else {
            let text = b"no-such-service: a name";
            acceptor
                .link
                .respond_error(session, ErrorCode::NoSuchService, text);
            return self.note(|_| format!("acceptor {id}: message {message} has no service"));
        };
        self.note(|_| format!("acceptor {id}: message {message} runs at handle {target}"));
        let arrival = Arrival {
            process,
            acceptor: id,
            is_native,
            session,
            remaining_ms,
        };
        self.ledger.run(self.clock.now(), &command, &arrival);
        self.handle(id, session, command);
    }

    fn handle(&mut self, id: usize, session: u32, command: Command) {
        if session == 0 || command.answer == Answer::Never {
            return;
        }
        if command.takes_ms == 0 {
            return self.respond(id, session, command);
        }
        let Some(acceptor) = &mut self.acceptors[id] else {
            return;
        };
        acceptor.handled.insert(command.message, command);
        let event = Event::Answer {
            acceptor: id,
            session,
            message: command.message,
        };
        self.clock
            .schedule(self.clock.now() + u64::from(command.takes_ms), event);
    }

    fn respond(&mut self, id: usize, session: u32, command: Command) {
        self.ledger.answer(command.message);
        if let Some(acceptor) = &mut self.acceptors[id] {
            match command.answer() {
                Ok(answer) => acceptor.link.respond(session, Ok(answer)),
                Err(text) => acceptor.link.respond(session, Err(text.as_bytes())),
            }
        }
    }

    /// A service has finished.
    pub(super) fn answer(&mut self, id: usize, session: u32, message: u64) {
        let Some(acceptor) = &mut self.acceptors[id] else {
            return;
        };
        let Some(command) = acceptor.handled.remove(&message) else {
            return;
        };
        self.note(|_| format!("acceptor {id}: message {message} is answered"));
        self.respond(id, session, command);
        self.read_on(id);
        self.drive_acceptor(id);
    }
}
