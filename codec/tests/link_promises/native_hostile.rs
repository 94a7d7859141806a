//! Peers that violate the native dialect or its limits.

use bytes::Bytes;
use skyring_codec::link::{CalleeLimits, CallerEvent, CallerLimits, Inbound, ProtocolError, ReplyError};
use skyring_codec::native::{ErrorCode, FrameError, FrameKind};

use crate::support::{
    TEN, arrive, ask, deliver, events, frame, in_pieces, native_pair, native_pair_of, payload, requests,
    take_from_callee, take_from_caller,
};

/// A header alone that declares `length` bytes.
fn declared(kind: u8, length: u32, session: u32) -> Bytes {
    let mut bytes = frame(kind, 0, [session, 10, 0, 0], b"").to_vec();
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes.into()
}

#[test]
fn a_malformed_frame_is_an_error_at_both_ends() {
    let kind = FrameKind::Call;
    for (bytes, error) in [
        (frame(0, 0, [0; 4], b""), FrameError::Kind { kind: 0 }),
        (frame(12, 0, [0; 4], b""), FrameError::Kind { kind: 12 }),
        (
            frame(1, 2, [1, 0, 0, 0], b""),
            FrameError::Flags { kind, flags: 2 },
        ),
        (frame(1, 0, [0; 4], b""), FrameError::Session { kind, session: 0 }),
    ] {
        for cut in [1, 10, 24] {
            let (mut caller, mut callee) = native_pair();
            let mut outcome = (Ok(vec![]), Ok(vec![]));
            in_pieces(bytes.clone(), &[cut], |piece| {
                caller.receive(piece.clone());
                outcome = (events(&mut caller, 0), arrive(&mut callee, piece));
            });
            let expected = Err(ProtocolError::Frame(error));
            assert_eq!(outcome, (expected.clone(), Err(ProtocolError::Frame(error))));
            assert_eq!(events(&mut caller, 0), expected, "the error is repeated");
        }
    }
}

#[test]
fn a_frame_in_the_wrong_direction_is_an_error() {
    let wrong = |kind| ProtocolError::Frame(FrameError::Direction { kind });
    for (number, kind) in [
        (1, FrameKind::Call),
        (2, FrameKind::Send),
        (5, FrameKind::DefineName),
    ] {
        let (mut caller, _) = native_pair();
        caller.receive(frame(number, 0, [u32::from(number == 1), 0, 0, 0], b"x"));
        assert_eq!(events(&mut caller, 0), Err(wrong(kind)));
    }
    for (number, kind) in [(3, FrameKind::ReplyOk), (4, FrameKind::ReplyError)] {
        let (_, mut callee) = native_pair();
        assert_eq!(
            arrive(&mut callee, frame(number, 0, [1, 0, 0, 0], b"x")),
            Err(wrong(kind))
        );
    }
    // Also for a frame that is larger than the limit.
    let (mut caller, mut callee) = native_pair();
    caller.receive(declared(2, u32::MAX, 0));
    assert_eq!(events(&mut caller, 0), Err(wrong(FrameKind::Send)));
    assert_eq!(
        arrive(&mut callee, declared(3, u32::MAX, 1)),
        Err(wrong(FrameKind::ReplyOk))
    );
}

#[test]
fn a_call_that_is_too_large_is_answered_at_its_header_and_the_connection_goes_on() {
    let limits = CalleeLimits {
        message_bytes_max: 1_000,
        ..CalleeLimits::default()
    };
    let (mut caller, mut callee) = native_pair_of(CallerLimits::default(), limits);
    for length in [1_001, 1_000] {
        ask(&mut caller, TEN, length, None, length as u64);
    }
    let stream = take_from_caller(&mut caller, usize::MAX);
    let rest = stream.slice(24..);
    assert_eq!(arrive(&mut callee, stream.slice(..24)), Ok(vec![]));
    caller.receive(take_from_callee(&mut callee));
    let refused = CallerEvent::Reply {
        token: 1_001,
        result: Err(ReplyError {
            code: Some(ErrorCode::TooLarge),
            text: Bytes::from_static(b"too-large: request of 1001 bytes, limit 1000"),
        }),
    };
    assert_eq!(events(&mut caller, 0), Ok(vec![refused]));
    assert!(callee.has_partial_input(), "its payload is still to come");
    let got = requests(&mut callee, rest);
    assert_eq!(
        got.iter()
            .map(|request| request.payload.len())
            .collect::<Vec<_>>(),
        [1_000]
    );
    assert_eq!(
        (callee.requests_refused(), callee.has_partial_input()),
        (1, false)
    );
}

