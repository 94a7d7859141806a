//! A gate hands packages of clients to its service and the answers back, whatever clients and service do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use skyring::log::Destination;
use skyring::{Answer, Context, Error, Handle, Message, Node, Payload, Responder, Service};
use skyring_services::{GATE_CALLS_MAX, Gate};

/// How long a test waits for what must come; a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers with what it gets; `quiet` with nothing, `fail` with an error, `keep` not before `free` comes.
struct Game {
    told: Sender<(String, u32)>,
    kept: Vec<Responder>,
}

impl Service for Game {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        let (what, client, body) = match message.unpack::<(&str, u32, Option<&[u8]>)>() {
            Ok(values) => values,
            Err(error) => return Answer::error(error),
        };
        if what != "data" {
            // The test may have ended.
            let _ = self.told.send((what.to_owned(), client));
            return Answer::none();
        }
        match body.unwrap_or_default() {
            b"quiet" => Answer::now(&()),
            b"fail" => Answer::error(Error::remote("no such move")),
            b"keep" => {
                self.kept.push(context.responder());
                let _ = self.told.send(("kept".to_owned(), client));
                Answer::none()
            }
            b"free" => {
                for kept in self.kept.drain(..) {
                    kept.answer(Payload::pack("kept"));
                }
                Answer::now("free")
            }
            body => Answer::now(body),
        }
    }
}

struct Running {
    node: Node,
    gate: Handle,
    port: u16,
    told: Receiver<(String, u32)>,
}

fn start(clients_max: usize) -> Running {
    let node = Node::builder()
        .threads(2)
        .log_to(Destination::File("/dev/null".into()))
        .start()
        .expect("a node");
    let (sender, told) = channel();
    let (gate, port) = node
        .block_on(move |caller| async move {
            let make = move |_: &Context<Game>| Game {
                told: sender,
                kept: Vec::new(),
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
        told,
    }
}

impl Running {
    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        client.set_read_timeout(Some(PATIENCE)).expect("a time");
        client
    }

    /// What the service was told next.
    fn told(&self, what: &str) -> u32 {
        let (told, client) = self.told.recv_timeout(PATIENCE).expect("it is told");
        assert_eq!(told, what);
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

/// Reads until the gate has closed the connection, and gives how much came.
fn rest(client: &mut TcpStream) -> usize {
    let mut rest = Vec::new();
    // A connection that is cut may be reset.
    let _ = client.read_to_end(&mut rest);
    rest.len()
}

#[test]
fn answers_go_back_in_order_and_nothing_is_no_package() {
    let running = start(10);
    let mut client = running.connect();
    let id = running.told("open");
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
    // It has sent all that it will, and gets its answers all the same.
    client.shutdown(std::net::Shutdown::Write).expect("half of it");
    for number in 0..5_000u32 {
        assert_eq!(receive(&mut client), number.to_le_bytes());
    }
    assert_eq!(rest(&mut client), 0);
    assert_eq!(running.told("close"), id);
}

#[test]
fn a_service_that_does_not_keep_up_stops_its_client_only() {
    let running = start(10);
    let mut eager = running.connect();
    running.told("open");
    for _ in 0..3 * GATE_CALLS_MAX {
        send(&mut eager, b"keep");
    }
    for _ in 0..GATE_CALLS_MAX {
        running.told("kept");
    }
    let mut other = running.connect();
    // No further package of the first was handed over, or that would have been told before.
    running.told("open");
    send(&mut other, b"served");
    assert_eq!(receive(&mut other), b"served");
    let mut freed = 0;
    while freed < 3 * GATE_CALLS_MAX {
        send(&mut other, b"free");
        assert_eq!(receive(&mut other), b"free");
        eager
            .set_read_timeout(Some(Duration::from_millis(50)))
            .expect("a time");
        let mut package = [0; 6];
        while freed < 3 * GATE_CALLS_MAX && eager.read_exact(&mut package).is_ok() {
            assert_eq!(&package, b"\0\x04kept");
            freed += 1;
        }
    }
}

#[test]
fn an_error_closes_the_client_and_too_many_are_turned_away() {
    let running = start(1);
    let mut client = running.connect();
    let id = running.told("open");
    assert_eq!(rest(&mut running.connect()), 0);
    send(&mut client, b"fail");
    assert_eq!(rest(&mut client), 0);
    assert_eq!(running.told("close"), id);
    let mut next = running.connect();
    running.told("open");
    send(&mut next, b"again");
    assert_eq!(receive(&mut next), b"again");
}

#[test]
fn any_service_writes_to_a_client_and_kicks_it() {
    let running = start(10);
    let mut client = running.connect();
    let id = running.told("open");
    let pack = |values: &(&str, u32, Option<&[u8]>)| Payload::pack(values).expect("it packs");
    running
        .command(pack(&("write", id, Some(b"news"))))
        .expect("it is open");
    assert_eq!(receive(&mut client), b"news");
    let too_long = vec![0; 0x1_0000];
    let error = running
        .command(pack(&("write", id, Some(&too_long))))
        .expect_err("it is too long");
    assert!(error.to_string().contains("65535"), "{error}");
    running.command(pack(&("kick", id, None))).expect("it is open");
    assert_eq!(rest(&mut client), 0);
    let error = running
        .command(pack(&("write", id, Some(b"late"))))
        .expect_err("it is closed");
    assert!(error.to_string().contains("no client"), "{error}");
    let error = running
        .command(pack(&("dance", id, None)))
        .expect_err("no such command");
    assert!(error.to_string().contains("dance"), "{error}");
}
