//! Peers without TLS, with a wrong certificate or without one: each is refused for its own reason, which both ends tell,
//! and others go on.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use skyring::limits::{HANDSHAKE_BYTES_MAX, UNPROVED_PER_SOURCE_MAX};
use skyring::{Error, Node, NodeBuilder, Security, Tls, TlsFiles};

use crate::certificates::{Ca, Validity};
use crate::node::{TIMEOUT, wait_until};
use crate::start::builder;
use crate::support::{Stranger, ask, connect_from, counter, dialling, serving, wait_for};

/// The reason for which calls are denied.
fn reason(node: &Node) -> String {
    match ask(node) {
        Err(Error::Denied { reason }) => reason.to_string(),
        other => panic!("{other:?} instead of a refusal"),
    }
}

fn closed(ca: &Ca, name: &str) -> NodeBuilder {
    builder(1).security(ca.security(name)).name(name)
}

/// A dialler that trusts the CA of `trusted`, with files of another one.
fn crossed(trusted: &Ca, other: &Ca) -> Security {
    let files = TlsFiles {
        ca: trusted.file(),
        ..other.files(&["gate"], Validity::Now)
    };
    Security::of_tls(Tls::load(files).expect("valid files"))
}

#[test]
fn each_wrong_certificate_of_a_dialler_has_its_own_reason_and_a_healthy_peer_goes_on() {
    let (ca, other) = (Ca::new("the CA"), Ca::new("another CA"));
    let (db, address) = serving(closed(&ca, "db"));
    let gate = dialling(closed(&ca, "gate"), &address);
    assert_eq!(ask(&gate), Ok("db".to_owned()));
    let expired = "this node's certificate is expired or not yet valid";
    for (security, name, count, text) in [
        (
            ca.security_of(&["gate"], Validity::Expired),
            "connections_certificate_expired",
            1,
            expired,
        ),
        (
            ca.security_of(&["gate"], Validity::NotYet),
            "connections_certificate_early",
            1,
            expired,
        ),
        (
            crossed(&ca, &other),
            "connections_certificate_other_ca",
            1,
            "this node's certificate comes from another CA",
        ),
    ] {
        let wrong = dialling(builder(1).security(security).name("gate"), &address);
        let reason = reason(&wrong);
        assert!(
            reason.starts_with("node db: ")
                && reason.contains("it refuses this node")
                && reason.ends_with(text),
            "{reason}"
        );
        assert!(counter(&wrong, "connects_denied") >= count);
        assert!(counter(&db, name) >= count, "{name}");
        assert_eq!(ask(&gate), Ok("db".to_owned()), "after {name}");
        wrong.stop();
    }
    assert_eq!(counter(&gate, "connections_lost"), 0);
    for node in [gate, db] {
        node.stop();
    }
}

#[test]
fn each_wrong_certificate_of_an_acceptor_has_its_own_reason_and_gets_no_call() {
    let (ca, other) = (Ca::new("the CA"), Ca::new("another CA"));
    for (security, name, counted, text) in [
        (
            ca.security_of(&["db"], Validity::Expired),
            "db",
            "connects_unproved",
            "a certificate that has expired",
        ),
        (
            ca.security_of(&["db"], Validity::NotYet),
            "db",
            "connects_unproved",
            "a certificate that is not yet valid",
        ),
        (
            other.security("db"),
            "db",
            "connects_unproved",
            "a certificate that does not come from the CA",
        ),
        (
            ca.security("db2"),
            "db2",
            "connects_misled",
            "a certificate that is not for the name of the node, but for DnsName(\"db2\")",
        ),
    ] {
        let (db, address) = serving(builder(1).security(security).name(name));
        let gate = dialling(closed(&ca, "gate"), &address);
        let reason = reason(&gate);
        assert!(
            reason.contains("this node does not trust it: ") && reason.ends_with(text),
            "{reason}"
        );
        assert!(counter(&gate, counted) > 0, "{counted}");
        wait_until("the acceptor knows", || {
            counter(&db, "connections_tls_refused") > 0
        });
        for node in [gate, db] {
            node.stop();
        }
    }
}

#[test]
fn a_node_with_the_certificate_of_another_is_refused() {
    let ca = Ca::new("the CA");
    let (db, address) = serving(closed(&ca, "db"));
    // A program that is not ours may say any name in its hello.
    let mut stranger = Raw::connect(&address, &ca, Some(&ca.issue(&["gate"], Validity::Now)));
    let mut hello = Stranger::connect(&address, None);
    let mut link = std::mem::replace(
        &mut hello.link,
        skyring_codec::link::CallerLink::new(Default::default()),
    );
    link.dial(0, &crate::support::hello("admin"))
        .expect("a valid hello");
    hello.link = link;
    stranger.write(&hello.output());
    let answer = stranger.rest();
    let text = String::from_utf8_lossy(&answer);
    assert!(
        text.ends_with("denied: a certificate that is not for the name of the node"),
        "{text}"
    );
    wait_for(&db, "connections_certificate_other_name", 1);
    db.stop();
}