#[test]
fn a_send_that_is_too_large_is_dropped_and_counted() {
    let (_, mut callee) = native_pair();
    let length = 20 << 20;
    assert_eq!(arrive(&mut callee, declared(2, length, 0)), Ok(vec![]));
    assert_eq!(callee.requests_refused(), 1);
    assert!(!callee.has_output());
    // 20 MiB arrive in pieces, and none of them is kept.
    let piece = Bytes::from(vec![0; 1 << 20]);
    for _ in 0..20 {
        assert_eq!(arrive(&mut callee, piece.clone()), Ok(vec![]));
        assert!(callee.held_bytes() < 4_096, "{}", callee.held_bytes());
    }
    assert_eq!(requests(&mut callee, frame(2, 0, [0, 10, 0, 0], b"x")).len(), 1);
}

#[test]
fn declared_lengths_hold_no_memory_and_buffers_grow_with_the_input() {
    let (_, mut callee) = native_pair();
    let length = 16 << 20;
    assert_eq!(arrive(&mut callee, declared(1, length, 1)), Ok(vec![]));
    assert!(callee.held_bytes() < 1_024, "{}", callee.held_bytes());
    let mut came = 0;
    while came < length as usize {
        let piece = payload(300_000.min(length as usize - came));
        came += piece.len();
        let got = requests(&mut callee, piece);
        assert_eq!(got.len(), usize::from(came == length as usize));
        let held = callee.held_bytes();
        assert!(
            held <= 4 * came + 1_024 && held <= length as usize + 1_024,
            "{held} of {came}"
        );
    }
}

#[test]
fn errors_carry_their_code_and_a_code_of_a_later_version_is_none() {
    let (mut caller, mut callee) = native_pair();
    for (token, code) in ErrorCode::ALL.into_iter().enumerate() {
        ask(&mut caller, TEN, 1, None, token as u64);
        let got = deliver(&mut caller, &mut callee);
        callee.respond_error(got[0].session, code, b"why");
        caller.receive(take_from_callee(&mut callee));
        let text = Bytes::from_static(b"why");
        let reply = CallerEvent::Reply {
            token: token as u64,
            result: Err(ReplyError {
                code: Some(code),
                text,
            }),
        };
        assert_eq!(events(&mut caller, 0), Ok(vec![reply]));
    }
    ask(&mut caller, TEN, 1, None, 99);
    let session = deliver(&mut caller, &mut callee)[0].session;
    caller.receive(frame(4, 0, [session, 15, 0, 0], b"new"));
    let text = Bytes::from_static(b"new");
    let reply = CallerEvent::Reply {
        token: 99,
        result: Err(ReplyError { code: None, text }),
    };
    assert_eq!(events(&mut caller, 0), Ok(vec![reply]));
}

#[test]
fn a_flood_of_pings_fills_the_output_until_reading_stops() {
    let limits = CalleeLimits {
        out_buffer_bytes_max: 1_000,
        ..CalleeLimits::default()
    };
    let (_, mut callee) = native_pair_of(CallerLimits::default(), limits);
    let pings = frame(6, 0, [1, 0, 0, 0], b"").repeat(50);
    assert_eq!(arrive(&mut callee, pings.into()), Ok(vec![]));
    assert!(callee.is_output_full());
    assert_eq!(callee.out_buffer_bytes(), 50 * 24);
}

#[test]
fn names_count_as_held_memory_and_goodbye_is_an_event() {
    let (_, mut callee) = native_pair();
    callee.release_memory();
    assert_eq!(callee.held_bytes(), 0);
    let names: Vec<_> = (0..100)
        .map(|number| frame(5, 0, [0, number, 0, 0], &[b'n'; 200]))
        .collect();
    assert_eq!(arrive(&mut callee, names.concat().into()), Ok(vec![]));
    assert!(callee.held_bytes() >= 100 * 200);
    assert_eq!(
        arrive(&mut callee, frame(8, 0, [0; 4], b"")),
        Ok(vec![Inbound::Goodbye])
    );
}
