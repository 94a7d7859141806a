//! Whatever ends in the middle of something, nothing is left over and nobody else's memory is touched.

use std::io::Read;
use std::thread;

use socket2::SockRef;

use super::*;

/// Reads until the connection ends, however it does.
fn is_ended(mut socket: TcpStream) -> bool {
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut room = [0; 4096];
    loop {
        match socket.read(&mut room) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn a_stream_that_is_dropped_in_the_middle_of_everything_is_closed() {
    for turns in 0..3 {
        let fixture = Fixture::new();
        let (key, there) = fixture.stream();
        assert!(!fixture.asks(key));
        let text = Text::new(pattern(16 << 20), 50_000);
        fixture.ring.write(key, &text.writer());
        fill(&there, &pattern(1 << 20));
        for _ in 0..turns {
            fixture.turn();
        }
        fixture.ring.remove(key);
        assert!(fixture.ring.read(key, 1, |_| {}).is_err());
        fixture.assert_nothing_is_left();
        assert_eq!(Rc::strong_count(&text), 1, "a writer is kept");
        assert!(is_ended(there));
    }
}

#[test]
fn a_stream_that_is_removed_before_its_first_operation_leaves_nothing() {
    let fixture = Fixture::new();
    let (key, there) = fixture.stream();
    let text = Text::new(pattern(1_000), 1_000);
    fixture.ring.write(key, &text.writer());
    fixture.ring.remove(key);
    fixture.assert_nothing_is_left();
    assert_eq!(Rc::strong_count(&text), 1, "a writer is kept");
    assert!(is_ended(there));
}

#[test]
fn a_descriptor_stays_open_until_its_operations_have_ended() {
    let fixture = Fixture::new();
    let (here, there) = pair();
    let number = here.as_raw_fd();
    let key = fixture.adopt(here);
    // Not submitted yet: it would be for whatever file has the number by then.
    assert!(!fixture.asks(key));
    fixture.ring.remove(key);
    let others: Vec<_> = (0..50).map(|_| pair()).collect();
    assert!(
        others
            .iter()
            .all(|(here, there)| { here.as_raw_fd() != number && there.as_raw_fd() != number })
    );
    for (_, other) in &others {
        fill(other, b"mine");
    }
    fixture.assert_nothing_is_left();
    for (here, _) in &others {
        here.set_nonblocking(false).unwrap();
        let mut received = [0; 4];
        (&*here).read_exact(&mut received).unwrap();
        assert_eq!(&received, b"mine");
    }
    drop(there);
}

#[test]
fn a_peer_that_resets_fails_the_read_and_the_write() {
    let fixture = Fixture::new();
    let (key, there) = fixture.stream();
    assert!(!fixture.asks(key));
    let text = Text::new(pattern(16 << 20), 100_000);
    fixture.ring.write(key, &text.writer());
    fixture.turn_until("a full socket", || text.full.get() > 0);
    SockRef::from(&there).set_linger(Some(Duration::ZERO)).unwrap();
    drop(there);
    fixture.turn_until("the failures", || {
        fixture.asks(key) && text.failed.get().is_some()
    });
    let failed = fixture.read(key, 1, &mut Vec::new());
    // The error of a socket is reported once; a second reader sees a connection that has ended.
    assert!(
        matches!(&failed, Ok(0))
            || failed.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
    );
    assert!(!text.is_sent());
    fixture.ring.remove(key);
    fixture.assert_nothing_is_left();
}

#[test]
fn a_ring_that_is_dropped_ends_its_receives_and_closes_its_sockets() {
    let fixture = Fixture::new();
    let mut others = Vec::new();
    for number in 0..200 {
        let (key, there) = match number % 2 {
            0 => fixture.stream(),
            _ => fixture.direct_stream(),
        };
        assert!(!fixture.asks(key));
        others.push(there);
    }
    fixture.turn();
    for there in &others[..100] {
        fill(there, b"unread");
    }
    drop(fixture);
    assert!(others.into_iter().all(is_ended));
}

#[test]
fn sockets_that_come_and_go_under_load_leave_nothing() {
    let mut dice = Dice(0x5eed);
    let fixture = Fixture::new();
    let mut streams: Vec<(SourceKey, Option<TcpStream>, Rc<Text>)> = Vec::new();
    let mut ends = Vec::new();
    for _ in 0..600 {
        match dice.below(6) {
            0 | 1 => {
                let (key, there) = match dice.below(2) {
                    0 => fixture.stream(),
                    _ => fixture.direct_stream(),
                };
                let text = Text::new(pattern(dice.below(3 << 20)), 1 + dice.below(100_000));
                fixture.asks(key);
                streams.push((key, Some(there), text));
            }
            2 if !streams.is_empty() => {
                let (key, there, text) = streams.swap_remove(dice.below(streams.len()));
                fixture.ring.remove(key);
                ends.extend(there);
                assert!(Rc::strong_count(&text) <= 2);
            }
            3 if !streams.is_empty() => {
                // The peer goes.
                let place = dice.below(streams.len());
                streams[place].1 = None;
            }
            4 => fixture.turn(),
            _ => {
                for (key, there, text) in &streams {
                    if let Some(there) = there {
                        fill(there, &pattern(dice.below(60_000)));
                    }
                    if text.failed.get().is_none() {
                        fixture.ring.write(*key, &text.writer());
                    }
                    if fixture.asks(*key) && dice.below(2) == 0 {
                        let _ = fixture.read(*key, 1 + dice.below(100_000), &mut Vec::new());
                    }
                }
            }
        }
    }
    for (key, there, _) in streams {
        fixture.ring.remove(key);
        ends.extend(there);
    }
    fixture.assert_nothing_is_left();
    let ended = thread::spawn(move || ends.into_iter().all(is_ended));
    assert!(ended.join().unwrap());
}
