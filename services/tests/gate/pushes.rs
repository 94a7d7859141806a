//! What services tell a gate to do with its clients.

use skyring::{Answer, Context, Message, Payload, Service};

use crate::support::{read_to_end, receive, send, start};

fn pack<T: skyring::seri::Pack>(values: T) -> Payload {
    Payload::pack(&values).expect("it packs")
}

fn number(payload: &Payload) -> u64 {
    payload.unpack().expect("a number")
}

#[test]
fn a_packet_for_a_room_reaches_its_clients_on_every_shard() {
    let running = start("100");
    let mut clients: Vec<_> = (0..6)
        .map(|_| {
            let client = running.connect();
            (running.await_event("open"), client)
        })
        .collect();
    for (id, _) in &clients[..4] {
        for _ in 0..2 {
            running.command(pack(("join", *id, "lobby"))).expect("it is open");
        }
    }
    running
        .command(pack(("leave", clients[3].0, "lobby")))
        .expect("it is open");
    let pushed = running.command(pack(("push", "lobby", &b"hello"[..])));
    assert_eq!(number(&pushed.expect("it runs")), 3);
    let pushed = running.command(pack(("push_all", &b"all"[..])));
    assert_eq!(number(&pushed.expect("it runs")), 6);
    for (place, (_, client)) in clients.iter_mut().enumerate() {
        if place < 3 {
            assert_eq!(receive(client), b"hello");
        }
        assert_eq!(receive(client), b"all");
    }
    // Who leaves the gate leaves its rooms.
    let (id, mut first) = clients.remove(0);
    running.command(pack(("kick", id))).expect("it is open");
    assert_eq!(read_to_end(&mut first), 0);
    let pushed = running.command(pack(("push", "lobby", &b"again"[..])));
    assert_eq!(number(&pushed.expect("it runs")), 2);
    let pushed = running.command(pack(("push", "nowhere", &b"x"[..])));
    assert_eq!(number(&pushed.expect("it runs")), 0);
    assert_eq!(number(&running.command(pack("clients")).expect("it runs")), 5);
}

#[test]
fn an_agent_gets_the_packets_of_its_client_instead_of_the_target() {
    struct Agent;
    impl Service for Agent {
        fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
            Answer::now("from the agent")
        }
    }
    let running = start("10");
    let mut client = running.connect();
    let id = running.await_event("open");
    send(&mut client, b"to the target");
    assert_eq!(receive(&mut client), b"to the target");
    let agent = running
        .node
        .block_on(|caller| async move { caller.launch(|_| Agent).await });
    let agent = agent.expect("the node runs").expect("it starts");
    running
        .command(pack(("forward", id, agent.0)))
        .expect("it is open");
    send(&mut client, b"to the agent");
    assert_eq!(receive(&mut client), b"from the agent");
    running
        .command(pack(("forward", id, None::<u32>)))
        .expect("it is open");
    send(&mut client, b"back");
    assert_eq!(receive(&mut client), b"back");
}

#[test]
fn a_wrong_command_is_an_error_that_says_what_is_expected() {
    let running = start("10");
    for (command, part) in [
        (
            pack(("dance", 1)),
            "unknown command dance: the gate has write, kick, forward",
        ),
        (pack(("write", "x")), "expected write, a client, bytes"),
        (pack(("join", 1)), "expected join, a client, a room"),
        (pack(("push", 7)), "expected push, a room, bytes"),
        (pack(("kick", -1)), "expected kick, a client"),
        (pack(("write", 77, &b"x"[..])), "the gate has no client 77"),
        (pack(("join", 77, "lobby")), "the gate has no client 77"),
    ] {
        let error = running.command(command).expect_err(part).to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
}
