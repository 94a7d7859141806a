//! Bytes arrive in order, all of them, whatever their sizes and whichever end is slow.

use std::io::Read;
use std::thread;

use socket2::SockRef;

use super::*;

/// Sends from one stream of a ring to another, with sizes, pauses and socket buffers that depend on the seed.
fn send_and_receive(seed: u64, consumption: Consumption) {
    let mut dice = Dice(seed);
    let fixture = Fixture::with_buffers(consumption);
    let (here, there) = pair();
    let has_small_buffers = dice.below(2) == 0;
    if has_small_buffers {
        SockRef::from(&here).set_send_buffer_size(4 << 10).unwrap();
        SockRef::from(&there).set_recv_buffer_size(4 << 10).unwrap();
    }
    let (from, to) = (fixture.adopt(here), fixture.adopt(there));
    let largest = [1, 100, 5_000, 300_000][dice.below(if has_small_buffers { 3 } else { 4 })];
    let text = Text::new(Vec::new(), 1 + dice.below(40_000));
    let (mut expected, mut received) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        let piece: Vec<u8> = (0..1 + dice.below(largest))
            .map(|_| dice.below(256) as u8)
            .collect();
        expected.extend_from_slice(&piece);
        text.bytes.borrow_mut().extend_from_slice(&piece);
        fixture.ring.write(from, &text.writer());
        if dice.below(3) == 0 {
            fixture.ring.write_listed();
        }
        for _ in 0..dice.below(3) {
            fixture.turn();
        }
        // It reads now and then, and not always all.
        if dice.below(2) == 0 && fixture.asks(to) {
            let bytes_max = 1 + dice.below(2 * largest);
            fixture.read(to, bytes_max, &mut received).unwrap();
        }
    }
    fixture.turn_until("the arrival of everything", || {
        while fixture.asks(to) {
            fixture.read(to, usize::MAX, &mut received).unwrap();
        }
        text.is_sent() && received.len() == expected.len()
    });
    assert!(received == expected, "seed {seed}, {consumption:?}");
    fixture.ring.remove(from);
    fixture.ring.remove(to);
    fixture.assert_nothing_is_left();
}

#[test]
fn bytes_arrive_in_order_whatever_their_sizes() {
    for seed in 1..=40 {
        for consumption in CONSUMPTIONS {
            send_and_receive(seed * 0x9e37_79b9, consumption);
        }
    }
}

#[test]
fn more_slices_than_one_write_takes_leave_before_the_ring_sleeps() {
    let fixture = Fixture::new();
    let (key, mut there) = fixture.stream();
    let expected = pattern(3 * Wrote::SLICES_MAX);
    let text = Text::new(expected.clone(), 1);
    fixture.ring.write(key, &text.writer());
    let began = Instant::now();
    while !text.is_sent() {
        // Nothing completes but the writes, which do not say so.
        fixture.ring.wait(Some(Instant::now() + PATIENCE)).unwrap();
        assert!(began.elapsed() < PATIENCE, "the ring slept with a rest to write");
    }
    let mut received = vec![0; expected.len()];
    there.read_exact(&mut received).unwrap();
    assert!(received == expected);
}

#[test]
fn who_waits_for_a_write_hears_of_it_before_the_ring_sleeps() {
    let fixture = Fixture::new();
    let (key, _there) = fixture.stream();
    let text = Text::new(pattern(10), 10);
    text.is_awaited.set(true);
    fixture.ring.write(key, &text.writer());
    let began = Instant::now();
    fixture.ring.wait(Some(Instant::now() + PATIENCE)).unwrap();
    assert!(text.is_sent() && began.elapsed() < PATIENCE);
}

#[test]
fn a_full_socket_delays_and_loses_nothing() {
    let fixture = Fixture::new();
    let (key, mut there) = fixture.stream();
    let expected = pattern(32 << 20);
    let text = Text::new(expected.clone(), 100_000);
    fixture.ring.write(key, &text.writer());
    fixture.turn_until("a full socket", || text.full.get() > 0);
    for _ in 0..5 {
        fixture.turn();
    }
    assert!(!text.is_sent());
    let reading = thread::spawn(move || {
        let mut received = vec![0; expected.len()];
        there.read_exact(&mut received).unwrap();
        assert!(received == expected);
        there
    });
    fixture.turn_until("the end of the sending", || text.is_sent());
    reading.join().unwrap();
    fixture.ring.remove(key);
    fixture.assert_nothing_is_left();
}

