//! Bytes arrive whole and in order, whichever shard and service they belong to.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::Bytes;
use skyring::{SocketId, SocketNews};

use crate::node::run;
use crate::plug::Plug;
use crate::start::start;

/// Bytes without a period that a mistake could hide in.
fn pattern(count: usize, seed: u64) -> Vec<u8> {
    let word = |at: usize| skyring::placement::hash_number(at as u64 ^ seed << 40).to_le_bytes();
    let mut bytes: Vec<u8> = (0..count.div_ceil(8)).flat_map(word).collect();
    bytes.truncate(count);
    bytes
}

#[test]
fn megabytes_go_both_ways_in_order_whichever_shard_the_owner_is_on() {
    const BYTES: usize = 3 << 20;
    let node = start(3);
    let gate = Plug::new(&node);
    let (listener, address) = gate.listen();
    // Some of these services are on other shards than the listener and its connections.
    for seed in 0..4 {
        let agent = Plug::new(&node);
        let mut peer = TcpStream::connect(address).expect("it listens");
        let socket = gate.accepted(listener);
        agent.start(socket);
        let sent = pattern(BYTES, seed);
        let mut writing = peer.try_clone().expect("a descriptor");
        let to_send = sent.clone();
        let writer = std::thread::spawn(move || writing.write_all(&to_send).expect("it is read"));
        assert!(
            agent.read(socket, BYTES) == sent,
            "seed {seed}: what came is not what was sent"
        );
        writer.join().expect("all is written");
        let answered = pattern(BYTES, seed + 100);
        for chunk in answered.chunks(100_000) {
            agent.write(socket, chunk.to_vec());
        }
        let mut read = vec![0; BYTES];
        peer.read_exact(&mut read).expect("all is written");
        assert!(
            read == answered,
            "seed {seed}: the answer is not what was written"
        );
    }
}

#[test]
fn any_service_may_write_and_what_one_writes_keeps_its_order() {
    let node = start(3);
    let owner = Plug::new(&node);
    let (mut peer, socket) = owner.connected();
    run(&node, move |caller| async move {
        for writer in 0..6u8 {
            let handle = caller.launch(|_| Writer).await.expect("it starts");
            caller
                .send(handle, &(i64::from(socket.0), i64::from(writer)))
                .expect("it is there");
        }
    });
    let mut next = [0u16; 6];
    for _ in 0..6 * WRITES {
        let mut record = [0; 3];
        peer.read_exact(&mut record).expect("all is written");
        let number = u16::from_le_bytes([record[1], record[2]]);
        let expected = &mut next[usize::from(record[0])];
        assert_eq!(number, *expected, "writer {}", record[0]);
        *expected += 1;
    }
}

const WRITES: u16 = 500;

/// Writes numbered records to a socket that is not its own.
struct Writer;

impl skyring::Service for Writer {
    fn handle(&mut self, context: &skyring::Context<Self>, message: skyring::Message) -> skyring::Answer {
        let (socket, writer) = message.unpack::<(u32, u8)>().expect("two numbers");
        for number in 0..WRITES {
            let [low, high] = number.to_le_bytes();
            let record = Bytes::copy_from_slice(&[writer, low, high]);
            context
                .sockets()
                .write(SocketId(socket), record)
                .expect("it is open");
        }
        skyring::Answer::none()
    }
}

#[test]
fn low_priority_waits_for_the_rest() {
    let node = start(1);
    let plug = Plug::new(&node);
    let (mut peer, socket) = plug.connected();
    plug.command(move |sockets| {
        sockets
            .write_low(socket, Bytes::from_static(b"low"))
            .expect("it is open");
        sockets
            .write(socket, Bytes::from_static(b"first "))
            .expect("it is open");
    });
    let mut read = [0; 9];
    peer.read_exact(&mut read).expect("both are written");
    assert_eq!(&read, b"first low");
}

#[test]
fn a_thousand_connections_are_served_at_a_time() {
    let node = start(2);
    let plug = Plug::new(&node);
    let (listener, address) = plug.listen();
    let mut peers = Vec::new();
    for number in 0..1000u32 {
        let mut peer = TcpStream::connect(address).expect("it listens");
        peer.write_all(&number.to_le_bytes()).expect("it is taken");
        peers.push(peer);
    }
    let mut echoed = 0;
    while echoed < 1000 {
        let event = plug.next();
        match event.news {
            SocketNews::Accepted { socket, .. } if event.socket == listener => {
                plug.command(move |sockets| sockets.start(socket))
                    .expect("it is there");
            }
            SocketNews::Data(bytes) => {
                let socket = event.socket;
                plug.command(move |sockets| sockets.write(socket, bytes))
                    .expect("it is open");
                echoed += 1;
            }
            SocketNews::Opened { .. } => {}
            news => panic!("{news:?}"),
        }
    }
    for (number, peer) in peers.iter_mut().enumerate() {
        let mut read = [0; 4];
        peer.read_exact(&mut read).expect("it is written");
        assert_eq!(u32::from_le_bytes(read), number as u32);
    }
}