#[test]
fn a_plain_node_and_one_with_tls_tell_each_other_why_they_do_not_connect() {
    let ca = Ca::new("the CA");
    let (db, address) = serving(closed(&ca, "db"));
    let plain = dialling(builder(1), &address);
    let told = reason(&plain);
    assert!(
        told.ends_with("it refuses this node: a connection without TLS, which this node requires"),
        "{told}"
    );
    assert_eq!(
        counter(&db, "connections_without_tls"),
        counter(&plain, "connects_denied")
    );

    let (open_db, open_address) = serving(builder(1));
    let gate = dialling(closed(&ca, "gate"), &open_address);
    let told = reason(&gate);
    assert!(
        told.ends_with("this node does not trust it: no TLS, which this node requires"),
        "{told}"
    );
    assert!(counter(&gate, "connects_unproved") > 0);
    wait_until("the plain node has counted it", || {
        counter(&open_db, "connections_tls_unexpected") > 0
    });
    assert_eq!(counter(&open_db, "connections_malformed"), 0);
    for node in [plain, db, gate, open_db] {
        node.stop();
    }
}

/// Somebody with a TLS library.
struct Raw {
    tls: ClientConnection,
    stream: TcpStream,
}

impl Raw {
    fn connect(address: &str, ca: &Ca, own: Option<&(String, String)>) -> Raw {
        Raw::with(address, ca, own, |config| {
            config.alpn_protocols = vec![b"skyring/1".to_vec()];
        })
    }

    fn with(
        address: &str,
        ca: &Ca,
        own: Option<&(String, String)>,
        change: impl FnOnce(&mut ClientConfig),
    ) -> Raw {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(ca.file()).expect("a certificate");
        roots.add(root).expect("that of a CA");
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("it has ciphers")
            .with_root_certificates(roots);
        let mut config = match own {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
                let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
                config
                    .with_client_auth_cert(vec![chain], key)
                    .expect("they belong together")
            }
        };
        change(&mut config);
        let name = ServerName::try_from("db").expect("a name");
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a time above zero");
        let tls = ClientConnection::new(Arc::new(config), name).expect("a valid config");
        Raw { tls, stream }
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut stream = rustls::Stream::new(&mut self.tls, &mut self.stream);
        stream.write_all(bytes).expect("the handshake goes well");
        stream.flush().expect("the node takes it");
    }

    /// Everything up to the end.
    fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // The node ends without a last record.
        let _ = rustls::Stream::new(&mut self.tls, &mut self.stream).read_to_end(&mut bytes);
        bytes
    }
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let ca = Ca::new("the CA");
    let (db, address) = serving(closed(&ca, "db"));
    let mut stranger = Raw::connect(&address, &ca, None);
    // To the client the handshake has ended when it has sent its own part of it.
    stranger.write(b"a hello");
    let mut bytes = Vec::new();
    let error = rustls::Stream::new(&mut stranger.tls, &mut stranger.stream)
        .read_to_end(&mut bytes)
        .expect_err("it is told");
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    wait_for(&db, "connections_certificate_missing", 1);
    db.stop();
}

