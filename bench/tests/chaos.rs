//! The chaos proxy forwards bytes unchanged, and injects the faults of its settings.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use skyring_bench::{ChaosProxy, Faults};

/// Longest wait of these tests.
const TIME_MAX: Duration = Duration::from_secs(20);

/// How long no byte may arrive until that counts as silence.
const SILENCE: Duration = Duration::from_millis(200);

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Sends everything back that it gets; its threads end with their connections, and the last with the test.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind(loopback()).expect("loopback works");
    let address = listener.local_addr().expect("loopback works");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("loopback works");
            thread::spawn(move || {
                let mut from = stream.try_clone().expect("loopback works");
                // Ends when the connection does, in whatever way.
                let _ = std::io::copy(&mut from, &mut stream);
            });
        }
    });
    address
}

fn connect(proxy: &ChaosProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).expect("loopback works");
    stream.set_read_timeout(Some(TIME_MAX)).expect("loopback works");
    stream.set_write_timeout(Some(TIME_MAX)).expect("loopback works");
    stream
}

fn proxy(faults: Faults) -> ChaosProxy {
    ChaosProxy::start(loopback(), echo(), faults).expect("loopback works")
}

/// Sends bytes that are all different from their neighbours, and gets them back.
fn round_trip(stream: &mut TcpStream, count: usize) {
    let sent: Vec<u8> = (0..count)
        .map(|number| (number * 7 + number / 251) as u8)
        .collect();
    let mut writer = stream.try_clone().expect("loopback works");
    let there = sent.clone();
    let writing = thread::spawn(move || writer.write_all(&there).expect("loopback works"));
    let mut back = vec![0; count];
    stream.read_exact(&mut back).expect("loopback works");
    writing.join().expect("loopback works");
    assert!(back == sent, "{count} bytes came back changed");
}

#[test]
fn bytes_pass_unchanged_at_once_late_and_in_small_pieces() {
    for (faults, count) in [
        (Faults::default(), 3_000_000),
        (
            Faults {
                delay: Duration::from_millis(20),
                ..Faults::default()
            },
            1_000_000,
        ),
        (
            Faults {
                trickle_bytes: Some(7),
                ..Faults::default()
            },
            700,
        ),
    ] {
        let proxy = proxy(faults);
        let begun = Instant::now();
        round_trip(&mut connect(&proxy), count);
        // Both ways take the delay.
        assert!(begun.elapsed() >= faults.delay * 2, "{faults:?}");
        // The proxy counts what it has written, and the last of it may be here before that.
        let counted = 2 * count as u64;
        while proxy.counts().bytes < counted && begun.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(proxy.counts().bytes, counted);
    }
}

#[test]
fn a_cut_ends_connections_and_the_next_ones_work() {
    for reset in [false, true] {
        let proxy = proxy(Faults {
            reset,
            ..Faults::default()
        });
        let mut cut = connect(&proxy);
        round_trip(&mut cut, 10);
        proxy.cut();
        let mut rest = [0; 1];
        match cut.read(&mut rest) {
            Ok(0) => assert!(!reset),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => assert!(reset),
            other => panic!("reset {reset}: {other:?}"),
        }
        round_trip(&mut connect(&proxy), 10);
        let counts = proxy.counts();
        assert_eq!((counts.accepted, counts.cut), (2, 1));
    }
}

#[test]
fn cuts_come_again_and_again() {
    let proxy = proxy(Faults {
        cuts_per_second: 50.0,
        ..Faults::default()
    });
    for _ in 0..3 {
        let mut stream = connect(&proxy);
        assert!(matches!(stream.read(&mut [0; 1]), Ok(0)));
    }
    assert!(proxy.counts().cut >= 3);
}

#[test]
fn a_stalled_proxy_accepts_and_forwards_nothing_until_the_stall_ends() {
    let proxy = proxy(Faults {
        stalled: true,
        ..Faults::default()
    });
    let mut stream = connect(&proxy);
    stream.write_all(b"waits").unwrap();
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let mut back = [0; 5];
    let nothing = stream.read(&mut back).unwrap_err();
    assert!(matches!(
        nothing.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
    proxy.set(Faults::default());
    stream.set_read_timeout(Some(TIME_MAX)).unwrap();
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"waits");
}

#[test]
fn an_orderly_end_is_passed_on_after_the_last_byte() {
    let proxy = proxy(Faults {
        delay: Duration::from_millis(20),
        ..Faults::default()
    });
    let mut stream = connect(&proxy);
    stream.write_all(b"the end").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert_eq!(back, b"the end");
}

#[test]
fn a_target_that_is_not_there_is_counted_and_its_client_sees_the_end() {
    // A dropped listener leaves a port on which no program listens.
    let nobody = TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
    let proxy = ChaosProxy::start(loopback(), nobody, Faults::default()).unwrap();
    let mut stream = connect(&proxy);
    assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
    assert_eq!(proxy.counts().refused, 1);
}
