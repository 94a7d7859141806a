//! Messages that waited for a connection leave in steps.

use skyring_codec::link::{
    CallerLimits, CallerLink, RELEASE_PAUSE_MS, RELEASED_AT_ONCE_MAX, RELEASED_BYTES_AT_ONCE_MAX,
};

use crate::support::{
    DIALECTS, TEN, ask, callee, connect, deliver, events, expired, lengths, post, take_from_caller,
};

/// A caller whose first step is of `first` messages.
fn caller(first: usize) -> CallerLink {
    CallerLink::new(CallerLimits {
        released_at_once_min: first,
        ..CallerLimits::default()
    })
}

#[test]
fn they_leave_in_order_in_steps_that_double_and_later_ones_queue_behind_them() {
    for dialect in DIALECTS {
        let (mut caller, mut callee) = (caller(4), callee());
        for number in 0..40 {
            match number % 2 {
                0 => ask(&mut caller, TEN, number, None, number as u64),
                _ => post(&mut caller, TEN, number),
            }
        }
        let mut now = 100;
        events(&mut caller, now).expect("no input");
        connect(dialect, &mut caller, &mut callee, now);
        let mut arrived = Vec::new();
        let mut steps = Vec::new();
        for number in 40.. {
            let step = lengths(&deliver(&mut caller, &mut callee));
            if step.is_empty() {
                break;
            }
            steps.push(step.len());
            arrived.extend(step);
            // One is accepted in each pause, while others wait.
            if steps.len() < 5 {
                post(&mut caller, TEN, number);
            }
            assert_eq!(events(&mut caller, now + RELEASE_PAUSE_MS - 1), Ok(vec![]));
            if steps.len() < 4 {
                assert!(!caller.has_output(), "the pause is not over");
                assert_eq!(caller.next_deadline(), Some(now + RELEASE_PAUSE_MS));
            }
            now += RELEASE_PAUSE_MS;
            assert_eq!(events(&mut caller, now), Ok(vec![]));
        }
        // 40 and those accepted after the first three steps; the fourth takes all, so the last one leaves at once.
        assert_eq!(steps, [4, 8, 16, 15, 1], "{dialect:?}");
        assert_eq!(arrived, (0..44).collect::<Vec<_>>(), "{dialect:?}");
    }
}

#[test]
fn a_peer_that_does_not_read_gets_no_further_step() {
    for dialect in DIALECTS {
        let (mut caller, mut callee) = (caller(1), callee());
        for token in 0..10 {
            ask(&mut caller, TEN, 5, None, token);
        }
        connect(dialect, &mut caller, &mut callee, 0);
        let first = caller.out_buffer_bytes();
        for now in 0..1_000 {
            assert_eq!(events(&mut caller, now), Ok(vec![]));
            assert_eq!(caller.out_buffer_bytes(), first, "what waits still counts");
        }
        assert_eq!(deliver(&mut caller, &mut callee).len(), 1);
        events(&mut caller, 1_010).expect("no input");
        assert_eq!(deliver(&mut caller, &mut callee).len(), 2, "{dialect:?}");
    }
}

#[test]
fn a_call_that_ends_before_its_step_is_not_sent() {
    for dialect in DIALECTS {
        let (mut caller, mut callee) = (caller(1), callee());
        for token in 0..3 {
            ask(&mut caller, TEN, 5, Some(2 + token), token);
        }
        ask(&mut caller, TEN, 6, None, 3);
        connect(dialect, &mut caller, &mut callee, 0);
        let mut arrived = lengths(&deliver(&mut caller, &mut callee));
        let ends = events(&mut caller, RELEASE_PAUSE_MS).expect("no input");
        assert_eq!(ends, [expired(0, true), expired(1, false), expired(2, false)]);
        arrived.extend(lengths(&deliver(&mut caller, &mut callee)));
        assert_eq!(arrived, [5, 6], "{dialect:?}");
        assert_eq!(caller.outstanding(), 1);
    }
}

#[test]
fn a_connection_that_breaks_between_two_steps_leaves_the_rest_to_the_next_one() {
    for dialect in DIALECTS {
        let mut caller = caller(2);
        for token in 0..9 {
            ask(&mut caller, TEN, token, None, token as u64);
        }
        let mut arrived = Vec::new();
        for now in [0, 100, 200] {
            let mut callee = callee();
            connect(dialect, &mut caller, &mut callee, now);
            arrived.extend(lengths(&deliver(&mut caller, &mut callee)));
            caller.disconnected();
            events(&mut caller, now).expect("no input");
        }
        assert_eq!(arrived, [0, 1, 2, 3, 4, 5], "{dialect:?}");
    }
}

#[test]
fn no_step_is_larger_than_its_bounds() {
    let (mut small, mut large) = (caller(usize::MAX), caller(usize::MAX));
    for token in 0..RELEASED_AT_ONCE_MAX as u64 + 1 {
        ask(&mut small, TEN, 0, None, token);
    }
    let bytes = RELEASED_BYTES_AT_ONCE_MAX / 4;
    for token in 0..5 {
        ask(&mut large, TEN, bytes, None, token);
    }
    let mut callees = [callee(), callee()];
    for (caller, callee) in [&mut small, &mut large].into_iter().zip(&mut callees) {
        caller.connected();
        let step = deliver(caller, callee).len();
        events(caller, RELEASE_PAUSE_MS).expect("no input");
        assert!(step <= RELEASED_AT_ONCE_MAX && step * bytes >= 4 * bytes);
        assert!(!take_from_caller(caller, usize::MAX).is_empty(), "the rest");
    }
    assert_eq!(
        callees.map(|callee| callee.requests_seen()),
        [RELEASED_AT_ONCE_MAX as u64, 4]
    );
}
