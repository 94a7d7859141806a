//! Broken connections without a session: which messages are lost, which go on, and in which order.

use skyring_codec::link::{CallerLimits, CallerLink};
use skyring_codec::skynet::Address;

use crate::support::{
    TEN, ask, call, callee, connected_caller, deliver, events, expired, lengths, lost, payload, post, reply,
    requests, response, take_from_caller,
};

/// The lengths of the payloads that a new connection delivers; each test chooses different ones.
fn delivered(caller: &mut CallerLink) -> Vec<usize> {
    let mut callee = callee();
    let got = deliver(caller, &mut callee);
    assert!(
        !callee.has_partial_input(),
        "the connection ends within a message"
    );
    lengths(&got)
}

#[test]
fn sent_calls_are_lost_and_unsent_ones_go_on_in_order() {
    // The connection breaks within a short first message, and within each package of a long one.
    for (first, cuts) in [
        (20, vec![0, 1, 2, 30, 31]),
        (40_000, vec![0, 1, 15, 16, 32_800, 40_029]),
    ] {
        for cut in cuts {
            let mut caller = connected_caller();
            ask(&mut caller, TEN, first, None, 1);
            post(&mut caller, TEN, 21);
            ask(&mut caller, Address::Name(b"@big"), 33_000, None, 2);
            post(&mut caller, Address::Name(b"@big"), 33_001);
            ask(&mut caller, TEN, 22, None, 3);
            assert_eq!(take_from_caller(&mut caller, cut).len(), cut);
            caller.disconnected();
            assert!(!caller.has_output() && take_from_caller(&mut caller, usize::MAX).is_empty());
            ask(&mut caller, TEN, 23, None, 4);
            let expected = if cut == 0 { vec![] } else { vec![lost(1, true)] };
            assert_eq!(events(&mut caller, 0), Ok(expected), "{first} cut at {cut}");
            caller.connected();
            let mut rest = vec![21, 33_000, 33_001, 22, 23];
            if cut == 0 {
                rest.insert(0, first);
            }
            assert_eq!(delivered(&mut caller), rest, "{first} cut at {cut}");
        }
    }
}

#[test]
fn a_send_that_was_begun_is_dropped_and_not_sent_twice() {
    let mut caller = connected_caller();
    post(&mut caller, TEN, 100);
    post(&mut caller, TEN, 101);
    take_from_caller(&mut caller, 1);
    caller.disconnected();
    caller.connected();
    assert_eq!(delivered(&mut caller), [101]);
    assert!(caller.is_idle());
}

#[test]
fn calls_that_go_on_are_answered_under_the_new_connection() {
    let mut caller = connected_caller();
    ask(&mut caller, TEN, 1, None, 1);
    take_from_caller(&mut caller, usize::MAX);
    ask(&mut caller, TEN, 2, Some(100), 2);
    caller.disconnected();
    assert_eq!(events(&mut caller, 0), Ok(vec![lost(1, true)]));
    caller.connected();
    let mut callee = callee();
    let got = deliver(&mut caller, &mut callee);
    caller.receive(response(got[0].session, 1, &payload(1)));
    assert_eq!(events(&mut caller, 0), Ok(vec![reply(2, 1)]));
    assert!(caller.is_idle() && caller.next_deadline().is_none());
}

#[test]
fn unsent_calls_survive_many_broken_connections() {
    let mut caller = CallerLink::new(CallerLimits::default());
    for token in 0..50 {
        ask(&mut caller, TEN, 600 + token as usize, None, token);
    }
    let mut arrived = Vec::new();
    let mut broken = 0;
    while caller.out_buffer_bytes() > 0 {
        caller.connected();
        // Two messages and a byte of a third get through each time.
        let mut callee = callee();
        let taken = take_from_caller(&mut caller, 2 * (600 + 11 + 49) + 1);
        let got = requests(&mut callee, taken);
        arrived.extend(got.into_iter().map(|request| request.payload.len() as u64 - 600));
        caller.disconnected();
        broken += 1;
    }
    assert!(broken > 10);
    let lost_events = events(&mut caller, 0).expect("no input");
    assert_eq!(
        lost_events,
        (0..50).map(|token| lost(token, true)).collect::<Vec<_>>()
    );
    assert!(arrived.is_sorted() && arrived.len() > 20, "{arrived:?}");
    assert!(caller.is_idle());
}

