//! Nodes with certificates: who is served, by which name, and that everything works as without TLS.

use std::time::Duration;

use skyring::{Address, Error, Node, NodeBuilder, Payload};

use crate::certificates::{Ca, Validity};
use crate::cluster::{map_of, reload};
use crate::cutter::{Cut, Cutter};
use crate::node::{run, wait_until};
use crate::start::builder;
use crate::support::{SECRET, ask, counter, dialling, security, serving};

/// A node of this name with a certificate.
fn named(ca: &Ca, name: &str, threads: usize) -> NodeBuilder {
    builder(threads).security(ca.security(name)).name(name)
}

/// Calls a service of `db`; the reason of a refusal is the error.
fn call(node: &Node, address: &str) -> Result<(), String> {
    let address = Address::from(address);
    let answer = run(node, |caller| async move {
        caller.node("db").call(address, "who").await
    });
    match answer {
        Ok(_) => Ok(()),
        Err(Error::Denied { reason }) => Err(reason.to_string()),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn nodes_with_certificates_call_each_other_on_every_channel_and_thread() {
    let ca = Ca::new("the CA");
    let (db, address) = serving(named(&ca, "db", 2).channels(4));
    let gate = dialling(named(&ca, "gate", 2).channels(4), &address);
    assert_eq!(ask(&gate), Ok("db".to_owned()));
    for key in 0..64u64 {
        let answer = run(&gate, move |caller| async move {
            // From less than a record to many, with bytes that a gap or a repetition would change.
            let bytes: Vec<u8> = (0..key * 3_001).map(|at| (at * 7 + at / 251) as u8).collect();
            let sent = Payload::pack(&bytes[..]).expect("it can be packed");
            let answer = caller.node("db").key(key).call("@echo", &bytes[..]).await;
            answer.map(|answer| answer.0 == sent.0)
        });
        assert_eq!(answer, Ok(true), "key {key}");
    }
    let handshakes = counter(&gate, "tls_handshakes") + counter(&gate, "tls_resumptions");
    assert_eq!(handshakes, 4);
    wait_until("both ends have counted them", || {
        counter(&db, "tls_handshakes") + counter(&db, "tls_resumptions") == handshakes
    });
    for node in [gate, db] {
        node.stop();
    }
}

#[test]
fn a_message_of_many_megabytes_passes_and_back_pressure_holds() {
    let ca = Ca::new("the CA");
    let (db, address) = serving(named(&ca, "db", 1));
    let gate = dialling(named(&ca, "gate", 1), &address);
    let answered = run(&gate, |caller| async move {
        let bytes: Vec<u8> = (0..12_000_000u32).map(|at| (at ^ at >> 9) as u8).collect();
        let payload = Payload::pack(&bytes[..]).expect("it can be packed");
        let calls: Vec<_> = (0..4)
            .map(|_| caller.node("db").call("@echo", &bytes[..]))
            .collect();
        let mut answered = 0;
        for call in calls {
            let answer = call.await.expect("an answer");
            answered += usize::from(answer.0 == payload.0);
        }
        answered
    });
    assert_eq!(answered, 4);
    for node in [gate, db] {
        node.stop();
    }
}

#[test]
fn a_broken_connection_resumes_its_session_and_its_tls() {
    let ca = Ca::new("the CA");
    let (db, address) = serving(named(&ca, "db", 2).channels(1));
    let cutter = Cutter::to(&address);
    let gate = dialling(named(&ca, "gate", 1), &cutter.address());
    assert_eq!(ask(&gate), Ok("db".to_owned()));
    for round in 1..=5 {
        assert_eq!(cutter.cut(Cut::Both), 1);
        assert_eq!(ask(&gate), Ok("db".to_owned()));
        wait_until("the handshake has resumed", || {
            counter(&db, "tls_resumptions") == round && counter(&gate, "tls_resumptions") == round
        });
        assert_eq!(counter(&db, "sessions_resumed"), round);
    }
    assert_eq!(counter(&db, "tls_handshakes"), 1);
    for node in [gate, db] {
        node.stop();
    }
}

#[test]
fn rules_hold_for_the_name_of_the_certificate() {
    let ca = Ca::new("the CA");
    let rules = ca.security("db").allow("echo", &["gate*"]).expect("a valid rule");
    let (db, address) = serving(builder(2).security(rules).name("db"));
    let gate = dialling(named(&ca, "gate_beijing", 1), &address);
    let scene = dialling(named(&ca, "scene", 1), &address);
    // Its name is that of its certificate.
    let nameless = dialling(builder(1).security(ca.security("gate_x")), &address);
    let nameless_scene = dialling(builder(1).security(ca.security("scene")), &address);
    assert_eq!(call(&gate, "@echo"), Ok(()));
    assert_eq!(call(&nameless, "@echo"), Ok(()));
    for node in [&scene, &nameless_scene] {
        assert_eq!(
            call(node, "@echo"),
            Err("node scene may not call @echo".to_owned())
        );
    }
    assert_eq!(counter(&db, "calls_not_allowed"), 2);
    for node in [gate, scene, nameless, nameless_scene, db] {
        node.stop();
    }
}

#[test]
fn a_secret_is_proved_within_tls_too() {
    let ca = Ca::new("the CA");
    let both = |name: &str| {
        let tls = ca.security(name).tls().cloned().expect("it has one");
        security(&[SECRET]).with_tls(tls)
    };
    let (db, address) = serving(builder(2).security(both("db")).name("db"));
    let gate = dialling(builder(1).security(both("gate")).name("gate"), &address);
    assert_eq!(ask(&gate), Ok("db".to_owned()));
    let without = dialling(named(&ca, "gate", 1), &address);
    let reason = call(&without, "@echo").expect_err("denied");
    assert!(reason.ends_with("no proof of the cluster secret"), "{reason}");
    assert!(counter(&db, "connections_without_secret") > 0);
    for node in [gate, without, db] {
        node.stop();
    }
}

#[test]
fn certificates_are_read_again_without_a_restart_and_broken_ones_change_nothing() {
    let ca = Ca::new("the CA");
    let files = ca.files(&["db"], Validity::Now);
    let tls = skyring::Tls::load(files.clone()).expect("valid files");
    let closed = skyring::Security::of_tls(tls.clone());
    let (db, address) = serving(builder(1).security(closed).name("db"));
    let gate = dialling(named(&ca, "gate", 1), &address);
    assert_eq!(ask(&gate), Ok("db".to_owned()));
    // A key that is not that of the certificate.
    let (_, other_key) = ca.issue(&["db"], Validity::Now);
    crate::certificates::write_key(&files.key, &other_key);
    wait_until("it is refused", || counter(&db, "tls_reloads_refused") > 0);
    let error = tls.reload().expect_err("they do not belong together").to_string();
    assert!(error.contains("is not the key of the certificate"), "{error}");
    let second = dialling(named(&ca, "gate", 1), &address);
    assert_eq!(ask(&second), Ok("db".to_owned()));
    // Another CA for everything: who has only the old one is not served any more, and open connections stay.
    let other = Ca::new("another CA");
    let (certificate, key) = other.issue(&["db"], Validity::Now);
    std::fs::write(&files.certificate, certificate).expect("the folder is writable");
    crate::certificates::write_key(&files.key, &key);
    std::fs::copy(other.file(), &files.ca).expect("the folder is writable");
    let before = counter(&db, "tls_reloads");
    wait_until("they are in force", || counter(&db, "tls_reloads") > before);
    let new = dialling(named(&other, "gate", 1), &address);
    assert_eq!(ask(&new), Ok("db".to_owned()));
    assert_eq!(ask(&gate), Ok("db".to_owned()));
    for node in [gate, second, new, db] {
        node.stop();
    }
}

#[test]
fn a_listed_skynet_peer_is_served_and_called_without_tls() {
    let ca = Ca::new("the CA");
    let network = "127.0.0.0/8".parse().expect("a network");
    let listed = |name| ca.security(name).allow_skynet_peers(network);
    let (db, address) = serving(builder(1).security(listed("db")).name("db"));
    let game = dialling(
        builder(1).dialect(skyring::DialectChoice::Skynet).channels(1),
        &address,
    );
    assert_eq!(ask(&game), Ok("db".to_owned()));
    // A Skyring node of a listed network without TLS is treated as a Skynet node, and one with TLS as a peer.
    let plain = dialling(builder(1), &address);
    assert_eq!(ask(&plain), Ok("db".to_owned()));
    assert_eq!(counter(&db, "tls_handshakes"), 0);
    let gate = dialling(named(&ca, "gate", 1), &address);
    assert_eq!(ask(&gate), Ok("db".to_owned()));
    assert_eq!(counter(&db, "tls_handshakes"), 1);
    // What it dials there it takes for a Skynet node.
    let (open_db, open_address) = serving(builder(1));
    let listing = dialling(builder(1).security(listed("gate")).name("gate"), &open_address);
    assert_eq!(ask(&listing), Ok("db".to_owned()));
    for node in [game, plain, gate, listing, open_db, db] {
        node.stop();
    }
}

#[test]
fn a_node_cannot_start_under_a_name_that_its_certificate_is_not_for() {
    let ca = Ca::new("the CA");
    let Err(error) = builder(1).security(ca.security("db")).name("gate").start() else {
        panic!("it has started");
    };
    let error = error.to_string();
    assert!(error.contains("it is for db, and not for gate"), "{error}");
}

#[test]
fn a_node_that_is_called_by_an_address_has_no_name_to_prove() {
    let ca = Ca::new("the CA");
    let (db, address) = serving(named(&ca, "db", 1));
    let gate = named(&ca, "gate", 1).start().expect("a node starts");
    reload(&gate, map_of("the db", &address));
    let answer = run(&gate, |caller| async move {
        let call = caller.node("the db").call("@echo", "who");
        call.timeout(Duration::from_secs(60)).await
    });
    let error = answer.expect_err("it cannot be").to_string();
    assert!(error.contains("cannot be the name of a certificate"), "{error}");
    for node in [gate, db] {
        node.stop();
    }
}
