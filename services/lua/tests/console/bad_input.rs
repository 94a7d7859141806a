//! What clients do wrong is answered with an error line, and harms neither the console nor the node.

use std::io::{Read, Write};

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
