//! `skyring bench gate` measures a gate, the gate in Lua and a floor, checks every packet, and refuses invalid arguments
//! before it measures.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use crate::common::{Folder, assert_one_line, outcome, output};

/// The shortest run.
const SHORT: [&str; 8] = [
    "bench",
    "gate",
    "--clients=40",
    "--active=10",
    "--packets=20",
    "--seconds=0.2",
    "--idle=0.1",
    "--rate=200",
];

fn bench(further: &[&str]) -> (Option<i32>, String, String) {
    outcome(&output([&SHORT[..], further].concat()))
}

#[test]
fn a_gate_is_measured_beside_the_one_in_lua_and_a_floor() {
    let folder = Folder::new();
    let json = folder.path("gate.json");
    let file = format!("--json={}", json.display());
    let (code, text, errors) = bench(&["--lua-gate", "--floor", "--in-flight=4", &file]);
    assert_eq!(code, Some(0), "{errors}");
    for line in [
        "gate echoes ",
        " x the packets of lua-gate",
        " x the packets of floor",
    ] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    let json = fs::read_to_string(json).expect("the figures are there");
    assert_eq!(json.matches("\"packets\":800,").count(), 3, "{json}");
    assert_eq!(
        json.matches("\"lost\":0,\"wrong\":0,\"ended\":0,").count(),
        3,
        "{json}"
    );
    assert!(!json.contains("\"echoes_per_second\":0.0"), "{json}");
}

#[test]
fn a_gate_is_measured_with_tls_beside_the_same_without() {
    for further in [&["--tls"][..], &["--tls", "--ws", "--in-flight=4"]] {
        let (code, text, errors) = bench(further);
        assert_eq!(code, Some(0), "{errors}");
        assert!(text.contains(" x the packets of gate-tls"), "{text}");
    }
}

#[test]
fn the_clients_can_be_websockets_with_large_packets_on_several_shards() {
    let (code, text, errors) = bench(&["--ws", "--path=/game", "--threads=2", "--size=3000"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(
        text.starts_with("40 websockets, packets of 3000 bytes, 2 shards"),
        "{text}"
    );
}

#[test]
fn settings_of_the_gate_are_passed_on_and_a_wrong_one_is_named() {
    let ran = output([&SHORT[..], &["--set", "idle_ms=60000", "--set", "colour=red"]].concat());
    assert_one_line(&ran, 1, "colour");
}

#[test]
fn a_target_that_loses_a_packet_is_found_out() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let target = format!("--target={}", listener.local_addr().expect("an address"));
    // Echoes the first packet, and then the second one twice instead of the third.
    thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        // The check whether it accepts, or a client.
        let mut packets = [0; 66];
        let mut number = 0;
        let mut second = packets;
        while client.read_exact(&mut packets).is_ok() {
            number += 1;
            match number {
                2 => second = packets,
                3 => packets = second,
                _ => {}
            }
            if client.write_all(&packets).is_err() {
                return;
            }
        }
    });
    let ran = output([&SHORT[..2], &SHORT[4..], &["--clients=1", &target]].concat());
    assert_one_line(&ran, 1, "waited for the answer to packet 2");
}

#[test]
fn hostile_clients_are_counted_and_healthy_ones_lose_nothing() {
    for (attack, is_websocket, counter) in [
        ("slow-loris", false, "\"timed_out\":0"),
        ("connects", false, "\"refused_by_address\":0"),
        ("malformed", true, "\"malformed\":0"),
    ] {
        let attack = format!("--hostile={attack}");
        let mut arguments = vec!["bench", "gate", &attack, "--runs=1", "--seconds=2"];
        arguments.extend(["--clients=4", "--rate=100", "--json=-"]);
        arguments.extend(is_websocket.then_some("--ws"));
        let (code, json, errors) = outcome(&output(arguments));
        assert_eq!(code, Some(0), "{attack}: {errors}");
        assert!(
            json.contains("\"faults\":0,") && json.contains("\"clients_after\":4"),
            "{json}"
        );
        assert!(!json.contains(counter), "{json}");
    }
    let (code, _, errors) = outcome(&output(["bench", "gate", "--hostile=rude"]));
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("never-read"), "{errors}");
}

#[test]
fn invalid_arguments_are_refused_at_once() {
    for wrong in [
        "--size=15",
        "--clients=0",
        "--clients=60001",
        "--in-flight=65",
        "--seconds=0",
        "--set=x",
        "--set=a=\"b",
        "--path=game",
        "--target=nowhere",
    ] {
        let (code, _, errors) = outcome(&output(["bench", "gate", wrong]));
        assert_eq!(code, Some(2), "{wrong}: {errors}");
    }
    let (code, _, errors) = outcome(&output(["bench", "gate", "--ws", "--path=game"]));
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("--path begins with /"), "{errors}");
}

#[test]
fn a_target_that_is_not_there_is_an_error() {
    let ran = output(["bench", "gate", "--target=127.0.0.1:1", "--clients=1"]);
    assert_one_line(&ran, 1, "Connection refused");
}
