//! Gates pass complete packages of clients to agents, whatever clients do.

use std::time::Duration;

use socket2::SockRef;

use crate::node::Running;
use crate::support::{package, read_package, send, start};

/// A watchdog like that of Skynet's example: an agent serves each client.
const WATCHDOG: &str = r#"
local gate
local agents, commands, events = {}, {}, {}
local function close(fd)
    local agent = agents[fd]
    agents[fd] = nil
    if agent then
        skynet.call(gate, "lua", "kick", fd)
        skynet.send(agent, "lua", "disconnect")
    end
end
function events.open(fd, address)
    agents[fd] = skynet.newservice "agent"
    skynet.call(agents[fd], "lua", "start", gate, fd)
end
events.close = close
events.error = close
function commands.start(conf)
    return skynet.call(gate, "lua", "open", conf)
end
skynet.start(function()
    skynet.dispatch("lua", function(_, _, command, sub, ...)
        if command == "socket" then
            events[sub](...)
        else
            skynet.retpack(commands[command](sub, ...))
        end
    end)
    gate = skynet.newservice "gate"
end)
"#;

const AGENT: &str = r#"
local socket = require "skynet.socket"
local client
local commands = {}
skynet.register_protocol {
    name = "client", id = skynet.PTYPE_CLIENT, unpack = skynet.tostring,
    dispatch = function(fd, _, message)
        assert(fd == client)
        skynet.ignoreret()
        assert(socket.write(client, string.pack(">s2", message)))
    end,
}
function commands.start(gate, fd)
    client = fd
    skynet.call(gate, "lua", "forward", fd)
end
function commands.disconnect()
    skynet.error "AGENT ENDS"
    skynet.exit()
end
skynet.start(function()
    skynet.dispatch("lua", function(_, _, command, ...)
        skynet.retpack(commands[command](...))
    end)
end)
"#;

fn with_agents() -> Running {
    start(
        "local watchdog = skynet.newservice 'watchdog'
        local address, port = skynet.call(watchdog, 'lua', 'start', { address = '127.0.0.1', port = 0, maxclient = 2000 })
        assert(address == '127.0.0.1')
        skynet.error('PORT ' .. port)",
        &[("watchdog", WATCHDOG), ("agent", AGENT)],
    )
}

#[test]
fn complete_packages_reach_agents_and_answers_come_back() {
    let running = with_agents();
    let mut client = running.connect();
    send(&mut client, &package(b"hello"));
    assert_eq!(read_package(&mut client), b"hello");
    for byte in package(b"slow") {
        send(&mut client, &[byte]);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(read_package(&mut client), b"slow");
    let largest = vec![7; 0xffff];
    send(&mut client, &package(&largest));
    assert_eq!(read_package(&mut client), largest);
    send(&mut client, &package(b""));
    assert_eq!(read_package(&mut client), b"");
    let many: Vec<u8> = (0..2000)
        .flat_map(|number| package(number.to_string().as_bytes()))
        .collect();
    send(&mut client, &many);
    for number in 0..2000 {
        assert_eq!(read_package(&mut client), number.to_string().as_bytes());
    }
}

#[test]
fn a_client_that_disconnects_within_a_package_ends_only_its_agent() {
    let running = with_agents();
    let mut healthy = running.connect();
    for round in 0..20 {
        let mut client = running.connect();
        send(&mut client, &package(b"I am here"));
        assert_eq!(read_package(&mut client), b"I am here");
        // A complete package and the beginning of a package of the largest size.
        send(
            &mut client,
            &[&package(b"more")[..], &[0xff, 0xff, 1, 2, 3]].concat(),
        );
        if round % 2 == 0 {
            // With this option closing resets the connection.
            SockRef::from(&client)
                .set_linger(Some(Duration::ZERO))
                .expect("an option");
        }
        drop(client);
        send(&mut healthy, &package(b"still served"));
        assert_eq!(read_package(&mut healthy), b"still served");
    }
    running.await_lines("AGENT ENDS", 20);
}

/// A watchdog without agents, which answers packages itself.
const ECHOING: &str = r#"
local socketdriver = require "skynet.socketdriver"
local netpack = require "skynet.netpack"
local gate
local events = {}
function events.open(fd)
    skynet.send(gate, "lua", "accept", fd)
end
function events.data(fd, message)
    socketdriver.send(fd, netpack.pack(message))
end
function events.close(fd)
    skynet.send(gate, "lua", "kick", fd)
end
events.error = events.close
skynet.start(function()
    skynet.dispatch("lua", function(_, _, command, sub, ...)
        if command == "socket" then
            local run = events[sub]
            return run and run(...)
        end
        skynet.retpack(skynet.call(gate, "lua", "open", sub))
    end)
    gate = skynet.newservice "gate"
end)
"#;

fn without_agents(clients_max: usize) -> Running {
    start(
        &format!(
            "local watchdog = skynet.newservice 'watchdog'
            local _, port = skynet.call(watchdog, 'lua', 'start', {{ address = '127.0.0.1', port = 0, maxclient = {clients_max} }})
            skynet.error('PORT ' .. port)"
        ),
        &[("watchdog", ECHOING)],
    )
}

#[test]
fn a_thousand_clients_are_served_at_a_time() {
    let running = without_agents(2000);
    let mut clients: Vec<_> = (0..1000).map(|_| running.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        send(client, &package(number.to_string().as_bytes()));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(read_package(client), number.to_string().as_bytes());
    }
}

#[test]
fn clients_past_the_limit_are_refused_until_a_client_leaves() {
    let running = without_agents(2);
    let serve = |client: &mut std::net::TcpStream| {
        send(client, &package(b"hi"));
        assert_eq!(read_package(client), b"hi");
    };
    let (mut first, mut second) = (running.connect(), running.connect());
    serve(&mut first);
    serve(&mut second);
    let mut third = running.connect();
    let mut rest = Vec::new();
    let ended = std::io::Read::read_to_end(&mut third, &mut rest);
    assert!(ended.is_err() || rest.is_empty(), "it is refused");
    drop(first);
    // Another client is accepted once the gate has handled the end of the first.
    let is_served = (0..2000).any(|_| {
        let mut client = running.connect();
        client
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a timeout");
        let mut answer = [0; 4];
        let asked = std::io::Write::write_all(&mut client, &package(b"hi"));
        asked.is_ok() && std::io::Read::read_exact(&mut client, &mut answer).is_ok()
    });
    assert!(is_served, "{}", running.log());
    serve(&mut second);
}
