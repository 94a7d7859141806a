//! `skynet.socket`: reads wait until enough data has arrived, and no peer can make memory grow without bound.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::support::{send, start};

/// A program that listens, and runs `body` for each connection `id`.
fn serving(body: &str) -> String {
    format!(
        "local id, _, port = socket.listen('127.0.0.1', 0)
        socket.start(id, function(id, address)
            skynet.fork(function()
                socket.start(id)
                {body}
                socket.close(id)
            end)
        end)
        skynet.error('PORT ' .. port)"
    )
}

#[test]
fn lines_blocks_and_the_rest_are_read() {
    let body = "local line = socket.readline(id)
        local block = socket.read(id, 5)
        local crlf = socket.readline(id, '\\r\\n')
        local rest = socket.readall(id)
        socket.write(id, { line, '|', block, '|', crlf, '|', rest })";
    let running = start(&serving(body), &[]);
    let mut client = running.connect();
    for part in ["fi", "rst\nab", "cdesec", "ond\r", "\nand the", " rest"] {
        send(&mut client, part.as_bytes());
        std::thread::sleep(Duration::from_millis(10));
    }
    client.shutdown(std::net::Shutdown::Write).expect("a half-close");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an orderly end");
    assert_eq!(answer, "first|abcde|second|and the rest");
}

#[test]
fn a_reader_of_many_lines_that_have_arrived_lets_others_go_on() {
    // All lines are in the buffer when the first read begins, so that no read waits.
    let body = "local function received()
            for _, info in ipairs(socket.netstat()) do
                if info.id == id then
                    return info.read
                end
            end
        end
        while received() < 2000 do
            skynet.sleep(1)
        end
        skynet.sleep(1)
        local count = 0
        skynet.fork(function()
            skynet.error('OTHER ' .. (count < 1000 and 'goes on' or 'waits'))
        end)
        for _ = 1, 1000 do
            count = count + (socket.readline(id) == 'x' and 1 or 0)
        end
        socket.write(id, tostring(count))";
    let running = start(&serving(body), &[]);
    let mut client = running.connect();
    send(&mut client, &b"x\n".repeat(1_000));
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an orderly end");
    assert_eq!(answer, "1000");
    running.await_log("OTHER goes on");
}

#[test]
fn a_read_after_the_end_of_a_connection_returns_false_and_the_rest() {
    let body = "local ok, rest = socket.readline(id)
        skynet.error('LINE ' .. tostring(ok) .. ' ' .. rest)
        local ok, rest = socket.read(id, 10)
        skynet.error('BLOCK ' .. tostring(ok) .. ' [' .. rest .. ']')
        skynet.error('GONE ' .. tostring(socket.disconnected(id)))";
    let running = start(&serving(body), &[]);
    let mut client = running.connect();
    send(&mut client, b"no end");
    drop(client);
    running.await_log("LINE false no end");
    running.await_log("BLOCK false []");
    running.await_log("GONE true");
}

#[test]
fn a_connection_is_closed_when_a_line_exceeds_the_limit() {
    let body = "socket.limit(id, 100000)
        local ok = socket.readline(id)
        skynet.error('LINE ' .. tostring(ok))";
    let running = start(&serving(body), &[]);
    let mut client = running.connect();
    let started = Instant::now();
    // The node closes the connection, so a write fails in the end.
    while client.write_all(&[b'x'; 10_000]).is_ok() {
        assert!(started.elapsed() < crate::node::TIMEOUT, "{}", running.log());
    }
    running.await_log("socket buffer overflow");
    running.await_log("LINE false");
}

#[test]
fn a_client_that_is_not_read_waits_and_loses_no_bytes() {
    const BYTES: usize = 40 << 20;
    let body = "local first = socket.read(id, 1)
        while not GO do skynet.sleep(1) end
        local count = #first
        while true do
            local text = socket.read(id)
            if not text then break end
            count = count + #text
        end
        skynet.error('READ ' .. count)";
    let main = format!(
        "GO = false\nskynet.timeout(200, function() GO = true end)\n{}",
        serving(body)
    );
    let running = start(&main, &[]);
    let mut client = running.connect();
    let writer = std::thread::spawn(move || client.write_all(&vec![1; BYTES]).expect("the node reads"));
    writer.join().expect("the writer ends");
    running.await_log(&format!("READ {BYTES}"));
}

#[test]
fn a_connection_can_be_transferred_to_another_service() {
    let agent = "local socket = require 'skynet.socket'
        skynet.start(function()
            skynet.dispatch('lua', function(_, _, id)
                assert(socket.start(id))
                skynet.retpack()
                skynet.fork(function()
                    socket.write(id, 'agent got ' .. socket.readline(id) .. '\\n')
                    skynet.exit()
                end)
            end)
        end)";
    let body = "local line = socket.readline(id)
        socket.abandon(id)
        for _ = 1, 3 do skynet.newservice 'agent' end -- so that the last is on another shard than some
        skynet.call(skynet.newservice 'agent', 'lua', id)
        socket.write(id, 'main got ' .. line .. '\\n')
        if true then return end";
    let running = start(&serving(body), &[("agent", agent)]);
    let mut client = running.connect();
    send(&mut client, b"one\n");
    let mut answer = vec![0; "main got one\n".len()];
    client.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer, b"main got one\n");
    send(&mut client, b"two\n");
    let mut rest = String::new();
    client.read_to_string(&mut rest).expect("the end of the agent");
    assert_eq!(rest, "agent got two\n");
}

