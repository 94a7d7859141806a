//! A gate passes the packages of clients to its service and the answers back, whatever clients and service do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use skyring::log::Destination;
use skyring::{Answer, Context, Error, Handle, Message, Node, Payload, Responder, Service};
use skyring_services::{GATE_CALLS_MAX, Gate};

/// The longest wait for an expected event, long enough for a loaded machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Answers with the body it gets, except: `quiet` with nothing, `fail` with an error, `defer` only when `release` arrives.
struct Game {
    events: Sender<(String, u32)>,
    deferred: Vec<Responder>,
}

impl Service for Game {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        let (event, client, body) = match message.unpack::<(&str, u32, Option<&[u8]>)>() {
            Ok(values) => values,
            Err(error) => return Answer::error(error),
        };
        if event != "data" {
            // The test may have ended.
            let _ = self.events.send((event.to_owned(), client));
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

struct Running {
    node: Node,
    gate: Handle,
    port: u16,
    events: Receiver<(String, u32)>,
}

fn start(clients_max: usize) -> Running {
    let node = Node::builder()
        .threads(2)
        .log_to(Destination::File("/dev/null".into()))
        .start()
        .expect("a node");
    let (sender, events) = channel();
    let (gate, port) = node
        .block_on(move |caller| async move {
            let make = move |_: &Context<Game>| Game {
                events: sender,
                deferred: Vec::new(),
            };
            let game = caller.launch(make).await.expect("it starts");
            let gate = Gate::new("127.0.0.1", 0, game).clients_max(clients_max);
            let gate = caller.launch(move |_| gate).await.expect("a free port");
            let info = caller.sockets().info();
            let (_, port) = info[0].address.rsplit_once(':').expect("an address");
            (gate, port.parse().expect("a port"))
        })
        .expect("the node runs");
    Running {
        node,
        gate,
        port,
        events,
    }
}

impl Running {
    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        client.set_read_timeout(Some(TIMEOUT)).expect("a time");
        client
    }

    /// Waits for the next event of the service, which must be `expected`, and returns its client.
    fn await_event(&self, expected: &str) -> u32 {
        let (event, client) = self.events.recv_timeout(TIMEOUT).expect("an event");
        assert_eq!(event, expected);
        client
    }

    fn command(&self, values: Payload) -> Result<(), Error> {
        let gate = self.gate;
        let answer = self
            .node
            .block_on(move |caller| async move { caller.call_payload(gate, Ok(values)).await });
        answer.expect("the node runs").map(|_| ())
    }
}

fn send(client: &mut TcpStream, body: &[u8]) {
    let length = u16::try_from(body.len()).expect("not too long").to_be_bytes();
    client.write_all(&[&length, body].concat()).expect("it is taken");
}

fn receive(client: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    client.read_exact(&mut length).expect("a package");
    let mut body = vec![0; usize::from(u16::from_be_bytes(length))];
    client.read_exact(&mut body).expect("all of it");
    body
}

/// Reads until the gate has closed the connection, and returns the number of bytes.
fn read_to_end(client: &mut TcpStream) -> usize {
    let mut rest = Vec::new();
    // The connection may end with a reset.
    let _ = client.read_to_end(&mut rest);
    rest.len()
}

#[test]
fn answers_go_back_in_order_and_an_empty_answer_sends_no_package() {
    let running = start(10);
    let mut client = running.connect();
    let id = running.await_event("open");
    for byte in [0, 5, b'h', b'e', b'l', b'l', b'o'] {
        client.write_all(&[byte]).expect("it is taken");
    }
    assert_eq!(receive(&mut client), b"hello");
    send(&mut client, b"quiet");
    let largest = vec![3; 0xffff];
    send(&mut client, &largest);
    assert_eq!(receive(&mut client), largest);
    for number in 0..5_000u32 {
        send(&mut client, &number.to_le_bytes());
    }
    // A client that has closed its sending side still gets its answers.
    client.shutdown(std::net::Shutdown::Write).expect("a half-close");
    for number in 0..5_000u32 {
        assert_eq!(receive(&mut client), number.to_le_bytes());
    }
    assert_eq!(read_to_end(&mut client), 0);
    assert_eq!(running.await_event("close"), id);
}

#[test]
fn a_slow_service_stops_the_reading_of_that_client_only() {
    let running = start(10);
    let mut eager = running.connect();
    running.await_event("open");
    for _ in 0..3 * GATE_CALLS_MAX {
        send(&mut eager, b"defer");
    }
    for _ in 0..GATE_CALLS_MAX {
        running.await_event("deferred");
    }
    let mut other = running.connect();
    // No further package of the first client reached the service: its event would have come before this one.
    running.await_event("open");
    send(&mut other, b"served");
    assert_eq!(receive(&mut other), b"served");
    let mut answered = 0;
    while answered < 3 * GATE_CALLS_MAX {
        send(&mut other, b"release");
        assert_eq!(receive(&mut other), b"released");
        eager
            .set_read_timeout(Some(Duration::from_millis(50)))
            .expect("a time");
        let mut package = [0; 6];
        while answered < 3 * GATE_CALLS_MAX && eager.read_exact(&mut package).is_ok() {
            assert_eq!(&package, b"\0\x04late");
            answered += 1;
        }
    }
}

#[test]
fn an_error_closes_the_client_and_clients_past_the_limit_are_refused() {
    let running = start(1);
    let mut client = running.connect();
    let id = running.await_event("open");
    assert_eq!(read_to_end(&mut running.connect()), 0);
    send(&mut client, b"fail");
    assert_eq!(read_to_end(&mut client), 0);
    assert_eq!(running.await_event("close"), id);
    let mut next = running.connect();
    running.await_event("open");
    send(&mut next, b"again");
    assert_eq!(receive(&mut next), b"again");
}

#[test]
fn any_service_writes_to_a_client_and_kicks_it() {
    let running = start(10);
    let mut client = running.connect();
    let id = running.await_event("open");
    let pack = |values: &(&str, u32, Option<&[u8]>)| Payload::pack(values).expect("it packs");
    running
        .command(pack(&("write", id, Some(b"hello"))))
        .expect("it is open");
    assert_eq!(receive(&mut client), b"hello");
    let too_long = vec![0; 0x1_0000];
    let error = running
        .command(pack(&("write", id, Some(&too_long))))
        .expect_err("it is too long");
    assert!(error.to_string().contains("65535"), "{error}");
    running.command(pack(&("kick", id, None))).expect("it is open");
    assert_eq!(read_to_end(&mut client), 0);
    let error = running
        .command(pack(&("write", id, Some(b"late"))))
        .expect_err("it is closed");
    assert!(error.to_string().contains("no client"), "{error}");
    let error = running
        .command(pack(&("dance", id, None)))
        .expect_err("no such command");
    assert!(error.to_string().contains("dance"), "{error}");
}
