//! What clients do wrong is answered with an error line, and harms neither the console nor the node.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use crate::support::Console;

#[test]
fn a_wrong_argument_is_an_error_line_and_the_console_goes_on() {
    let console = Console::start();
    let mut client = console.client();
    for command in [
        "bogus",
        "exit",
        "kill",
        "kill x",
        "kill .nobody",
        "kill 0",
        "kill 123456789",
        "ping",
        "ping :ffff",
        "task",
        "task zz",
        "task 8 zz",
        "task 8 1.5",
        "exit dead",
        "kill dead",
        "logon dead",
        "logoff dead",
        "signal dead",
        "info",
        "uniqtask",
        "killtask",
        "killtask 8",
        "dbgcmd",
        "dbgcmd 8",
        "dbgcmd 8 NOPE",
        "inject",
        "inject 8",
        "call",
        "call 8",
        "call 8 (",
        "call 8 error(1)",
        "call ffff 1",
        "debug",
        "debug ffff",
        "debug .nobody",
        "start",
        "start nobody",
        "start sdb\0",
        "log",
        "snax",
        "snax nobody",
        "stat x",
        "stat 0.5",
        "stat 1e300",
        "mem x",
        "gc x",
        "getenv",
        "setenv",
        "setenv a",
        "trace",
        "logon",
        "logoff",
        "signal",
        "signal 8 x",
        "jmem",
        "dumpheap",
        "profactive on",
        "\u{1b}[A",
    ] {
        let answer = client.run(command);
        let error = answer.expect_err(command);
        assert!(!error.is_empty(), "{command}");
    }
    assert_eq!(client.output("getenv start"), "start\tmain\n");
}

#[test]
fn a_file_that_fails_is_an_error_and_leaves_the_service_as_it_was() {
    let console = Console::start();
    let mut client = console.client();
    let sdb = client.address("snlua sdb");
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    // Opening it would block until somebody writes to it.
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).expect("a pipe");
    let large = folder.path().join("large.lua");
    std::fs::write(&large, vec![b' '; 1024 * 1024 + 1]).expect("written");
    for (file, part) in [
        ("/dev/zero", "no regular file"),
        ("/", "no regular file"),
        (&pipe.display().to_string(), "no regular file"),
        (&large.display().to_string(), "more than 1048576 bytes"),
        ("nothing.lua", "Can't open nothing.lua: No such file"),
    ] {
        let error = client.run(&format!("inject {sdb} {file}")).expect_err(file);
        assert!(error.contains(part), "{error}");
    }
    let empty = folder.path().join("empty.lua");
    std::fs::write(&empty, "").expect("written");
    assert_eq!(client.output(&format!("inject {sdb} {}", empty.display())), "\n");
    for (text, part) in [
        ("this is no lua", "syntax error"),
        ("error 'on purpose'", "on purpose"),
        ("_P.x.y = 1", "nil"),
    ] {
        let file = folder.path().join("bad.lua");
        std::fs::write(&file, text).expect("written");
        let error = client
            .run(&format!("inject {sdb} {}", file.display()))
            .expect_err(text);
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(
        client.output(&format!("call {sdb} \"get\", \"name\"")),
        "1\tskyring\nn\t1\n"
    );
}

#[test]
fn an_endless_line_ends_its_connection_only() {
    let console = Console::start();
    let mut endless = console.connect();
    let chunk = vec![b'x'; 64 * 1024];
    // The console closes the connection, at the latest when the buffers between are full.
    while endless.write_all(&chunk).is_ok() {}
    assert_eq!(console.client().output("getenv start"), "start\tmain\n");
}

#[test]
fn a_client_that_never_reads_harms_nothing() {
    let console = Console::start();
    let mut deaf = console.connect();
    for _ in 0..20_000 {
        if deaf.write_all(b"help\nlist\n").is_err() {
            break;
        }
    }
    assert_eq!(console.client().output("getenv start"), "start\tmain\n");
}

#[test]
fn no_command_runs_for_a_client_that_does_not_read_the_output_of_the_last() {
    let console = Console::start();
    let mut deaf = console.connect();
    // The console stops to read commands, so the connection fills up. If it read on, it would end at 64 MiB.
    deaf.set_write_timeout(Some(Duration::from_secs(2)))
        .expect("a timeout");
    let commands = b"help\n".repeat(4_096);
    let stopped = loop {
        if let Err(error) = deaf.write_all(&commands) {
            break error;
        }
    };
    assert_eq!(stopped.kind(), ErrorKind::WouldBlock, "{stopped}");
    assert_eq!(console.client().output("getenv start"), "start\tmain\n");
}

#[test]
fn commands_that_are_sent_ahead_wait_for_their_turn() {
    const COUNT: usize = 8_000;
    let console = Console::start();
    let mut client = console.client();
    let mut sender = client.stream.try_clone().expect("a second handle");
    let sent = std::thread::spawn(move || sender.write_all(&b"getenv start\n".repeat(COUNT)));
    for _ in 0..COUNT {
        client.read_until("<CMD OK>\n");
    }
    sent.join().expect("it ends").expect("the console reads");
}

#[test]
fn a_client_that_left_while_its_command_waits_gives_its_place_back() {
    let console = Console::start();
    let mut first = console.client();
    // Nobody answers: the service waits for the debugger.
    let sdb = first.address("snlua sdb");
    first.send(&format!("debug {sdb}"));
    first.read_until(">");
    first.send("function command_wait() skynet.wait() end skynet.dispatch('lua', command_wait)");
    first.read_until(">");
    for _ in 1..64 {
        let mut client = console.client();
        client.send(&format!("call {sdb} 1"));
    }
    console.node.await_lines("its command is given up", 63);
    assert_eq!(console.client().output("getenv start"), "start\tmain\n");
}

#[test]
fn a_request_that_a_web_page_may_send_is_refused() {
    let console = Console::start();
    for (request, status) in [
        ("GET /getenv/start HTTP/1.1\r\nOrigin: null\r\n\r\n", 403),
        (
            "POST / HTTP/1.1\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 4\r\n\r\nlist",
            403,
        ),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        ("PUT / HTTP/1.1\r\n\r\nkill .launcher\n", 405),
        ("GET /getenv/start HTTP/1.1\r\nSec-Fetch-Site: none\r\n\r\n", 200),
    ] {
        let mut stream = console.connect();
        stream.write_all(request.as_bytes()).expect("sent");
        let mut bytes = [0; 12];
        stream.read_exact(&mut bytes).expect("an answer");
        assert_eq!(
            String::from_utf8_lossy(&bytes),
            format!("HTTP/1.1 {status}"),
            "{request}"
        );
    }
}

#[test]
fn more_clients_than_the_bound_are_turned_away() {
    let console = Console::start();
    let held: Vec<_> = (0..64).map(|_| console.client()).collect();
    let mut more = console.connect();
    let mut answer = String::new();
    // The connection is closed; whether with an error depends on the kernel.
    let _ = more.read_to_string(&mut answer);
    assert_eq!(answer, "");
    console
        .node
        .await_log("is turned away: the console has 64 clients");
    drop(held);
    console.node.await_lines("disconnect", 64);
    assert_eq!(console.client().output("getenv start"), "start\tmain\n");
}
