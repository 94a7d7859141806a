//! A gate holds more clients than the node's process may open files, since they need none.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::common::{Folder, Running, free_port, outcome, output, wait_for_reply};

/// Files that the process may open.
const FILES: usize = 200;

/// Clients of the gate.
const CLIENTS: usize = 300;

const GAME: &str = "local skynet = require 'skynet'\n\
    require 'skynet.manager'\n\
    skynet.start(function()\n\
    skynet.dispatch('lua', function(_, _, event, client, bytes)\n\
    if event == 'data' then skynet.retpack(bytes) else skynet.retpack() end\n\
    end)\n\
    skynet.register '.game'\n\
    end)";

/// Sends a packet, and asserts that it comes back.
fn assert_echoed(client: &mut TcpStream, text: &str) {
    let packet = [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat();
    client.write_all(&packet).expect("the gate takes it");
    let mut answer = vec![0; packet.len()];
    client.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer, packet);
}

#[test]
fn a_gate_has_more_clients_than_its_process_may_open_files() {
    let (folder, port, gate) = (Folder::new(), free_port(), free_port());
    folder.write("game.lua", GAME);
    folder.write("clustername.lua", format!("db = '127.0.0.1:{port}'"));
    let config = folder.write(
        "config",
        format!(
            "thread = 2\ncluster = './clustername.lua'\nopen = 'db'\nstart = 'game'\nluaservice = '{}'\n\
             services = {{ sdb = 'simpledb', echo = 'echo', front = 'gate 127.0.0.1:{gate} .game 1000' }}\n",
            folder.path("?.lua").display()
        ),
    );
    let run = format!(
        "ulimit -n {FILES}; exec {} run {}",
        env!("CARGO_BIN_EXE_skyring"),
        config.display()
    );
    let mut node = Running::start(Command::new("sh").args(["-c", &run]));
    let address = format!("127.0.0.1:{port}");
    wait_for_reply(&address, &mut node);
    let mut clients: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let client = TcpStream::connect(("127.0.0.1", gate)).expect("the gate listens");
            client
                .set_read_timeout(Some(Duration::from_secs(30)))
                .expect("a time above zero");
            client
        })
        .collect();
    for round in 0..2 {
        for (number, client) in clients.iter_mut().enumerate() {
            assert_echoed(client, &format!("packet {round} of client {number}"));
        }
    }
    let open = std::fs::read_dir(format!("/proc/{}/fd", node.id())).expect("the node runs");
    assert!(open.count() < 100, "the clients have descriptors");
    // Others still get theirs, and clients that have left make room.
    let answer = output(["call", "--addr", &address, "@echo", "still here"]);
    assert_eq!(outcome(&answer).1, "still here\n");
    clients.truncate(CLIENTS / 2);
    for number in 0..CLIENTS {
        let mut client = TcpStream::connect(("127.0.0.1", gate)).expect("the gate listens");
        client
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a time above zero");
        assert_echoed(&mut client, &format!("late client {number}"));
    }
    for client in &mut clients {
        assert_echoed(client, "goodbye");
    }
    node.signal("TERM");
    assert_eq!(node.wait_for_end().code(), Some(0));
}
