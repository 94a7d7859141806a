//! The shell of a server, with clients that are no nodes, without sockets.

use std::fs;
use std::io::{IoSlice, Read as _, Write as _};
use std::sync::Arc;

use bytes::BytesMut;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::fixture::Ca;
use super::{PREFACE_BYTES_MAX, ServerTls, Shell, ShellEvent, TlsReason};

const NAME: &str = "play.example";

fn client(ca: &Ca) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(ca.file()).expect("a certificate");
    roots.add(root).expect("a CA");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(NAME).expect("a name");
    ClientConnection::new(Arc::new(config), name).expect("a client")
}

/// Gives a server's shell bytes in pieces; returns what each step has brought.
fn opened(shell: &mut Shell, bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for mut piece in bytes.chunks(piece) {
        loop {
            let mut out = BytesMut::new();
            let is_done = shell.open(&mut piece, &mut out, 10_000);
            if !out.is_empty() {
                all.push(out.to_vec());
            }
            if is_done {
                break;
            }
        }
    }
    all
}

/// Moves bytes in both directions until nobody has any, `first` before all others; returns what the server has got.
fn exchange(client: &mut ClientConnection, shell: &mut Shell, first: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut got = Vec::new();
    let mut to_server = first.to_vec();
    loop {
        while client.wants_write() {
            client.write_tls(&mut to_server).expect("memory");
        }
        got.extend(opened(shell, &to_server, piece));
        to_server.clear();
        let mut to_client = Vec::new();
        shell.gather(false, &mut |slices| {
            to_client.extend(slices.iter().flat_map(|slice| slice.iter().copied()));
        });
        shell.wrote(to_client.len());
        if to_client.is_empty() {
            return got;
        }
        let mut bytes = &to_client[..];
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).expect("memory");
            client.process_new_packets().expect("right records");
        }
    }
}

fn events(shell: &mut Shell) -> Vec<ShellEvent> {
    std::iter::from_fn(|| shell.next_event()).collect()
}

#[test]
fn what_comes_before_tls_comes_out_alone_however_it_is_cut() {
    let ca = Ca::new();
    let server = ca.server(NAME);
    for piece in [1, 2, 6, 7, 8, usize::MAX] {
        let mut shell = Shell::server(server.identity(), Some(|bytes| (bytes.len() >= 7).then_some(7)));
        let shell = shell.as_mut().expect("a shell");
        let mut client = client(&ca);
        client.writer().write_all(b"hello").expect("memory");
        assert!(shell.is_handshaking());
        let got = exchange(&mut client, shell, b"preface", piece);
        assert_eq!(got[0], b"preface", "pieces of {piece}");
        assert_eq!(got[1..].concat(), b"hello");
        assert_eq!(events(shell), [ShellEvent::Begun, ShellEvent::Verified]);
    }
}

#[test]
fn what_never_ends_before_tls_is_a_fault() {
    let server = Ca::new().server(NAME);
    let mut shell = Shell::server(server.identity(), Some(|_| None)).expect("a shell");
    assert!(opened(&mut shell, &[7; PREFACE_BYTES_MAX - 1], 100).is_empty());
    assert!(shell.fault().is_none());
    assert!(opened(&mut shell, &[7; 2], 1).is_empty());
    assert_eq!(shell.fault().map(|fault| fault.reason), Some(TlsReason::NotTls));
}

#[test]
fn both_ends_say_goodbye_and_what_was_sealed_before_it_arrives() {
    let ca = Ca::new();
    let mut shell = Shell::server(ca.server(NAME).identity(), None).expect("a shell");
    let mut client = client(&ca);
    assert!(exchange(&mut client, &mut shell, b"", usize::MAX).is_empty());
    assert_eq!(shell.seal(&[IoSlice::new(&[7; 30_000])]), 30_000);
    shell.say_goodbye();
    assert!(!shell.has_goodbye());
    client.send_close_notify();
    exchange(&mut client, &mut shell, b"", 100);
    assert!(shell.has_goodbye());
    assert!(shell.fault().is_none());
    let mut received = Vec::new();
    // An end without a goodbye would be an error.
    client
        .reader()
        .read_to_end(&mut received)
        .expect("an end in order");
    assert_eq!(received, [7; 30_000]);
}

#[test]
fn bytes_of_another_protocol_are_a_fault_at_the_first_one_and_get_no_answer() {
    let server = Ca::new().server(NAME);
    for bytes in [
        &b"\0\x05hello"[..],
        b"GET / HTTP/1.1",
        b"\x15\x03\x01\0\x02\x01\0",
    ] {
        let mut shell = Shell::server(server.identity(), None).expect("a shell");
        assert!(opened(&mut shell, bytes, 1).is_empty());
        assert_eq!(shell.fault().map(|fault| fault.reason), Some(TlsReason::NotTls));
        assert!(!shell.has_output());
        shell.count_end(true);
    }
    assert_eq!(server.counts().not_tls, 3);
}

#[test]
fn a_node_does_not_take_a_server_for_one() {
    let ca = Ca::new();
    let mut dialler = Shell::dialler(&ca.tls("gate").identity(), NAME).expect("a name");
    let mut server = Shell::server(ca.server(NAME).identity(), None).expect("a shell");
    for _ in 0..4 {
        for is_to_server in [true, false] {
            let (from, to) = match is_to_server {
                true => (&mut dialler, &mut server),
                false => (&mut server, &mut dialler),
            };
            let mut bytes = Vec::new();
            from.gather(false, &mut |slices| {
                bytes.extend(slices.iter().flat_map(|slice| slice.iter().copied()));
            });
            from.wrote(bytes.len());
            opened(to, &bytes, usize::MAX);
        }
    }
    assert!(dialler.fault().is_some());
    assert!(!dialler.is_open());
}

#[test]
fn a_change_of_the_files_is_seen_once_it_has_lasted_and_a_fault_changes_nothing() {
    let ca = Ca::new();
    let server = ca.server(NAME);
    let is_same = |server: &ServerTls, before: &Arc<_>| Arc::ptr_eq(&server.identity(), before);
    let first = server.identity();
    assert!(server.look().is_none());
    // Another certificate for the same name, in the same files.
    ca.tls(NAME);
    assert!(server.look().is_none());
    assert_eq!(server.look(), Some(Ok(true)));
    assert!(server.look().is_none());
    assert!(!is_same(&server, &first));
    let second = server.identity();
    fs::write(&server.files().key, "no key").expect("it is writable");
    assert!(server.look().is_none());
    assert!(matches!(server.look(), Some(Err(_))));
    assert!(server.look().is_none());
    assert!(is_same(&server, &second));
    assert!(server.warnings().is_empty(), "{:?}", server.warnings());
}
