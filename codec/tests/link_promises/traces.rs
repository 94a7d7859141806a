//! Trace tags: each arrives with its message, in both dialects, and changes nothing else.

use bytes::Bytes;
use skyring_codec::link::{
    CalleeLink, CallerLimits, CallerLink, Dialect, Inbound, TRACE_SENT_BYTES_MAX, TRACES_WAITING_MAX,
};
use skyring_codec::native::Hello;

use crate::support::{
    DIALECTS, TEN, answer, arrive, ask, call, callee, caller, connect, hello, pair, payload, post,
    take_from_callee, take_from_caller, without_session,
};

const TAG: Bytes = Bytes::from_static(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");

/// Both ends, of which the acceptor takes tags.
fn traced(dialect: Dialect, caller: &mut CallerLink) -> CalleeLink {
    let mut callee = callee();
    if dialect == Dialect::Skynet {
        caller.connected();
        return callee;
    }
    caller.dial(0, &hello()).expect("a valid hello");
    let greeted = arrive(&mut callee, take_from_caller(caller, usize::MAX));
    assert!(matches!(greeted.as_deref(), Ok([Inbound::Hello(_)])));
    let taking = Hello {
        traces: true,
        ..answer()
    };
    callee.accept_hello(&taking).expect("a valid hello");
    caller.receive(take_from_callee(&mut callee));
    caller.poll_event(0).expect("ready");
    callee
}

/// Makes a call with a tag.
fn ask_traced(caller: &mut CallerLink, bytes: usize, token: u64, tag: Bytes, id: u32) {
    let request = call(TEN, &payload(bytes), None, token);
    caller.request_traced(0, request, tag, id).expect("accepted");
}

/// The payload lengths and the tags of what arrives in chunks of `size`.
fn arrived(callee: &mut CalleeLink, bytes: &Bytes, size: usize) -> Vec<(usize, Option<Bytes>)> {
    let mut all = Vec::new();
    for start in (0..bytes.len()).step_by(size) {
        let chunk = bytes.slice(start..bytes.len().min(start + size));
        callee.receive(chunk);
        loop {
            let resolved = callee.next_resolved(0, |_| Some(10));
            if let Some(request) = resolved {
                all.push((request.payload.len(), None));
                continue;
            }
            match callee.poll_inbound().expect("valid") {
                Some(Inbound::Request(request)) => all.push((request.payload.len(), request.trace)),
                Some(other) => panic!("{other:?}"),
                None => break,
            }
        }
    }
    all
}

#[test]
fn a_tag_arrives_with_its_message_and_no_other() {
    for dialect in DIALECTS {
        for size in [1, 7, 23, 24, 25, 79, 80, usize::MAX / 2] {
            let mut caller = caller();
            let mut callee = traced(dialect, &mut caller);
            ask(&mut caller, TEN, 3, None, 1);
            ask_traced(&mut caller, 4, 2, TAG, 7);
            post(&mut caller, TEN, 5);
            ask_traced(&mut caller, 70_000, 3, Bytes::from_static(b"x"), 8);
            ask(&mut caller, TEN, 6, None, 4);
            assert_eq!(
                (
                    caller.next_trace_sent(),
                    caller.next_trace_sent(),
                    caller.next_trace_sent()
                ),
                (Some(7), Some(8), None)
            );
            let bytes = take_from_caller(&mut caller, usize::MAX);
            let mut found = arrived(&mut callee, &bytes, size);
            // A message in parts comes out behind those that are between its parts.
            found.sort_by_key(|(length, _)| *length);
            let expected = [
                (3, None),
                (4, Some(TAG)),
                (5, None),
                (6, None),
                (70_000, Some(Bytes::from_static(b"x"))),
            ];
            assert_eq!(found, expected, "{dialect:?} in pieces of {size}");
        }
    }
}

#[test]
fn tags_of_messages_that_wait_for_a_connection_are_sent_with_them() {
    for dialect in DIALECTS {
        let mut caller = caller();
        ask_traced(&mut caller, 4, 1, TAG, 7);
        let expiring = call(TEN, &payload(5), Some(1), 2);
        caller.request_traced(0, expiring, TAG, 8).expect("accepted");
        ask(&mut caller, TEN, 6, None, 3);
        assert_eq!(caller.next_trace_sent(), None);
        // The second call is over, and so is its tag.
        while caller.poll_event(5).expect("no connection").is_some() {}
        let mut callee = traced(dialect, &mut caller);
        assert_eq!(
            (caller.next_trace_sent(), caller.next_trace_sent()),
            (Some(7), None)
        );
        let bytes = take_from_caller(&mut caller, usize::MAX);
        let found = arrived(&mut callee, &bytes, usize::MAX / 2);
        assert_eq!(found, [(4, Some(TAG)), (6, None)], "{dialect:?}");
    }
}

#[test]
fn a_peer_that_takes_no_tags_gets_none() {
    let (mut caller, mut callee) = pair(Dialect::Native);
    ask_traced(&mut caller, 4, 1, TAG, 7);
    assert_eq!(caller.next_trace_sent(), Some(7));
    let bytes = take_from_caller(&mut caller, usize::MAX);
    assert_eq!(arrived(&mut callee, &bytes, usize::MAX / 2), [(4, None)]);
}

#[test]
fn a_tag_of_a_refused_message_is_forgotten() {
    let mut caller = caller();
    let refused = call(TEN, &payload(64 << 20), None, 1);
    assert!(caller.request_traced(0, refused, TAG, 1).is_err());
    ask(&mut caller, TEN, 4, None, 2);
    let mut callee = traced(Dialect::Native, &mut caller);
    let bytes = take_from_caller(&mut caller, usize::MAX);
    assert_eq!(arrived(&mut callee, &bytes, usize::MAX / 2), [(4, None)]);
}

#[test]
fn tags_are_bounded_and_their_messages_are_sent_all_the_same() {
    // All leave in one step.
    let mut caller = CallerLink::new(CallerLimits {
        released_at_once_min: 2 * TRACES_WAITING_MAX,
        ..without_session()
    });
    let long = Bytes::from(vec![b't'; TRACE_SENT_BYTES_MAX + 1]);
    ask_traced(&mut caller, 0, 0, long, 0);
    for index in 1..=TRACES_WAITING_MAX as u64 + 5 {
        ask_traced(&mut caller, 1, index, TAG, index as u32);
    }
    let mut callee = callee();
    connect(Dialect::Skynet, &mut caller, &mut callee, 0);
    let bytes = take_from_caller(&mut caller, usize::MAX);
    let found = arrived(&mut callee, &bytes, usize::MAX / 2);
    assert_eq!(found.len(), TRACES_WAITING_MAX + 6);
    let tagged = found.iter().filter(|(_, tag)| tag.is_some());
    assert_eq!(tagged.count(), TRACES_WAITING_MAX);
}

#[test]
fn a_message_with_its_longest_tag_costs_at_least_its_bytes() {
    for dialect in DIALECTS {
        let mut caller = caller();
        let _callee = traced(dialect, &mut caller);
        let tag = Bytes::from(vec![b't'; TRACE_SENT_BYTES_MAX]);
        ask_traced(&mut caller, 10, 1, tag, 1);
        let counted = caller.out_buffer_bytes();
        let written = take_from_caller(&mut caller, usize::MAX).len();
        assert!(written <= counted, "{dialect:?}: {written} of {counted}");
    }
}