#[test]
fn what_is_no_handshake_of_ours_is_refused_with_its_own_counter() {
    let ca = Ca::new("the CA");
    let (db, address) = serving(closed(&ca, "db"));
    let gate = dialling(closed(&ca, "gate"), &address);
    assert_eq!(ask(&gate), Ok("db".to_owned()));
    type Attack = fn(&mut TcpStream);
    let attacks: [(&str, Attack); 6] = [
        ("connections_without_tls", |stream| {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\n\r\n");
        }),
        ("connections_without_tls", |stream| {
            let _ = stream.write_all(b"\x00\x0d\x00\x01\x00\x00\x00\x05\x00\x00\x00\x1cwho");
        }),
        // A record that says nothing that a client says first.
        ("connections_tls_malformed", |stream| {
            let _ = stream.write_all(b"\x16\x03\x01\x00\x04\x0e\x00\x00\x00");
        }),
        ("connections_tls_malformed", |stream| {
            let _ = stream.write_all(&[&b"\x16\x03\x01\xff\xff"[..], &[7; 70_000]].concat());
        }),
        // One long message of a handshake, in records that are each right.
        ("connections_tls_too_long", |stream| {
            let _ = stream.write_all(&record(&[&b"\x01\x00\xff\xf0"[..], &[0; 8_000]].concat()));
            for _ in 0..=HANDSHAKE_BYTES_MAX / 8_000 {
                let _ = stream.write_all(&record(&[0; 8_000]));
            }
        }),
        // Another version.
        ("connections_tls_incompatible", |stream| {
            let _ = stream.write_all(TLS12_HELLO);
        }),
    ];
    let mut counts: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    for (name, attack) in attacks {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a time above zero");
        attack(&mut stream);
        let mut rest = Vec::new();
        // An end, or a reset when the node has not read everything.
        let _ = stream.read_to_end(&mut rest);
        *counts.entry(name).or_default() += 1;
        wait_for(&db, name, counts[name]);
        assert_eq!(ask(&gate), Ok("db".to_owned()), "after {name}");
    }
    // Another protocol within TLS.
    let own = ca.issue(&["gate"], Validity::Now);
    let mut stranger = Raw::with(&address, &ca, Some(&own), |_| {});
    stranger.write(b"GET / HTTP/1.1\r\n");
    assert!(stranger.rest().is_empty());
    wait_for(&db, "connections_tls_malformed", 3);
    assert_eq!(counter(&gate, "connections_lost"), 0);
    for node in [gate, db] {
        node.stop();
    }
}

/// A record of a handshake.
fn record(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a short record");
    [&b"\x16\x03\x01"[..], &length.to_be_bytes(), bytes].concat()
}

/// The first message of a client that knows TLS 1.2 only: no extensions, one cipher.
const TLS12_HELLO: &[u8] = b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03\
    0123456789abcdef0123456789abcdef\x00\x00\x02\xc0\x2f\x01\x00";

#[test]
fn half_finished_tls_handshakes_disturb_nobody_and_are_bounded() {
    const HANDSHAKES: usize = 3_000;
    let ca = Ca::new("the CA");
    let (db, address) = serving(closed(&ca, "db").accepts_per_second_max(1_000_000));
    let gate = dialling(closed(&ca, "gate"), &address);
    assert_eq!(ask(&gate), Ok("db".to_owned()));
    let hello = {
        let mut raw = Raw::connect(&address, &ca, None);
        let mut bytes = Vec::new();
        raw.tls.write_tls(&mut bytes).expect("memory takes everything");
        bytes
    };
    let target: SocketAddr = address.parse().expect("an address");
    let mut open = std::collections::VecDeque::new();
    for number in 0..HANDSHAKES {
        let Some(mut stream) = connect_from((number % 8) as u8 + 2, target) else {
            continue;
        };
        // Nothing, a part, or all of the first message, after which the node waits for the certificate.
        let bytes = [&hello[..1], &hello[..50], &hello[..]][number % 3];
        let _ = stream.write_all(bytes);
        open.push_back(stream);
        if number % 50 == 0 {
            assert_eq!(ask(&gate), Ok("db".to_owned()), "after {number} handshakes");
        }
        if open.len() > 700 {
            open.pop_front();
        }
    }
    assert_eq!(counter(&gate, "connections_lost"), 0);
    assert!(counter(&db, "connections_unproved_crowded") > 0);
    drop(open);
    let late = dialling(closed(&ca, "gate"), &address);
    assert_eq!(ask(&late), Ok("db".to_owned()));
    for node in [late, gate, db] {
        node.stop();
    }
}

#[test]
fn nodes_that_finish_their_tls_handshakes_connect_as_often_as_they_want() {
    let ca = Ca::new("the CA");
    let (db, address) = serving(closed(&ca, "db"));
    for number in 0..UNPROVED_PER_SOURCE_MAX + 100 {
        let gate = dialling(closed(&ca, "gate"), &address);
        assert_eq!(ask(&gate), Ok("db".to_owned()), "connection {number}");
        gate.stop();
    }
    assert_eq!(counter(&db, "connections_unproved_refused"), 0);
    db.stop();
}

#[test]
fn a_tls_handshake_that_is_not_finished_in_time_is_counted_and_closed() {
    let ca = Ca::new("the CA");
    let (db, address) = serving(closed(&ca, "db"));
    let mut stream = TcpStream::connect(&address).expect("it listens");
    stream
        .set_read_timeout(Some(TIMEOUT + Duration::from_secs(10)))
        .expect("a time above zero");
    stream.write_all(b"\x16\x03\x01").expect("it takes bytes");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    wait_for(&db, "connections_tls_late", 1);
    db.stop();
}