#[test]
fn a_failed_connect_returns_nil_and_the_cause() {
    let main = "local id, port = socket.listen('127.0.0.1', 0)
        socket.close(id)
        local id, why = socket.open('127.0.0.1', 1)
        assert(id == nil and why:find 'refused', why)
        local id, why = socket.open('no.such.host.invalid', 80)
        assert(id == nil and why:find 'no.such.host.invalid', why)
        local ok, why = pcall(socket.listen, '127.0.0.1:99999')
        assert(not ok and why:find 'Invalid port', why)
        local ok, why = pcall(socket.listen, '203.0.113.1', 80)
        assert(not ok and why:find 'no such address', why)
        local ok, why = pcall(socket.listen, 'no.such.host.invalid', 80)
        assert(not ok and why:find 'no.such.host.invalid', why)
        assert(socket.write(12345, 'to nobody') == false or true)
        local addresses = socket.resolve '127.0.0.1'
        assert(addresses[1] == '127.0.0.1')";
    start(main, &[]);
}

#[test]
fn datagrams_are_answered_at_their_source() {
    let main = "local server
        server = socket.udp_listen('127.0.0.1', 0, function(text, from)
            socket.sendto(server, from, 'OK ' .. text)
        end)
        local port
        for _, row in ipairs(socket.netstat()) do
            if row.id == server then port = tonumber(row.peer:match ':(%d+)$') end
        end
        local got, me = 0, coroutine.running()
        local client = socket.udp_dial('127.0.0.1', port, function(text, from)
            local address, number = socket.udp_address(from)
            assert(text == 'OK hello' and address == '127.0.0.1' and number == port)
            got = got + 1
            if got == 20 then skynet.wakeup(me) end
        end)
        for _ = 1, 20 do socket.write(client, 'hello') end
        skynet.wait(me)";
    start(main, &[]);
}

#[test]
fn a_node_that_stops_closes_its_sockets_and_finalizers_may_use_them() {
    let main = "local id, _, port = socket.listen('127.0.0.1', 0)
        KEPT = setmetatable({}, { __gc = function()
            socket.shutdown(id) socket.close_fd(id + 1000000) socket.write(id, 'late')
        end })
        local driver = require 'skynet.socketdriver'
        OTHER = setmetatable({}, { __gc = function() driver.shutdown(id) driver.send(id, 'late') end })
        local netpack = require 'skynet.netpack'
        local buffer, queue = driver.buffer(), nil
        THIRD = setmetatable({}, { __gc = function()
            netpack.clear(queue) driver.clear(buffer, {}) driver.readall(buffer, {}) netpack.pack 'late'
        end })
        skynet.dispatch('lua', function() end)
        skynet.error('PORT ' .. port)";
    let running = start(main, &[]);
    let port = running.port();
    running.stop_without_panics();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

/// Has a finalizer for each function that uses the host: separate ones, because each may raise an error.
const FINALIZERS: &str = "
local cluster = require 'skynet.cluster'
local core = require 'skynet.cluster.core'
local crypt = require 'skynet.crypt'
local monitor
local late = {
    function() cluster.call('nowhere', '@late', 1) end,
    function() cluster.send('nowhere', '@late', { 1 }) end,
    function() cluster.query('nowhere', 'late') end,
    function() cluster.register('late', skynet.self()) end,
    function() cluster.monitor('nowhere', print) end,
    function() core.listen(1) end,
    function() core.register('late', skynet.self()) core.unregister 'late' end,
    function() core.query('nowhere', 'late') core.proxy('nowhere', 1) end,
    function() core.reload { nowhere = false } end,
    function() core.state 'nowhere' core.monitor 'nowhere' core.next_event(monitor) end,
    function() crypt.base64encode(crypt.randomkey()) crypt.sha1 'late' end,
    function() require 'skynet.netpack' end,
    function() require 'skynet.multicast' end,
    function() skynet.send(skynet.self(), 'lua', 'late') end,
    function() skynet.newservice 'late' end,
}
local kept = {}
for i, f in ipairs(late) do
    kept[i] = setmetatable({}, { __gc = f })
end
skynet.start(function()
    monitor = core.monitor 'nowhere'
    KEPT = kept
    skynet.dispatch('lua', function() skynet.exit() end)
end)";

#[test]
fn finalizers_may_call_anything_when_their_interpreter_is_closed() {
    let main = "local ends, stays = skynet.newservice 'late', skynet.newservice 'late'
        skynet.send(ends, 'lua')
        while not skynet.call('.launcher', 'lua', 'LIST')[skynet.address(stays)] do skynet.sleep(1) end
        while skynet.call('.launcher', 'lua', 'LIST')[skynet.address(ends)] do skynet.sleep(1) end";
    start(main, &[("late", FINALIZERS)]).stop_without_panics();
}
