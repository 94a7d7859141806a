use std::collections::HashSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::thread;

use super::*;

const TURN: Duration = Duration::from_millis(100);
const TIME_MAX: Duration = Duration::from_secs(60);

fn listening() -> (Sockets, std::net::SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut sockets = Sockets::new().unwrap();
    sockets.listen(listener).unwrap();
    (sockets, address)
}

/// Turns until `is_over`, and sends back what comes.
fn echo(sockets: &mut Sockets, mut is_over: impl FnMut(&Event<'_>) -> bool) {
    let began = Instant::now();
    let mut over = false;
    while !over {
        assert!(began.elapsed() < TIME_MAX);
        let turned = sockets.turn(TURN, |outbox, event| {
            over |= is_over(&event);
            if let Event::Received(index, bytes) = event {
                outbox.queue(index).extend_from_slice(bytes);
            }
        });
        turned.unwrap();
    }
}

#[test]
fn many_connections_get_back_what_they_send_and_their_ends_are_seen() {
    let (mut sockets, address) = listening();
    let clients = 300;
    let talking = thread::spawn(move || {
        let mut all: Vec<TcpStream> = (0..clients)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        for round in 0..3u8 {
            for (number, client) in all.iter_mut().enumerate() {
                client.write_all(&[number as u8, round, 7]).unwrap();
            }
            for (number, client) in all.iter_mut().enumerate() {
                let mut back = [0; 3];
                client.read_exact(&mut back).unwrap();
                assert_eq!(back, [number as u8, round, 7]);
            }
        }
    });
    let mut ended = 0;
    echo(&mut sockets, |event| {
        ended += usize::from(matches!(event, Event::Ended(_)));
        ended == clients
    });
    talking.join().unwrap();
    // Their places are used again.
    let mut again = TcpStream::connect(address).unwrap();
    again.write_all(b"again").unwrap();
    let mut received = Vec::new();
    echo(&mut sockets, |event| {
        if let Event::Received(index, bytes) = event {
            assert!(*index < clients);
            received.extend_from_slice(bytes);
        }
        received == b"again"
    });
}

#[test]
fn what_a_socket_does_not_take_at_once_is_sent_later_in_order() {
    let (mut sockets, address) = listening();
    let sent: Vec<u8> = (0..16u32 << 20).map(|place| (place % 251) as u8).collect();
    let expected = sent.clone();
    let reader = thread::spawn(move || {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"x").unwrap();
        thread::sleep(Duration::from_millis(50));
        let mut received = vec![0; expected.len()];
        client.read_exact(&mut received).unwrap();
        assert!(received == expected);
    });
    // In pieces, so that some come while the socket is full.
    let mut pieces = sent.chunks(1 << 20);
    let mut client = None;
    let (began, mut has_ended) = (Instant::now(), false);
    while !has_ended {
        assert!(began.elapsed() < TIME_MAX);
        let turned = sockets.turn(TURN, |_, event| match event {
            Event::Received(index, _) => client = Some(index),
            Event::Ended(_) => has_ended = true,
            Event::Accepted => {}
        });
        turned.unwrap();
        if let (Some(index), false) = (client, has_ended) {
            let queued = sockets.outbox.queue(index);
            queued.extend_from_slice(pieces.next().unwrap_or_default());
        }
    }
    reader.join().unwrap();
}

/// The sockets with this port at either end: the state of each, as the kernel numbers them, and its inode.
fn sockets_with_port(port: u16) -> Vec<(u8, u64)> {
    let has_port = |end: &str| {
        let (_, hex) = end.split_once(':').unwrap();
        u16::from_str_radix(hex, 16).unwrap() == port
    };
    let list = fs::read_to_string("/proc/self/net/tcp").unwrap();
    let rows = list.lines().skip(1);
    rows.map(|row| row.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| has_port(fields[1]) || has_port(fields[2]))
        .map(|fields| {
            (
                u8::from_str_radix(fields[3], 16).unwrap(),
                fields[9].parse().unwrap(),
            )
        })
        .collect()
}