#[test]
fn what_a_send_has_not_sent_is_known_when_completions_overflow() {
    let fixture = Fixture::new();
    // More polls speak at once than there are completions.
    let (watched, mut ringing) = pair();
    let waker = Waker::from(Arc::clone(&fixture.wakes));
    let polls: Vec<SourceKey> = (0..4_500)
        .map(|_| {
            let key = fixture.ring.insert(watched.as_raw_fd(), None);
            fixture.ring.clear_readable(key);
            let asked = fixture.ring.poll_ready(
                key,
                crate::rt::uring::ring::Direction::Read,
                &mut Context::from_waker(&waker),
            );
            assert!(asked.is_pending());
            key
        })
        .collect();
    fixture.ring.poll(true).unwrap();
    let (key, mut there) = fixture.stream();
    let expected = pattern(16 << 20);
    let text = Text::new(expected.clone(), expected.len());
    ringing.write_all(b"x").unwrap();
    fixture.ring.write(key, &text.writer());
    fixture.ring.wait(None).unwrap();
    assert_eq!(text.full.get(), 1);
    let sent = text.sent.get();
    assert!(sent > 0 && sent < expected.len());
    fixture.turn_until("every wake-up", || {
        fixture.wakes.0.load(Ordering::Relaxed) == polls.len()
    });
    let reading = thread::spawn(move || {
        let mut received = vec![0; expected.len()];
        there.read_exact(&mut received).unwrap();
        assert!(received == expected);
    });
    fixture.turn_until("the end of the sending", || text.is_sent());
    reading.join().unwrap();
    for key in polls.into_iter().chain([key]) {
        fixture.ring.remove(key);
    }
    fixture.assert_nothing_is_left();
}

#[test]
fn more_streams_than_one_entry_writes_to_are_all_written() {
    let fixture = Fixture::new();
    let streams: Vec<_> = (0..100u8)
        .map(|number| {
            let (key, there) = fixture.stream();
            let text = Text::new(vec![number; 1000], 7);
            fixture.ring.write(key, &text.writer());
            (key, there, text)
        })
        .collect();
    fixture.turn_until("the end of the sending", || {
        streams.iter().all(|(_, _, text)| text.is_sent())
    });
    for (number, (key, mut there, _)) in (0u8..).zip(streams) {
        let mut received = [0; 1000];
        there.read_exact(&mut received).unwrap();
        assert_eq!(received, [number; 1000]);
        fixture.ring.remove(key);
    }
    fixture.assert_nothing_is_left();
}

#[test]
fn a_released_stream_takes_along_what_came_and_was_not_read() {
    for pause in [false, true] {
        let fixture = Fixture::new();
        let (key, mut there) = fixture.stream();
        assert!(!fixture.asks(key));
        there.write_all(b"one ").unwrap();
        fixture.turn_until("the first bytes", || fixture.asks(key));
        let mut received = Vec::new();
        fixture.read(key, 2, &mut received).unwrap();
        there.write_all(b"two ").unwrap();
        if pause {
            fixture.turn();
        }
        let waker = Waker::from(Arc::clone(&fixture.wakes));
        fixture.turn_until("the release", || {
            fixture
                .ring
                .poll_released(key, &mut Context::from_waker(&waker))
                .is_ready()
        });
        there.write_all(b"three").unwrap();
        for _ in 0..3 {
            fixture.turn();
        }
        while fixture.read(key, usize::MAX, &mut received).is_ok() {}
        let socket = {
            let sources = fixture.ring.sources.borrow();
            let (_, source) = sources.all_open().next().unwrap();
            source.duplicate()
        };
        fixture.ring.remove(key);
        fixture.assert_nothing_is_left();
        socket.set_nonblocking(false).unwrap();
        let mut rest = vec![0; b"one two three".len() - received.len()];
        (&socket).read_exact(&mut rest).unwrap();
        received.extend(rest);
        assert_eq!(received, b"one two three");
    }
}