#[test]
fn a_peer_that_returns_gets_no_request_whose_deadline_has_passed() {
    let mut caller = CallerLink::new(CallerLimits::default());
    ask(&mut caller, TEN, 1, Some(10), 1);
    post(&mut caller, TEN, 2);
    ask(&mut caller, TEN, 40_003, Some(10), 2);
    ask(&mut caller, TEN, 4, Some(20), 3);
    let expired = [1, 2].map(|token| expired(token, false));
    assert_eq!(events(&mut caller, 10), Ok(expired.to_vec()));
    caller.connected();
    assert_eq!(delivered(&mut caller), [2, 4]);
}

#[test]
fn calls_that_expire_without_a_connection_do_not_use_up_the_out_buffer() {
    let limits = CallerLimits {
        out_buffer_bytes_max: 10_000,
        ..CallerLimits::default()
    };
    let mut caller = CallerLink::new(limits);
    for now in 0..10_000 {
        caller
            .request(0, call(TEN, &payload(100), Some(now + 20), now))
            .expect("at most 20 have not expired");
        let expired = events(&mut caller, now).expect("no input");
        assert!(now < 20 || expired.len() == 1);
    }
    assert!(caller.out_buffer_bytes() < 10_000);
}

#[test]
fn half_a_reply_of_the_old_connection_is_not_joined_with_the_new_one() {
    let mut caller = connected_caller();
    ask(&mut caller, TEN, 1, None, 1);
    ask(&mut caller, TEN, 2, None, 2);
    take_from_caller(&mut caller, 12);
    caller.receive(response(2, 2, &4u32.to_le_bytes()));
    caller.receive(response(2, 3, b"ab"));
    caller.receive(response(2, 3, b"cdef").slice(..5));
    assert_eq!(events(&mut caller, 0), Ok(vec![]));
    caller.disconnected();
    caller.receive(response(2, 1, b"after the end"));
    assert_eq!(events(&mut caller, 0), Ok(vec![lost(1, true)]));
    caller.connected();
    caller.receive(response(2, 1, &payload(7)));
    assert_eq!(events(&mut caller, 0), Ok(vec![reply(2, 7)]));
}

#[test]
fn closing_ends_every_call_and_drops_what_was_queued() {
    let mut caller = connected_caller();
    ask(&mut caller, TEN, 1, Some(50), 1);
    take_from_caller(&mut caller, 5);
    ask(&mut caller, TEN, 2, None, 2);
    post(&mut caller, TEN, 3);
    assert!(!caller.is_idle());
    caller.close();
    assert_eq!(events(&mut caller, 100), Ok(vec![lost(1, true), lost(2, false)]));
    assert!(caller.is_idle() && caller.next_deadline().is_none());
    caller.connected();
    assert_eq!(delivered(&mut caller), Vec::<usize>::new());
    // The link can be used again.
    ask(&mut caller, TEN, 4, None, 4);
    assert_eq!(delivered(&mut caller), [4]);
}

#[test]
fn a_connection_that_replaces_one_without_a_notice_begins_with_a_whole_message() {
    let mut caller = connected_caller();
    ask(&mut caller, TEN, 1, None, 1);
    ask(&mut caller, TEN, 2, None, 2);
    take_from_caller(&mut caller, 3);
    caller.connected();
    assert_eq!(delivered(&mut caller), [2]);
    assert_eq!(events(&mut caller, 0), Ok(vec![lost(1, true)]));
}
