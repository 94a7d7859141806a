//! A node with a gate, the service behind it, and clients.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use skyring::log::Destination;
use skyring::seri::Value;
use skyring::{Answer, Caller, Context, Error, Handle, Message, Node, Payload, Responder, Service};
use skyring_services::{Gate, GateSettings};

/// The longest wait for an expected event, long enough for a loaded machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// Answers with the body it gets, except: `quiet` with nothing, `fail` with an error, `defer` only when `release` arrives.
pub(crate) struct Game {
    events: Sender<(String, u32)>,
    deferred: Vec<Responder>,
}

impl Service for Game {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        let values = message.unpack::<(&str, u32, Option<&[u8]>, Option<&str>)>();
        let (event, client, body, name) = match values {
            Ok(values) => values,
            Err(error) => return Answer::error(error),
        };
        if event != "data" {
            let event = name.map_or_else(|| event.to_owned(), |name| format!("{event} {name}"));
            // The test may have ended.
            let _ = self.events.send((event, client));
            return Answer::none();
        }
        match body.unwrap_or_default() {
            b"quiet" => Answer::now(&()),
            b"fail" => Answer::error(Error::remote("no such move")),
            b"defer" => {
                self.deferred.push(context.responder());
                let _ = self.events.send(("deferred".to_owned(), client));
                Answer::none()
            }
            b"release" => {
                for responder in self.deferred.drain(..) {
                    responder.answer(Payload::pack("late"));
                }
                Answer::now("released")
            }
            body => Answer::now(body),
        }
    }
}

pub(crate) struct Running {
    pub(crate) node: Node,
    pub(crate) gate: Handle,
    pub(crate) port: u16,
    pub(crate) events: Receiver<(String, u32)>,
}

/// A node of two shards with a gate of these settings, whose address and target are replaced.
pub(crate) fn start(settings: &str) -> Running {
    start_protocol("", settings)
}

/// The same for websockets on the path `/game`.
pub(crate) fn start_websocket(settings: &str) -> Running {
    start_protocol("ws://", settings)
}

pub(crate) fn start_protocol(scheme: &str, settings: &str) -> Running {
    let node = Node::builder()
        .threads(2)
        .log_to(Destination::File("/dev/null".into()))
        .start()
        .expect("a node");
    let (sender, events) = channel();
    let path = if scheme.starts_with("ws") { "/game" } else { "" };
    let arguments = format!("{scheme}127.0.0.1:0{path} @game {settings}");
    let settings = GateSettings::parse(&arguments).expect("valid settings");
    let (gate, port) = node
        .block_on(move |caller| async move {
            let make = move |_: &Context<Game>| Game {
                events: sender,
                deferred: Vec::new(),
            };
            let game = caller.launch(make).await.expect("it starts");
            caller
                .cluster()
                .register("game", Some(game))
                .expect("a free name");
            launch_gate(&caller, settings).await
        })
        .expect("the node runs");
    Running {
        node,
        gate,
        port,
        events,
    }
}

/// Launches a gate, and waits until it accepts clients; returns its handle and its port.
pub(crate) async fn launch_gate(caller: &Caller, settings: GateSettings) -> (Handle, u16) {
    let gate = caller
        .launch(move |_| Gate::new(settings))
        .await
        .expect("a free port");
    while caller.call(gate, "clients").await.is_err() {
        caller.sleep(Duration::from_millis(1)).await;
    }
    let info = caller.sockets().info();
    let (_, port) = info[0].address.rsplit_once(':').expect("an address");
    (gate, port.parse().expect("a port"))
}

impl Running {
    /// A client.
    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.port)
    }

    /// Waits for the next event of the service, which must be `expected`, and returns its client.
    pub(crate) fn await_event(&self, expected: &str) -> u32 {
        let (event, client) = self.events.recv_timeout(TIMEOUT).expect("an event");
        assert_eq!(event, expected);
        client
    }

    /// Sends the gate a command.
    pub(crate) fn command(&self, values: Payload) -> Result<Payload, Error> {
        let gate = self.gate;
        let answer = self
            .node
            .block_on(move |caller| async move { caller.call_payload(gate, Ok(values)).await });
        answer.expect("the node runs")
    }

    /// One of the gate's counters.
    pub(crate) fn counter(&self, name: &str) -> i64 {
        let counters = self.command(Payload::pack("counters").expect("it packs"));
        let values = counters.expect("the gate runs").values().expect("values");
        let Some(Value::Table(counters)) = values.into_iter().next() else {
            panic!("no table");
        };
        let found = counters.entries.iter().find(|(key, _)| *key == Value::from(name));
        match found.expect("the counter") {
            (_, Value::Integer(count)) => *count,
            other => panic!("no number: {other:?}"),
        }
    }

    /// Waits until one of the gate's counters has this value.
    pub(crate) fn await_counter(&self, name: &str, value: i64) {
        let started = Instant::now();
        while self.counter(name) != value {
            assert!(started.elapsed() < TIMEOUT, "{name} is {}", self.counter(name));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A client of the gate at this port.
pub(crate) fn connect(port: u16) -> TcpStream {
    let client = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    client.set_read_timeout(Some(TIMEOUT)).expect("a time");
    client
}

pub(crate) fn send(client: &mut impl Write, body: &[u8]) {
    let length = u16::try_from(body.len()).expect("not too long").to_be_bytes();
    client.write_all(&[&length, body].concat()).expect("it is taken");
}

pub(crate) fn receive(client: &mut impl Read) -> Vec<u8> {
    let mut length = [0; 2];
    client.read_exact(&mut length).expect("a package");
    let mut body = vec![0; usize::from(u16::from_be_bytes(length))];
    client.read_exact(&mut body).expect("all of it");
    body
}

/// Reads until the gate has closed the connection, and returns the number of bytes.
pub(crate) fn read_to_end(client: &mut TcpStream) -> usize {
    let mut rest = Vec::new();
    // The connection may end with a reset.
    let _ = client.read_to_end(&mut rest);
    rest.len()
}
