//! Clients over TCP, whose packets begin with two bytes of length.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use skyring::{Answer, ClusterMap, Context, Message, Node, Payload, Service};
use skyring_services::{GATE_CALLS_MAX, GateSettings};

use crate::support::{launch_gate, read_to_end, receive, send, start};

#[test]
fn answers_go_back_in_order_and_an_empty_answer_sends_no_packet() {
    let running = start("10");
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
    let running = start("10");
    let mut eager = running.connect();
    running.await_event("open");
    for _ in 0..3 * GATE_CALLS_MAX {
        send(&mut eager, b"defer");
    }
    for _ in 0..GATE_CALLS_MAX {
        running.await_event("deferred");
    }
    let mut other = running.connect();
    // No further packet of the first client reached the service: its event would have come before this one.
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
        let mut packet = [0; 6];
        while answered < 3 * GATE_CALLS_MAX && eager.read_exact(&mut packet).is_ok() {
            assert_eq!(&packet, b"\0\x04late");
            answered += 1;
        }
    }
}

#[test]
fn an_error_closes_the_client_and_clients_past_the_limit_are_refused() {
    let running = start("1");
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
    let running = start("10");
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

/// Answers with the number of its shard and the body.
struct WhereService;

impl Service for WhereService {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        match message.unpack::<(&str, u32, Option<&[u8]>)>() {
            Ok(("data", client, _)) => {
                let shard = context.shard_index();
                Answer::now(&format!("{shard} {}", client as usize % context.shards()))
            }
            _ => Answer::none(),
        }
    }
}

#[test]
fn clients_are_spread_over_the_shards_and_their_packets_stay_there() {
    let node = Node::builder().threads(2).start().expect("a node");
    let port = node
        .block_on(|caller| async move {
            let target = caller.launch_keyed(|_| WhereService).await.expect("it starts");
            let settings = GateSettings::new("127.0.0.1", 0, target);
            launch_gate(&caller, settings).await.1
        })
        .expect("the node runs");
    let mut clients: Vec<_> = (0..8)
        .map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens"))
        .collect();
    let mut ask = || -> Vec<String> {
        let answers = clients.iter_mut().map(|client| {
            send(client, b"where");
            String::from_utf8(receive(client)).expect("a text")
        });
        answers.collect()
    };
    let answers = ask();
    let crossed = node.metrics().messages_crossed.get();
    for _ in 0..50 {
        assert_eq!(ask(), answers);
    }
    // Only the sweeps of the tests' own node may cross, and there are none.
    assert_eq!(node.metrics().messages_crossed.get(), crossed);
    for shard in ["0 0", "1 1"] {
        assert_eq!(
            answers.iter().filter(|answer| *answer == shard).count(),
            4,
            "{answers:?}"
        );
    }
}

#[test]
fn a_service_of_another_node_may_be_the_target() {
    struct Db;
    impl Service for Db {
        fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
            match message.unpack::<(&str, u32, Option<&[u8]>)>() {
                Ok(("data", _, Some(body))) => Answer::now(&[b"db: ", body].concat()[..]),
                _ => Answer::none(),
            }
        }
    }
    let db = Node::builder().threads(2).start().expect("a node");
    let address = db
        .block_on(|caller| async move {
            let handle = caller.launch(|_| Db).await?;
            caller.cluster().register("rooms", Some(handle))?;
            caller.cluster().open(0, None).await
        })
        .expect("the node runs")
        .expect("it listens");
    let map = ClusterMap::new()
        .with("db", &format!("127.0.0.1:{}", address.port()))
        .expect("an address");
    let node = Node::builder().threads(2).map(map).start().expect("a node");
    let port = node
        .block_on(|caller| async move {
            let settings = GateSettings::parse("127.0.0.1:0 db@rooms").expect("valid settings");
            launch_gate(&caller, settings).await.1
        })
        .expect("the node runs");
    let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    for text in ["one", "two"] {
        send(&mut client, text.as_bytes());
        assert_eq!(receive(&mut client), format!("db: {text}").into_bytes());
    }
}
