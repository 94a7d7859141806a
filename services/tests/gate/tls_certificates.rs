//! Which certificates a gate shows and accepts, and how they are exchanged while it runs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use skyring::{Node, Security, Tls, TlsFiles};
use skyring_services::{Gate, GateSettings};

use crate::support::{TIMEOUT, receive, send, start_protocol};
use crate::tls_support::{Ca, NAME, secured};

/// What a client has against a gate.
fn complaint(ca: &Ca, running: &crate::support::Running, name: &str) -> String {
    let mut client = secured(ca.client(None), running.port, name);
    let error = client.write_all(b"hello").expect_err("it is refused");
    error.to_string()
}

#[test]
fn a_client_is_told_of_a_wrong_name_another_ca_and_an_expired_certificate_and_the_gate_counts_it() {
    let ca = Ca::new();
    let running = ca.start("tls://", "10");
    let said = complaint(&ca, &running, "other.example");
    assert!(said.contains("not valid for name"), "{said}");
    running.await_counter("tls_refused", 1);
    let said = complaint(&Ca::new(), &running, NAME);
    assert!(said.contains("UnknownIssuer"), "{said}");
    running.await_counter("tls_refused", 2);
    ca.issue("old", NAME, |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let expired = start_protocol("tls://", &format!("10 {}", ca.settings("old")));
    let said = complaint(&ca, &expired, NAME);
    assert!(said.contains("expired"), "{said}");
    expired.await_counter("tls_refused", 1);
}

#[test]
fn a_certificate_is_exchanged_under_load_without_losing_a_client() {
    let ca = Ca::new();
    let running = ca.start("tls://", "100");
    let shown = |running: &crate::support::Running| {
        let mut client = ca.connect(running);
        send(&mut client, b"who");
        assert_eq!(receive(&mut client), b"who");
        let chain = client.conn.peer_certificates().expect("a certificate");
        chain[0].clone().into_owned()
    };
    let first = shown(&running);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Clients that stay, and clients that come and go.
        for is_staying in [true, true, false, false] {
            let (ca, port, is_over) = (&ca, running.port, &is_over);
            scope.spawn(move || {
                let mut client = secured(ca.client(None), port, NAME);
                let mut number = 0u32;
                while !is_over.load(Ordering::Relaxed) {
                    send(&mut client, &number.to_le_bytes());
                    assert_eq!(receive(&mut client), number.to_le_bytes());
                    number += 1;
                    if !is_staying {
                        client = secured(ca.client(None), port, NAME);
                    }
                }
            });
        }
        for _ in 0..3 {
            let before = shown(&running);
            ca.issue("gate", NAME, |_| {});
            let written = CertificateDer::from_pem_file(ca.file("gate.pem")).expect("a certificate");
            let began = Instant::now();
            while shown(&running) != written {
                assert!(began.elapsed() < TIMEOUT, "the new certificate is not in force");
                thread::sleep(Duration::from_millis(20));
            }
            assert!(before != written && first != written);
        }
        // Files that cannot be used change nothing.
        let in_force = shown(&running);
        fs::write(ca.file("gate.pem"), "no certificate").expect("it is writable");
        thread::sleep(Duration::from_millis(1_500));
        assert!(shown(&running) == in_force);
        is_over.store(true, Ordering::Relaxed);
    });
    for counter in ["tls_malformed", "tls_refused", "tls_missing", "timed_out"] {
        assert_eq!(running.counter(counter), 0, "{counter}");
    }
}

#[test]
fn clients_need_a_certificate_where_the_gate_has_their_ca_and_only_there() {
    let ca = Ca::new();
    let others = Ca::new();
    ca.issue("anna", "anna.players", |_| {});
    others.issue("eve", "anna.players", |_| {});
    ca.issue("late", "anna.players", |params| {
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let client_ca = ca.file("ca.pem");
    let running = ca.start("tls://", &format!("10 client_ca={}", client_ca.display()));
    let refused = |config, counter| {
        let mut client = secured(config, running.port, NAME);
        // In TLS 1.3 a client hears of it when it reads.
        let _ = client.write_all(b"\0\x01x");
        assert!(client.read(&mut [0; 10]).is_err());
        running.await_counter(counter, 1);
    };
    refused(ca.client(None), "tls_certificate_missing");
    fs::copy(others.file("eve.pem"), ca.file("eve.pem")).expect("it is writable");
    fs::copy(others.file("eve.key"), ca.file("eve.key")).expect("it is writable");
    refused(ca.client(Some("eve")), "tls_certificate_other_ca");
    refused(ca.client(Some("late")), "tls_certificate_expired");
    let config = ca.client(Some("anna"));
    for _ in 0..2 {
        let mut client = secured(config.clone(), running.port, NAME);
        send(&mut client, b"anna.players");
        running.await_event("open anna.players");
        assert_eq!(receive(&mut client), b"anna.players");
        drop(client);
        running.await_event("close");
    }
    assert_eq!(running.counter("tls_resumptions"), 1);
}

#[test]
fn the_certificate_of_the_node_is_the_default_and_without_any_the_gate_does_not_start() {
    let ca = Ca::new();
    ca.issue("db", "db", |_| {});
    let tls = Tls::load(TlsFiles {
        certificate: ca.file("db.pem"),
        key: ca.file("db.key"),
        ca: ca.file("ca.pem"),
    });
    let security = Security::of_tls(tls.expect("valid files"));
    let launch = |builder: skyring::NodeBuilder| {
        let node = builder
            .threads(1)
            .log_to(skyring::log::Destination::File("/dev/null".into()))
            .start()
            .expect("a node");
        let launched = node.block_on(|caller| async move {
            let settings = GateSettings::parse("tls://127.0.0.1:0 .game").expect("valid settings");
            let launched = caller.launch(move |_| Gate::new(settings)).await;
            launched.map(|_| ())
        });
        launched.expect("the node runs")
    };
    launch(Node::builder().security(security)).expect("it starts");
    let error = launch(Node::builder()).expect_err("there is no certificate");
    assert!(error.to_string().contains("TLS needs a certificate"), "{error}");
}