/// The inodes of the sockets for which this process has a descriptor.
fn sockets_with_descriptor() -> HashSet<u64> {
    fs::read_dir("/proc/self/fd")
        .unwrap()
        // Other tests close theirs meanwhile.
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .filter_map(|target| {
            let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            inode.parse().ok()
        })
        .collect()
}

#[test]
fn connections_take_no_descriptor_of_the_process() {
    const ESTABLISHED: u8 = 1;
    const LISTENS: u8 = 10;
    let (mut servers, address) = listening();
    let mut clients = Sockets::new().unwrap();
    let count = 300;
    let (mut accepted, mut answered) = (0, 0);
    let began = Instant::now();
    let mut turn = |servers: &mut Sockets, clients: &mut Sockets| {
        assert!(began.elapsed() < TIME_MAX);
        let turned = servers.turn(Duration::ZERO, |outbox, event| match event {
            Event::Accepted => accepted += 1,
            Event::Received(index, bytes) => outbox.queue(index).extend_from_slice(bytes),
            Event::Ended(_) => panic!("no client ends"),
        });
        turned.unwrap();
        let turned = clients.turn(Duration::from_millis(1), |_, event| {
            assert!(matches!(event, Event::Received(_, b"x")));
            answered += 1;
        });
        turned.unwrap();
        (accepted, answered)
    };
    for number in 0..count {
        let index = clients.insert(TcpStream::connect(address).unwrap()).unwrap();
        clients.outbox.queue(index).push(b'x');
        while turn(&mut servers, &mut clients).0 <= number {}
    }
    while turn(&mut servers, &mut clients).1 < count {}

    let mut connected = HashSet::new();
    // The kernel's list may leave one out, or have one twice, while other tests open and close sockets.
    while connected.len() < 2 * count {
        assert!(began.elapsed() < TIME_MAX, "{} ends", connected.len());
        let listed = sockets_with_port(address.port()).into_iter();
        connected.extend(listed.filter_map(|(state, inode)| (state == ESTABLISHED).then_some(inode)));
    }
    assert_eq!(connected.len(), 2 * count);
    let with_descriptor = sockets_with_descriptor();
    assert!(
        connected.iter().all(|inode| !with_descriptor.contains(inode)),
        "a connection has a descriptor"
    );
    // The end of a ring is that of its connections.
    drop(clients);
    drop(servers);
    let mut left = sockets_with_port(address.port());
    // The kernel ends the accept later.
    left.retain(|&(state, inode)| state != LISTENS && (state == ESTABLISHED || inode != 0));
    assert!(left.is_empty(), "{left:?}");
}

/// The bytes of connection `number`, which tell it from the others.
fn bytes_of(number: u32, count: usize) -> Vec<u8> {
    (0..count)
        .map(|place| (number as usize * 31 + place % 241) as u8)
        .collect()
}

