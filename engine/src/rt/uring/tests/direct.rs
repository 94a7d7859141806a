//! Streams without a descriptor of the process do what others do.

use std::fs;
use std::io::Read as _;
use std::net::Shutdown;

use super::*;

/// What this process calls the socket of a descriptor.
fn name(fd: i32) -> String {
    let link = fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
    link.to_str().unwrap().to_owned()
}

/// Whether the process has a descriptor of a socket.
fn has_descriptor(name: &str) -> bool {
    fs::read_dir("/proc/self/fd").unwrap().any(|entry| {
        // Others may be closed meanwhile.
        let link = entry.and_then(|entry| fs::read_link(entry.path()));
        link.is_ok_and(|link| link.to_str() == Some(name))
    })
}

#[test]
fn a_direct_stream_has_no_descriptor_and_carries_bytes_both_ways_to_its_end() {
    let fixture = Fixture::new();
    let (here, mut there) = pair();
    let (fd, socket) = (here.as_raw_fd(), name(here.as_raw_fd()));
    let key = fixture.adopt(here);
    assert!(has_descriptor(&socket));
    assert!(fixture.ring.make_direct(key, fd));
    assert!(!has_descriptor(&socket));
    // To here.
    let sent = pattern(3 << 20);
    let mut received = Vec::new();
    let writing = std::thread::spawn({
        let (sent, mut there) = (sent.clone(), there.try_clone().unwrap());
        there.set_nonblocking(false).unwrap();
        move || there.write_all(&sent).unwrap()
    });
    fixture.turn_until("all bytes", || {
        while fixture.asks(key) && fixture.read(key, 50_000, &mut received).is_ok() {}
        received.len() == sent.len()
    });
    writing.join().unwrap();
    assert_eq!(received, sent);
    // And back, more than the sockets hold, so that one is full in between.
    let sent = pattern(32 << 20);
    let text = Text::new(sent.clone(), 100_000);
    fixture.ring.write(key, &text.writer());
    fixture.turn_until("a full socket", || text.full.get() > 0);
    let reading = std::thread::spawn(move || {
        let mut received = vec![0; sent.len()];
        there.read_exact(&mut received).unwrap();
        (received == sent, there)
    });
    fixture.turn_until("all is sent", || text.is_sent());
    let (is_same, mut there) = reading.join().unwrap();
    assert!(is_same);
    // A descriptor for a moment is one of the same socket.
    let opened = TcpStream::from(fixture.ring.open_descriptor(key).unwrap());
    assert_eq!(opened.peer_addr().unwrap(), there.local_addr().unwrap());
    opened.shutdown(Shutdown::Write).unwrap();
    drop(opened);
    assert_eq!(there.read(&mut [0; 10]).unwrap(), 0);
    assert!(!has_descriptor(&socket));
    fixture.ring.remove(key);
    fixture.assert_nothing_is_left();
}

#[test]
fn a_direct_stream_is_shut_down_later_where_no_descriptor_can_be_had() {
    let fixture = Fixture::new();
    let (key, mut there) = fixture.direct_stream();
    assert!(!fixture.asks(key));
    fixture.ring.shut_down_later(key, Shutdown::Both);
    // Its own reader sees the end, as after any shutdown, and so does the peer.
    fixture.turn_until("the end", || fixture.asks(key));
    assert_eq!(fixture.read(key, 10, &mut Vec::new()).unwrap(), 0);
    there.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(there.read(&mut [0; 10]).unwrap(), 0);
    fixture.ring.remove(key);
    fixture.assert_nothing_is_left();
}

#[test]
fn a_shutdown_that_is_still_to_come_meets_no_other_stream() {
    let fixture = Fixture::new();
    for round in 0..20 {
        let (key, mut there) = fixture.direct_stream();
        fixture.ring.shut_down_later(key, Shutdown::Both);
        fixture.ring.remove(key);
        let (other, other_there) = fixture.direct_stream();
        assert!(!fixture.asks(other));
        there.set_read_timeout(Some(PATIENCE)).unwrap();
        while fixture.ring.sources.borrow().used() > 1 {
            fixture.turn();
        }
        assert_eq!(there.read(&mut [0; 10]).unwrap(), 0);
        for _ in 0..5 {
            fixture.turn();
        }
        fill(&other_there, b"mine");
        let mut received = Vec::new();
        fixture.turn_until("the bytes", || fixture.asks(other));
        fixture.read(other, 10, &mut received).unwrap();
        assert_eq!(received, b"mine", "round {round}");
        fixture.ring.remove(other);
        fixture.assert_nothing_is_left();
    }
}

#[test]
fn a_slot_is_used_again_by_streams_with_and_without_a_descriptor() {
    let fixture = Fixture::new();
    for round in 0..20 {
        let streams: Vec<_> = (0..50)
            .map(|number| match (number + round) % 3 {
                0 => fixture.stream(),
                _ => fixture.direct_stream(),
            })
            .collect();
        for (number, (key, there)) in streams.iter().enumerate() {
            assert!(!fixture.asks(*key));
            fill(there, format!("{round} {number}").as_bytes());
        }
        for (number, (key, _)) in streams.iter().enumerate() {
            let expected = format!("{round} {number}").into_bytes();
            let mut received = Vec::new();
            fixture.turn_until("the bytes", || {
                let _ = fixture.asks(*key) && fixture.read(*key, 100, &mut received).is_ok();
                received.len() == expected.len()
            });
            assert_eq!(received, expected);
        }
        for (key, there) in streams {
            fixture.ring.remove(key);
            drop(there);
        }
        fixture.assert_nothing_is_left();
        assert!(fixture.ring.sources.borrow().used() == 0);
    }
}
