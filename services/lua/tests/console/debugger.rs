//! `debug`: a session stops a coroutine of a service, steps through it, and leaves it as it was.

use crate::support::{Client, Console};

/// Begins a session that has stopped the service at its next message.
fn stop_at_get(client: &mut Client, sdb: &str) {
    client.send(&format!("debug {sdb}"));
    client.read_until(&format!(":{sdb}>"));
    client.send("watch('lua', function(_, _, name) return name == 'get' end)");
    client.read_until("sdb.lua(24)>");
}

#[test]
fn debug_steps_through_a_message_and_reads_and_assigns_variables() {
    let console = Console::start();
    let mut client = console.client();
    let sdb = client.address("snlua sdb");
    stop_at_get(&mut client, &sdb);
    let mut step = |line: &str, shown: &str| {
        client.send(line);
        client.read_until(shown)
    };
    assert_eq!(step("name", "sdb.lua(24)>").lines().next(), Some("get"));
    step("s", "sdb.lua(25)>");
    step("s", "sdb.lua(13)>");
    step("n", "sdb.lua(14)>");
    step("s", "sdb.lua(8)>");
    assert_eq!(step("key", "sdb.lua(8)>").lines().next(), Some("name"));
    step("n", "sdb.lua(9)>");
    step("value = 'changed'", "sdb.lua(9)>");
    step("values.name", "skyring\n");
    step("reads = 41", "sdb.lua(9)>");
    step("n", "sdb.lua(15)>");
    assert_eq!(step("value", "sdb.lua(15)>").lines().next(), Some("changed"));
    step("error 'x'", "(debug):1: x\n");
    step("x x", "syntax error");
    step("c", &format!(":{sdb}>"));
    step("cont", "<CMD OK>\n");
    assert!(
        client
            .output(&format!("call {sdb} \"get\", \"name\""))
            .contains("skyring")
    );
}

#[test]
fn a_client_that_disconnects_in_a_session_lets_the_service_go_on() {
    let console = Console::start();
    let mut client = console.client();
    let sdb = client.address("snlua sdb");
    stop_at_get(&mut client, &sdb);
    drop(client);
    console.node.await_log("Leave debug mode");
    let mut client = console.client();
    assert!(
        client
            .output(&format!("call {sdb} \"get\", \"name\""))
            .contains("skyring")
    );
    // The coroutine that was stopped has answered, so main calls again.
    let reads = |client: &mut Client| client.output(&format!("info {sdb}"));
    let before = reads(&mut client);
    while reads(&mut client) == before {
        std::thread::yield_now();
    }
    // The service can be debugged again.
    stop_at_get(&mut client, &sdb);
}

#[test]
fn other_messages_are_handled_while_a_coroutine_is_stopped() {
    let console = Console::start();
    let mut debugging = console.client();
    let sdb = debugging.address("snlua sdb");
    stop_at_get(&mut debugging, &sdb);
    let mut client = console.client();
    assert!(
        client
            .output(&format!("call {sdb} \"get\", \"name\""))
            .contains("skyring")
    );
    let error = client
        .run(&format!("debug {sdb}"))
        .expect_err("one session at a time");
    assert!(error.contains("being debugged already"), "{error}");
}

#[test]
fn a_service_that_ends_in_a_session_ends_the_session() {
    let console = Console::start();
    let mut debugging = console.client();
    let sdb = debugging.address("snlua sdb");
    stop_at_get(&mut debugging, &sdb);
    console.client().output(&format!("kill {sdb}"));
    debugging.read_until("The service has left the debugger: ");
    debugging.read_until("<CMD Error>\n");
    assert!(debugging.output("getenv start").contains("main"));
}

#[test]
fn a_handler_that_fails_ends_its_stop_and_not_the_session() {
    let console = Console::start();
    let mut client = console.client();
    let sdb = client.address("snlua sdb");
    stop_at_get(&mut client, &sdb);
    client.send("name = 'absent'");
    client.read_until("sdb.lua(24)>");
    client.send("s");
    client.read_until("sdb.lua(25)>");
    client.send("n");
    client.read_until("the coroutine ended with an error: see the log\n");
    client.read_until(&format!(":{sdb}>"));
    client.send("1 + 1");
    client.read_until("2\n");
}