#[test]
fn places_are_used_again_with_bytes_in_flight_and_nothing_is_lost_or_mixed_up() {
    struct Client {
        number: u32,
        sent: Vec<u8>,
        received: usize,
        is_closed: bool,
    }
    const AT_ONCE: usize = 40;
    const TOTAL: u32 = 400;
    const BYTES: usize = 100_000;
    let (mut servers, address) = listening();
    let serving = thread::spawn(move || {
        // On a thread of its own: the ring belongs to the one that made it.
        let mut clients = Sockets::new().unwrap();
        let mut all: Vec<Option<Client>> = Vec::new();
        let (mut begun, mut ended, mut complete) = (0, 0, 0);
        let began = Instant::now();
        while ended < TOTAL {
            assert!(began.elapsed() < TIME_MAX, "{ended} have ended");
            while begun < TOTAL && begun - ended < AT_ONCE as u32 {
                let index = clients.insert(TcpStream::connect(address).unwrap()).unwrap();
                // Some have ended, and their shutdown is in flight.
                assert!(index < 2 * AT_ONCE, "a place has not become free");
                if all.len() <= index {
                    all.resize_with(index + 1, || None);
                }
                let sent = bytes_of(begun, BYTES);
                clients.outbox.queue(index).extend_from_slice(&sent);
                let client = Client {
                    number: begun,
                    sent,
                    received: 0,
                    is_closed: false,
                };
                assert!(all[index].replace(client).is_none());
                begun += 1;
            }
            let turned = clients.turn(TURN, |outbox, event| match event {
                Event::Accepted => {}
                Event::Received(index, bytes) => {
                    let client = all[index].as_mut().unwrap();
                    let end = client.received + bytes.len();
                    assert!(
                        client.sent.get(client.received..end) == Some(bytes),
                        "client {} got what is not its own",
                        client.number
                    );
                    client.received = end;
                    // Every other client ends while most of its bytes are on the way.
                    let enough = if client.number.is_multiple_of(2) { BYTES } else { 1 };
                    if client.received >= enough && !client.is_closed {
                        client.is_closed = true;
                        outbox.close(index);
                        outbox.queue(index).extend_from_slice(b"never sent");
                    }
                }
                Event::Ended(index) => {
                    let client = all[index].take().unwrap();
                    assert!(client.is_closed, "client {} was ended", client.number);
                    complete += u32::from(client.received == BYTES && client.number.is_multiple_of(2));
                    ended += 1;
                }
            });
            turned.unwrap();
        }
        assert_eq!(complete, TOTAL / 2);
    });
    let mut ended = 0;
    echo(&mut servers, |event| {
        ended += u32::from(matches!(event, Event::Ended(_)));
        ended == TOTAL
    });
    serving.join().unwrap();
}

#[test]
fn a_closed_connection_ends_although_its_peer_takes_nothing_more() {
    let (mut sockets, address) = listening();
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"x").unwrap();
    let mut first = None;
    echo(&mut sockets, |event| {
        if let Event::Received(index, _) = event {
            first = Some(*index);
        }
        first.is_some()
    });
    let first = first.unwrap();
    // Far more than the two ends hold.
    sockets.outbox.queue(first).resize(64 << 20, b'y');
    for _ in 0..3 {
        sockets.turn(Duration::from_millis(1), |_, _| {}).unwrap();
    }
    assert!(sockets.outbox.slots[first].is_polling);
    sockets.outbox.close(first);
    sockets.outbox.close(first);
    let mut ends = 0;
    echo(&mut sockets, |event| {
        ends += usize::from(matches!(event, Event::Ended(index) if *index == first));
        ends > 0
    });
    // The poll and the shutdown may end later than the receive.
    let began = Instant::now();
    while sockets.outbox.slots[first].is_taken {
        assert!(began.elapsed() < TIME_MAX);
        let turned = sockets.turn(TURN, |_, event| assert!(!matches!(event, Event::Ended(_))));
        turned.unwrap();
    }
    assert_eq!(ends, 1);
}

#[test]
fn more_connections_than_places_are_refused_until_one_has_ended() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut sockets = Sockets::with_places(2).unwrap();
    let mut peers = Vec::new();
    let mut connect = |sockets: &mut Sockets| {
        let socket = TcpStream::connect(address).unwrap();
        peers.push(listener.accept().unwrap().0);
        sockets.insert(socket)
    };
    assert_eq!(connect(&mut sockets).unwrap(), 0);
    assert_eq!(connect(&mut sockets).unwrap(), 1);
    let refused = connect(&mut sockets).unwrap_err().to_string();
    assert!(
        refused.contains("at most 2 connections") && refused.contains("ulimit -n"),
        "{refused}"
    );
    sockets.outbox.close(0);
    let began = Instant::now();
    while sockets.outbox.slots[0].is_taken {
        assert!(began.elapsed() < TIME_MAX);
        sockets.turn(TURN, |_, _| {}).unwrap();
    }
    assert_eq!(connect(&mut sockets).unwrap(), 0);
}
