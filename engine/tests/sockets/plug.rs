//! A service whose sockets a test controls: it runs the commands of the test, and reports its events.

use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::Bytes;
use skyring::{Answer, Context, Handle, Message, Node, Service, SocketEvent, SocketId, SocketNews, Sockets};

use crate::node::{TIMEOUT, run};

type Command = Box<dyn FnOnce(&Sockets) + Send>;

struct SocketOwner {
    commands: Receiver<Command>,
    events: Sender<SocketEvent>,
}

impl Service for SocketOwner {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        if message.unpack::<&str>() == Ok("exit") {
            context.exit();
        }
        while let Ok(command) = self.commands.try_recv() {
            command(&context.sockets());
        }
        Answer::now(&())
    }

    fn socket(&mut self, _context: &Context<Self>, event: SocketEvent) {
        // The test may have ended.
        let _ = self.events.send(event);
    }
}

/// The test's handle to the service.
pub(crate) struct Plug<'a> {
    node: &'a Node,
    pub(crate) handle: Handle,
    commands: Sender<Command>,
    pub(crate) events: Receiver<SocketEvent>,
}

impl<'a> Plug<'a> {
    pub(crate) fn new(node: &'a Node) -> Plug<'a> {
        let (commands, taken) = channel();
        let (reported, events) = channel();
        let handle = run(node, |caller| async move {
            let make = move |_: &Context<SocketOwner>| SocketOwner {
                commands: taken,
                events: reported,
            };
            caller.launch(make).await.expect("it starts")
        });
        Plug {
            node,
            handle,
            commands,
            events,
        }
    }

    /// Runs a command in the service, and returns its result.
    pub(crate) fn command<T: Send + 'static>(
        &self,
        command: impl FnOnce(&Sockets) -> T + Send + 'static,
    ) -> T {
        let (done, answer) = channel();
        let command: Command = Box::new(move |sockets| {
            let _ = done.send(command(sockets));
        });
        self.commands.send(command).expect("the service lives");
        self.call("");
        answer.recv_timeout(TIMEOUT).expect("the command is executed")
    }

    fn call(&self, text: &'static str) {
        let handle = self.handle;
        let called = run(
            self.node,
            move |caller| async move { caller.call(handle, text).await },
        );
        called.expect("the service answers");
    }

    pub(crate) fn exit(&self) {
        self.call("exit");
    }

    pub(crate) fn write(&self, socket: SocketId, bytes: Vec<u8>) {
        self.command(move |sockets| sockets.write(socket, Bytes::from(bytes)))
            .expect("it takes bytes");
    }

    /// The next event.
    pub(crate) fn next(&self) -> SocketEvent {
        self.events.recv_timeout(TIMEOUT).expect("something happens")
    }

    /// The next event, which must be of this socket.
    pub(crate) fn next_of(&self, socket: SocketId) -> SocketNews {
        let event = self.next();
        assert_eq!(event.socket, socket, "{event:?}");
        event.news
    }

    /// Collects `count` bytes of data of this socket.
    pub(crate) fn read(&self, socket: SocketId, count: usize) -> Vec<u8> {
        let mut read = Vec::new();
        while read.len() < count {
            match self.next_of(socket) {
                SocketNews::Data(bytes) => read.extend_from_slice(&bytes),
                news => panic!("data was awaited after {} bytes, and {news:?} came", read.len()),
            }
        }
        read
    }

    /// Listens on a free port.
    pub(crate) fn listen(&self) -> (SocketId, SocketAddr) {
        let listener = self.command(|sockets| {
            let listener = sockets.listen("127.0.0.1", 0, 64).expect("a free port");
            sockets.start(listener).expect("it is there");
            listener
        });
        let SocketNews::Opened { address, port } = self.next_of(listener) else {
            panic!("a listener says where it listens");
        };
        // The event of its start.
        assert!(matches!(self.next_of(listener), SocketNews::Opened { .. }));
        let address = format!("{address}:{port}").parse().expect("an address");
        (listener, address)
    }

    /// The next connection of a listener.
    pub(crate) fn accepted(&self, listener: SocketId) -> SocketId {
        match self.next_of(listener) {
            SocketNews::Accepted { socket, .. } => socket,
            news => panic!("a connection was awaited, and {news:?} came"),
        }
    }

    pub(crate) fn start(&self, socket: SocketId) {
        self.command(move |sockets| sockets.start(socket))
            .expect("it is there");
        assert!(matches!(self.next_of(socket), SocketNews::Opened { .. }));
    }

    /// A connection from a plain socket, started.
    pub(crate) fn connected(&self) -> (TcpStream, SocketId) {
        let (listener, address) = self.listen();
        let peer = TcpStream::connect(address).expect("it listens");
        peer.set_read_timeout(Some(TIMEOUT)).expect("a time");
        peer.set_write_timeout(Some(TIMEOUT)).expect("a time");
        let socket = self.accepted(listener);
        self.start(socket);
        (peer, socket)
    }
}
