//! Commands about services.

use std::io::{Read, Write};

use crate::support::{Console, example};

#[test]
fn inject_changes_a_running_service() {
    let console = Console::start();
    let mut client = console.client();
    let sdb = client.address("snlua sdb");
    assert_eq!(
        client.output(&format!("call {sdb} \"get\", \"name\"")),
        "1\tskyring\nn\t1\n"
    );
    let file = example().join("fix.lua");
    let printed = client.output(&format!("inject {sdb} {} a b", file.display()));
    assert_eq!(printed, "get is replaced\ta\tb\n");
    assert_eq!(
        client.output(&format!("call {sdb} \"get\", \"name\"")),
        "1\tskyring!\nn\t1\n"
    );
}

#[test]
fn services_are_started_listed_asked_and_ended() {
    let console = Console::start();
    let mut client = console.client();
    let started = client.output("start sdb");
    let address = started.split('\t').next().expect("an address").to_owned();
    assert!(client.output("list").contains(&format!("{address}\tsnlua sdb\n")));
    assert!(
        client
            .output(&format!("ping {address}"))
            .trim()
            .parse::<u32>()
            .is_ok()
    );
    assert!(client.output("stat").contains(&format!("{address}\tcpu:")));
    assert!(client.output("mem").contains(&format!("{address}\t")));
    assert!(client.output("gc").contains(&format!("{address}\t")));
    assert_eq!(client.output(&format!("info {address}")), "reads\t0\n");
    assert_eq!(
        client.output(&format!("kill {address}")),
        format!("{address}\tsnlua sdb\n")
    );
    assert!(!client.output("list").contains(&address));
    assert!(client.run(&format!("ping {address}")).is_err());
    let started = client.output("start sdb");
    let address = started.split('\t').next().expect("an address").to_owned();
    client.output(&format!("exit {address}"));
    while client.output("list").contains(&address) {
        std::thread::yield_now();
    }
    let main = client.address("snlua main");
    let task = client.output(&format!("task {main}"));
    assert!(task.contains("session: ") && task.contains("main.lua:"), "{task}");
    assert!(client.output(&format!("uniqtask {main}")).contains("sessions:["));
    let thread = task
        .split_whitespace()
        .nth(1)
        .expect("the name of a coroutine")
        .to_owned();
    client.output(&format!("killtask {main} {thread}"));
    assert!(!client.output(&format!("task {main}")).contains("main.lua:"));
}

#[test]
fn the_environment_is_read_and_added_to() {
    let console = Console::start();
    let mut client = console.client();
    assert_eq!(client.output("getenv start"), "start\tmain\n");
    assert_eq!(client.output("getenv colour"), "colour\tnil\n");
    client.output("setenv colour blue");
    assert_eq!(client.output("getenv colour"), "colour\tblue\n");
    assert!(client.run("setenv colour red").is_err());
}

#[test]
fn a_command_runs_over_http() {
    let console = Console::start();
    let request = |text: &str| {
        let mut stream = console.connect();
        stream.write_all(text.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    let answer = request("GET /getenv/start HTTP/1.1\r\nHost: node\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nstart\tmain\n<CMD OK>\n"), "{answer}");
    let answer = request("POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\ngetenv start");
    assert!(answer.ends_with("\r\n\r\nstart\tmain\n<CMD OK>\n"), "{answer}");
    let answer = request("GET /getenv%20start HTTP/1.1\r\n\r\n");
    assert!(answer.ends_with("\r\n\r\nstart\tmain\n<CMD OK>\n"), "{answer}");
    let answer = request("POST / HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let answer = request("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let answer = request("GET /debug/8 HTTP/1.1\r\n\r\n");
    assert!(answer.ends_with("<CMD Error>\n"), "{answer}");
}
