//! `discovery = { etcd = … }` with a real etcd: nodes find each other without a map.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use skyring::{Node, NodeState};

use crate::etcd_server::Etcd;
use crate::load::Load;
use crate::node::{run, wait_until};
use crate::support::{Folder, serve};

/// A lease as short as etcd allows.
const LEASE_S: u64 = 2;

/// How long etcd is down where it is stopped under load: longer than a lease, or what `SKYRING_ETCD_DOWN_SECONDS` says.
fn down_time() -> Duration {
    let seconds = std::env::var("SKYRING_ETCD_DOWN_SECONDS").ok();
    let seconds = seconds.map(|text| text.parse().expect("a number of seconds"));
    Duration::from_secs(seconds.unwrap_or(LEASE_S + 1))
}

/// A node that is found by others.
struct Member {
    folder: Folder,
    node: Node,
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}

fn discovery(etcd: &Etcd, more: &str) -> String {
    let address = etcd.address();
    format!("discovery = {{ etcd = {{ '{address}' }}, prefix = '/test/game/', lease_s = {LEASE_S}, {more} }}")
}

fn config(etcd: &Etcd, name: &str, address: &str, more: &str) -> String {
    let discovery = discovery(etcd, &format!("advertise = '{address}', {more}"));
    format!("open = '{name}' down_after_ms = 1000 {discovery}")
}

fn member(etcd: &Etcd, name: &'static str, address: &str) -> Member {
    let folder = Folder::new();
    let node = folder.start(&config(etcd, name, address, ""));
    serve(&node, name);
    Member { folder, node }
}

/// A node that has no name and finds others.
fn gate(etcd: &Etcd, more: &str) -> Member {
    let folder = Folder::new();
    let node = folder.start(&format!("down_after_ms = 1000 {}", discovery(etcd, more)));
    Member { folder, node }
}

fn ask(node: &Node, name: &'static str) -> Result<String, String> {
    let call = node
        .client()
        .node(name)
        .timeout(Duration::from_secs(5))
        .call("@echo", "who");
    let answer = call.wait().and_then(|reply| reply.unpack::<String>());
    answer.map_err(|error| error.to_string())
}

fn state(node: &Node, name: &'static str) -> NodeState {
    run(node, move |caller| async move { caller.cluster().state(name) })
}

fn is_in_map(node: &Node, name: &'static str) -> bool {
    run(node, move |caller| async move {
        caller.cluster().map().nodes.contains_key(name)
    })
}

