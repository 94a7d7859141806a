//! Nodes with secrets, and strangers who write bytes.

use std::io::{IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use skyring::{Error, Node, NodeBuilder, Security};
use skyring_codec::link::{Access, CallerEvent, CallerLimits, CallerLink};
use skyring_codec::native::{Hello, Resumption, Secrets, VERSION};
use socket2::{Domain, Protocol, Socket, Type};

use crate::cluster::{Echo, map_of, open, reload, serve, who};
use crate::node::{TIMEOUT, run, wait_until};
use crate::start::builder;

/// The secret of most nodes.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef-right";

/// Another one.
pub(crate) const OTHER: &str = "0123456789abcdef0123456789abcdef-wrong";

pub(crate) fn security(secrets: &[&str]) -> Security {
    Security::new(secrets).expect("valid secrets")
}

/// A node that is about to start with a secret.
pub(crate) fn closed(threads: usize) -> NodeBuilder {
    builder(threads).security(security(&[SECRET]))
}

/// A closed node with an echo, and its address.
pub(crate) fn serving(builder: NodeBuilder) -> (Node, String) {
    let node = builder.start().expect("a node starts");
    serve(&node, "echo", |_| Echo("db"));
    let address = open(&node);
    (node, address)
}

/// Starts a node whose map has `db` at this address.
pub(crate) fn dialling(builder: NodeBuilder, address: &str) -> Node {
    let node = builder.start().expect("a node starts");
    reload(&node, map_of("db", address));
    node
}

/// Asks `db` who it is.
pub(crate) fn ask(node: &Node) -> Result<String, Error> {
    run(node, |caller| async move { who(&caller, "db").await })
}

/// The value of a counter.
pub(crate) fn counter(node: &Node, name: &str) -> u64 {
    let all = node.metrics().all();
    let found = all.into_iter().find(|(counter, _)| *counter == name);
    found.unwrap_or_else(|| panic!("there is no counter {name}")).1
}

/// Connects from the address 127.0.0.`last` of this machine; nodes use 127.0.0.1.
pub(crate) fn connect_from(last: u8, address: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).ok()?;
    let from: SocketAddr = ([127, 0, 0, last], 0).into();
    socket.bind(&from.into()).ok()?;
    socket.connect(&address.into()).ok()?;
    Some(socket.into())
}

/// Waits until a counter has a value.
pub(crate) fn wait_for(node: &Node, name: &str, value: u64) {
    wait_until(&format!("{name} is {value}"), || counter(node, name) == value);
}

/// A connection of somebody who is no node, with a link of the codec.
pub(crate) struct Stranger {
    pub(crate) stream: TcpStream,
    pub(crate) link: CallerLink,
}

impl Stranger {
    /// Connects, with a link that has this secret.
    pub(crate) fn connect(address: &str, secret: Option<&str>) -> Stranger {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a time above zero");
        let mut link = CallerLink::new(CallerLimits::default());
        link.set_access(secret.map(|secret| Access {
            secrets: Some(Arc::new(
                Secrets::new(vec![secret.as_bytes().to_vec().into()]).expect("a valid secret"),
            )),
            ..Access::default()
        }));
        link.dial(0, &hello("gate")).expect("a valid hello");
        Stranger { stream, link }
    }

    /// The output of the link.
    pub(crate) fn output(&mut self) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 8];
        let count = self.link.transmit(&mut slices);
        let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        self.link.transmitted(bytes.len());
        bytes
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        // The node may have closed the connection already.
        let _ = self.stream.write_all(bytes);
    }

    /// Reads the answer to the hello into the link; returns its bytes.
    pub(crate) fn read_answer(&mut self) -> Vec<u8> {
        let mut length = [0; 2];
        self.stream.read_exact(&mut length).expect("an answer comes");
        let mut package = vec![0; usize::from(u16::from_be_bytes(length))];
        self.stream
            .read_exact(&mut package)
            .expect("the whole answer comes");
        self.link.receive(Bytes::from([&length[..], &package].concat()));
        package
    }

    /// The next event of the link.
    pub(crate) fn event(&mut self) -> Option<CallerEvent> {
        self.link.poll_event(0).expect("the answer is right")
    }

    /// Reads up to the end; returns the bytes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return bytes,
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return bytes,
                Err(error) => panic!("the node has not closed the connection: {error}"),
            }
        }
    }
}

/// The hello of a node with this name.
pub(crate) fn hello(name: &str) -> Hello {
    Hello {
        version: VERSION,
        node: name.to_owned(),
        channel: 1,
        channels: 1,
        threads: 1,
        epoch: 1,
        nonce: [1; 16],
        resume: Resumption::New,
        attempt: 0,
        traces: false,
    }
}

/// A frame of the native dialect.
pub(crate) fn frame(kind: u8, session: u32, target: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
    bytes.extend([kind, 0, 0, 0]);
    for number in [session, target, 0, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(payload);
    bytes
}

/// How long a test looks whether something does not happen.
pub(crate) const WHILE: Duration = Duration::from_millis(700);

/// An address whose port nobody else uses.
pub(crate) fn reserved() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}

/// A node with an echo that listens on this address as `db`.
pub(crate) fn serving_at(builder: NodeBuilder, address: &str) -> Node {
    let node = builder.map(map_of("db", address)).start().expect("a node starts");
    serve(&node, "echo", |_| Echo("db"));
    let opened = run(
        &node,
        |caller| async move { caller.cluster().open("db", None).await },
    );
    opened.expect("the port is free");
    node
}
