//! A service whose sockets a test works: it does what the test tells it, and tells what happens.

use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::Bytes;
use skyring::{Answer, Context, Handle, Message, Node, Service, SocketEvent, SocketId, SocketNews, Sockets};

use crate::node::{PATIENCE, run};

type Order = Box<dyn FnOnce(&Sockets) + Send>;

struct Plugged {
    orders: Receiver<Order>,
    events: Sender<SocketEvent>,
}

impl Service for Plugged {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        if message.unpack::<&str>() == Ok("exit") {
            context.exit();
        }
        while let Ok(order) = self.orders.try_recv() {
            order(&context.sockets());
        }
        Answer::now(&())
    }

    fn socket(&mut self, _context: &Context<Self>, event: SocketEvent) {
        // The test may have ended.
        let _ = self.events.send(event);
    }
}

/// The test's side of it.
pub(crate) struct Plug<'a> {
    node: &'a Node,
    pub(crate) handle: Handle,
    orders: Sender<Order>,
    pub(crate) events: Receiver<SocketEvent>,
}

impl<'a> Plug<'a> {
    pub(crate) fn new(node: &'a Node) -> Plug<'a> {
        let (orders, taken) = channel();
        let (told, events) = channel();
        let handle = run(node, |caller| async move {
            let make = move |_: &Context<Plugged>| Plugged {
                orders: taken,
                events: told,
            };
            caller.launch(make).await.expect("it starts")
        });
        Plug {
            node,
            handle,
            orders,
            events,
        }
    }

    /// Has it do something, and gives what came of it.
    pub(crate) fn order<T: Send + 'static>(&self, order: impl FnOnce(&Sockets) -> T + Send + 'static) -> T {
        let (done, answer) = channel();
        let order: Order = Box::new(move |sockets| {
            let _ = done.send(order(sockets));
        });
        self.orders.send(order).expect("the service lives");
        self.call("");
        answer.recv_timeout(PATIENCE).expect("the order is carried out")
    }

    fn call(&self, word: &'static str) {
        let handle = self.handle;
        let called = run(
            self.node,
            move |caller| async move { caller.call(handle, word).await },
        );
        called.expect("the service answers");
    }

    pub(crate) fn exit(&self) {
        self.call("exit");
    }

    pub(crate) fn write(&self, socket: SocketId, bytes: Vec<u8>) {
        self.order(move |sockets| sockets.write(socket, Bytes::from(bytes)))
            .expect("it takes bytes");
    }

    /// What happens next.
    pub(crate) fn next(&self) -> SocketEvent {
        self.events.recv_timeout(PATIENCE).expect("something happens")
    }

    /// What happens next, which must be news of this socket.
    pub(crate) fn next_of(&self, socket: SocketId) -> SocketNews {
        let event = self.next();
        assert_eq!(event.socket, socket, "{event:?}");
        event.news
    }

    /// Collects data of this socket until there are so many bytes.
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
        let listener = self.order(|sockets| {
            let listener = sockets.listen("127.0.0.1", 0, 64).expect("a free port");
            sockets.start(listener).expect("it is there");
            listener
        });
        let SocketNews::Opened { address, port } = self.next_of(listener) else {
            panic!("a listener says where it listens");
        };
        // Of its start.
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
        self.order(move |sockets| sockets.start(socket))
            .expect("it is there");
        assert!(matches!(self.next_of(socket), SocketNews::Opened { .. }));
    }

    /// A connection from a plain socket, started.
    pub(crate) fn connected(&self) -> (TcpStream, SocketId) {
        let (listener, address) = self.listen();
        let peer = TcpStream::connect(address).expect("it listens");
        peer.set_read_timeout(Some(PATIENCE)).expect("a time");
        peer.set_write_timeout(Some(PATIENCE)).expect("a time");
        let socket = self.accepted(listener);
        self.start(socket);
        (peer, socket)
    }
}