#[test]
fn three_nodes_find_each_other_without_a_map() {
    let Some(etcd) = Etcd::start() else { return };
    let names = ["a", "b", "c"];
    let members: Vec<Member> = names
        .iter()
        .map(|name| member(&etcd, name, &free_address()))
        .collect();
    for caller in &members {
        for name in names {
            assert_eq!(ask(&caller.node, name), Ok(name.to_owned()));
        }
    }
    // The second thing that is known of each is in the entry itself.
    let entry = etcd.post("/v3/kv/range", r#"{"key":"L3Rlc3QvZ2FtZS9h"}"#);
    assert!(entry.contains("\"count\":\"1\""), "{entry}");
}

#[test]
fn a_node_that_stops_is_down_at_once_and_is_forgotten_after_the_grace_time() {
    let Some(etcd) = Etcd::start() else { return };
    let (gate, db) = (gate(&etcd, "grace_s = 1"), member(&etcd, "db", &free_address()));
    assert_eq!(ask(&gate.node, "db"), Ok("db".to_owned()));
    db.node.stop();
    wait_until("it is down", || {
        state(&gate.node, "db") == NodeState::Down || !is_in_map(&gate.node, "db")
    });
    wait_until("it is forgotten", || !is_in_map(&gate.node, "db"));
    wait_until("it is logged", || {
        gate.folder.lines_with("etcd: db was not back in time") == 1
    });
}

#[test]
fn a_node_whose_lease_runs_out_is_down_but_not_forgotten_even_if_nobody_has_called_it() {
    let Some(etcd) = Etcd::start() else { return };
    let gate = gate(&etcd, "");
    // A node that no process is: its entry has a lease that nobody keeps.
    let granted = etcd.post("/v3/lease/grant", &format!("{{\"TTL\":\"{LEASE_S}\"}}"));
    let id = granted
        .split("\"ID\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let id = id.expect("a lease");
    // {"address":"127.0.0.1:1"}
    let put = format!(
        r#"{{"key":"L3Rlc3QvZ2FtZS9kYg==","value":"eyJhZGRyZXNzIjoiMTI3LjAuMC4xOjEifQ==","lease":"{id}"}}"#
    );
    etcd.post("/v3/kv/put", &put);
    wait_until("it is known", || is_in_map(&gate.node, "db"));
    assert_eq!(state(&gate.node, "db"), NodeState::Unknown);
    let started = Instant::now();
    wait_until("it is down", || state(&gate.node, "db") == NodeState::Down);
    println!("down {} ms after it was known", started.elapsed().as_millis());
    assert!(is_in_map(&gate.node, "db"));
    let error = ask(&gate.node, "db").expect_err("nothing is there");
    assert!(
        error.contains("unreachable") || error.contains("cannot be reached"),
        "{error}"
    );
}

#[test]
fn calls_follow_a_node_to_its_new_address() {
    let Some(etcd) = Etcd::start() else { return };
    let gate = gate(&etcd, "");
    let db = member(&etcd, "db", &free_address());
    assert_eq!(ask(&gate.node, "db"), Ok("db".to_owned()));
    db.node.stop();
    let moved = free_address();
    let db = member(&etcd, "db", &moved);
    wait_until("it is found", || ask(&gate.node, "db") == Ok("db".to_owned()));
    drop(db);
}

#[test]
fn a_lost_etcd_fails_no_call_and_is_followed_again_also_without_its_data() {
    let Some(mut etcd) = Etcd::start() else { return };
    let gate = gate(&etcd, "");
    let _db = member(&etcd, "db", &free_address());
    let load = Load::start(&gate.node, "db");
    load.wait_for("db");
    for (count, loses_data) in [false, true].into_iter().enumerate() {
        etcd.kill();
        wait_until("it is lost", || {
            gate.folder.lines_with("etcd is lost") == count + 1
        });
        let down = down_time();
        std::thread::sleep(down);
        if loses_data {
            etcd.lose_data();
        }
        etcd.start_again();
        let started = Instant::now();
        wait_until("it is back", || {
            gate.folder.lines_with("etcd is back") == count + 1
        });
        wait_until("the node is published again", || {
            etcd.post("/v3/kv/range", r#"{"key":"L3Rlc3QvZ2FtZS9kYg=="}"#)
                .contains("\"count\":\"1\"")
        });
        let answered: u64 = load.so_far().by_name.values().sum();
        println!(
            "down for {} s, loses its data: {loses_data}; in step {} ms after its start; {answered} calls so far",
            down.as_secs(),
            started.elapsed().as_millis()
        );
        std::thread::sleep(Duration::from_secs(LEASE_S + 1));
        assert_eq!(gate.folder.lines_with("etcd is lost"), count + 1, "reported once");
        let other = member(&etcd, "other", &free_address());
        wait_until("a new node is found", || is_in_map(&gate.node, "other"));
        drop(other);
    }
    let answers = load.end();
    assert_eq!(answers.errors, Vec::<String>::new());
    assert_eq!(gate.folder.lines_with("node db is down"), 0);
}

#[test]
fn the_second_node_of_one_name_is_refused_with_the_reason() {
    let Some(etcd) = Etcd::start() else { return };
    let address = free_address();
    let first = member(&etcd, "db", &address);
    let folder = Folder::new();
    let refused = folder.try_start(&config(&etcd, "db", &free_address(), ""));
    let error = refused.err().expect("the name is taken").to_string();
    let expected = format!("the name db is taken by the node at {address}");
    assert!(error.contains("open: ") && error.contains(&expected), "{error}");
    first.node.stop();
    let second = folder.start(&config(&etcd, "db", &free_address(), ""));
    drop(second);
}

#[test]
fn a_node_that_is_started_again_takes_over_the_entry_that_it_had() {
    let Some(etcd) = Etcd::start() else { return };
    let (gate, address) = (gate(&etcd, ""), free_address());
    // As one leaves it that was killed: its lease has not run out.
    let value = format!("{{\"address\":\"{address}\",\"process\":\"1\"}}");
    let value = STANDARD.encode(value);
    etcd.post(
        "/v3/kv/put",
        &format!(r#"{{"key":"L3Rlc3QvZ2FtZS9kYg==","value":"{value}"}}"#),
    );
    let db = member(&etcd, "db", &address);
    wait_until("it is logged", || {
        db.folder.lines_with("etcd has this node as db") == 1
    });
    assert_eq!(ask(&gate.node, "db"), Ok("db".to_owned()));
}

#[test]
fn other_keys_under_the_prefix_are_reported_once_and_change_nothing() {
    let Some(etcd) = Etcd::start() else { return };
    let put = |key: &str, value: &str| {
        let (key, value) = (STANDARD.encode(key), STANDARD.encode(value));
        etcd.post("/v3/kv/put", &format!(r#"{{"key":"{key}","value":"{value}"}}"#));
    };
    put("/test/game/eu/db", "{}");
    put("/test/game/notes", "do not touch");
    let gate = gate(&etcd, "");
    put("/test/game/off", "false");
    wait_until("off is known", || is_in_map(&gate.node, "off"));
    wait_until("they are reported", || {
        gate.folder.lines_with("has no effect") == 2
    });
    assert!(!is_in_map(&gate.node, "notes"));
    assert!(
        ask(&gate.node, "off")
            .expect_err("it is off")
            .contains("disabled")
    );
}

#[test]
fn a_node_starts_without_an_etcd_and_is_found_when_it_is_there() {
    let Some(mut etcd) = Etcd::start() else { return };
    etcd.kill();
    let db = member(&etcd, "db", &free_address());
    assert_eq!(
        db.folder
            .lines_with("etcd is lost, and the cluster map stays as it is"),
        1
    );
    etcd.start_again();
    let gate = gate(&etcd, "");
    assert_eq!(ask(&gate.node, "db"), Ok("db".to_owned()));
}
