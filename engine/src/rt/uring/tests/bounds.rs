//! What nobody reads is bounded, and costs the others nothing.

use super::*;
use crate::rt::uring::provided::{BUFFER_BYTES, PROVIDED_BYTES};
use crate::rt::uring::receiving::{ASIDE_BYTES_MAX, ASIDE_BYTES_STREAM_MAX};

#[test]
fn a_reader_that_does_not_read_holds_little_and_loses_nothing() {
    for consumption in CONSUMPTIONS {
        leave_unread(consumption);
    }
}

fn leave_unread(consumption: Consumption) {
    let fixture = Fixture::with_buffers(consumption);
    let (slow, flooding) = fixture.stream();
    let (other, mut there) = fixture.stream();
    assert!(!fixture.asks(slow));
    let expected = pattern(64 << 20);
    let mut sent = 0;
    for round in 0..200 {
        sent += fill(&flooding, &expected[sent..]);
        fixture.turn();
        let most = ASIDE_BYTES_STREAM_MAX + 2 * PROVIDED_BYTES;
        assert!(
            fixture.ring.aside() <= most,
            "{} are set aside",
            fixture.ring.aside()
        );
        if round % 20 == 0 {
            assert!(!fixture.asks(other));
            there.write_all(b"hello").unwrap();
            let mut received = Vec::new();
            fixture.turn_until("bytes of the other stream", || fixture.asks(other));
            fixture.read(other, usize::MAX, &mut received).unwrap();
            assert_eq!(received, b"hello");
        }
    }
    assert!(sent < expected.len(), "the kernel stops the peer");
    let mut received = Vec::new();
    fixture.turn_until("the arrival of everything", || {
        while fixture.asks(slow) {
            fixture.read(slow, usize::MAX, &mut received).unwrap();
        }
        sent += fill(&flooding, &expected[sent..]);
        received.len() == expected.len()
    });
    assert!(received == expected);
    fixture.ring.remove(slow);
    fixture.ring.remove(other);
    fixture.assert_nothing_is_left();
}

#[test]
fn all_readers_that_do_not_read_together_hold_no_more_than_they_may() {
    for consumption in CONSUMPTIONS {
        leave_all_unread(consumption);
    }
}

fn leave_all_unread(consumption: Consumption) {
    let fixture = Fixture::with_buffers(consumption);
    let streams: Vec<_> = (0..400).map(|_| fixture.stream()).collect();
    for (key, _) in &streams {
        assert!(!fixture.asks(*key));
    }
    let piece = pattern(256 << 10);
    let mut most = 0;
    for _ in 0..100 {
        for (_, there) in &streams {
            fill(there, &piece);
        }
        fixture.turn();
        most = most.max(fixture.ring.aside());
    }
    assert!(most > ASIDE_BYTES_MAX, "{most} bytes show nothing");
    // They asked once, so each of them gets something still.
    let asked = streams.len() * BUFFER_BYTES;
    assert!(
        most <= ASIDE_BYTES_MAX + 2 * PROVIDED_BYTES + asked,
        "{most} bytes lay aside"
    );
    for (key, _) in &streams {
        fixture.ring.remove(*key);
    }
    fixture.assert_nothing_is_left();
}

#[test]
fn more_streams_than_buffers_all_get_their_bytes() {
    for consumption in CONSUMPTIONS {
        receive_on_many_streams(consumption);
    }
}

fn receive_on_many_streams(consumption: Consumption) {
    let fixture = Fixture::with_buffers(consumption);
    let mut streams: Vec<_> = (0..3 * usize::from(BUFFERS)).map(|_| fixture.stream()).collect();
    for round in 0..20u8 {
        for (key, _) in &streams {
            assert!(!fixture.asks(*key));
        }
        fixture.ring.poll(true).unwrap();
        for (_, there) in &mut streams {
            there.write_all(&[round; 300]).unwrap();
        }
        for (key, _) in &streams {
            let mut received = Vec::new();
            fixture.turn_until("bytes of a stream", || {
                if fixture.asks(*key) {
                    fixture.read(*key, usize::MAX, &mut received).unwrap();
                }
                received.len() == 300
            });
            assert_eq!(received, [round; 300]);
        }
    }
    for (key, _) in &streams {
        fixture.ring.remove(*key);
    }
    fixture.assert_nothing_is_left();
}

#[test]
fn small_messages_of_more_streams_than_buffers_all_find_a_buffer() {
    let fixture = Fixture::new();
    if !fixture.ring.uring.provided().is_incremental() {
        eprintln!("skipped: before Linux 6.12 each receive takes a whole buffer");
        return;
    }
    let mut streams: Vec<_> = (0..10 * usize::from(BUFFERS)).map(|_| fixture.stream()).collect();
    for (key, _) in &streams {
        assert!(!fixture.asks(*key));
    }
    fixture.ring.poll(true).unwrap();
    for (_, there) in &mut streams {
        there.write_all(&[7; 300]).unwrap();
    }
    for (key, _) in &streams {
        let mut received = Vec::new();
        fixture.turn_until("bytes of a stream", || {
            assert!(!fixture.ring.has_starved());
            fixture.asks(*key)
        });
        fixture.read(*key, usize::MAX, &mut received).unwrap();
        assert_eq!(received, [7; 300]);
        fixture.ring.remove(*key);
    }
    fixture.assert_nothing_is_left();
}

#[test]
fn an_idle_stream_holds_no_buffer_and_no_memory() {
    let fixture = Fixture::new();
    let (key, mut there) = fixture.stream();
    for _ in 0..3 {
        assert!(!fixture.asks(key));
        there.write_all(&pattern(10_000)).unwrap();
        let mut received = Vec::new();
        fixture.turn_until("bytes", || {
            if fixture.asks(key) {
                fixture.read(key, usize::MAX, &mut received).unwrap();
            }
            received.len() == 10_000
        });
        assert!(fixture.ring.uring.provided().are_recycled());
        assert_eq!(fixture.ring.aside(), 0);
    }
    drop(there);
    fixture.turn_until("the end", || fixture.asks(key));
    assert_eq!(fixture.read(key, usize::MAX, &mut Vec::new()).unwrap(), 0);
    assert_eq!(fixture.read(key, usize::MAX, &mut Vec::new()).unwrap(), 0);
    fixture.ring.remove(key);
    fixture.assert_nothing_is_left();
}

#[test]
fn bytes_that_came_before_an_end_are_read_before_it() {
    let fixture = Fixture::new();
    let (key, mut there) = fixture.stream();
    assert!(!fixture.asks(key));
    fixture.ring.poll(true).unwrap();
    there.write_all(b"last").unwrap();
    drop(there);
    fixture.turn();
    fixture.turn();
    let mut received = Vec::new();
    fixture.turn_until("the end", || {
        fixture.asks(key) && fixture.read(key, 3, &mut received).is_ok_and(|count| count == 0)
    });
    assert_eq!(received, b"last");
    fixture.ring.remove(key);
    fixture.assert_nothing_is_left();
}
