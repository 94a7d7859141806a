//! Acknowledgements within a session: what is acknowledged is not kept.

use skyring_codec::link::ACK_DELAY_MS_MAX;

use crate::resume::{ask, pair, reply, resume};
use crate::support::{
    TEN, arrive, events, in_pieces, payload, requests, send, take_from_callee, take_from_caller,
};

#[test]
fn what_is_acknowledged_is_not_kept() {
    let (mut caller, mut callee) = pair();
    for number in 1..=500 {
        ask(&mut caller, number, None);
    }
    let idle = callee.held_bytes();
    // Frames are acknowledged as they come, though nothing is answered.
    let mut arrived = Vec::new();
    in_pieces(take_from_caller(&mut caller, usize::MAX), &[1_000], |chunk| {
        arrived.extend(requests(&mut callee, chunk));
        caller.receive(take_from_callee(&mut callee));
        assert_eq!(events(&mut caller, 0), Ok(vec![]));
    });
    assert!(
        (1..130 * 640).contains(&caller.out_buffer_bytes()),
        "{}",
        caller.out_buffer_bytes()
    );
    callee.tick(10);
    assert_eq!(callee.next_deadline(), Some(10 + ACK_DELAY_MS_MAX));
    callee.tick(10 + ACK_DELAY_MS_MAX);
    assert_eq!(callee.next_deadline(), None);
    caller.receive(take_from_callee(&mut callee));
    assert_eq!(events(&mut caller, 0), Ok(vec![]));
    assert_eq!(caller.out_buffer_bytes(), 0);
    // The same the other way.
    for request in arrived {
        callee.respond(request.session, Ok(payload(2_000)));
    }
    caller.receive(take_from_callee(&mut callee));
    assert!(callee.held_bytes() > 1_000_000);
    assert_eq!(events(&mut caller, 20).map(|events| events.len()), Ok(500));
    assert_eq!(caller.next_deadline(), Some(20 + ACK_DELAY_MS_MAX));
    // One that waits for the socket is not followed by another.
    for now in [1, 2, 3].map(|times| 20 + times * ACK_DELAY_MS_MAX) {
        assert_eq!(events(&mut caller, now), Ok(vec![]));
        let acks = take_from_caller(&mut caller, usize::MAX);
        assert!(acks.len() <= 24);
        assert_eq!(arrive(&mut callee, acks), Ok(vec![]));
    }
    callee.release_memory();
    assert!(
        callee.held_bytes() <= idle + 64,
        "{} and {idle} before",
        callee.held_bytes()
    );
    assert!(caller.is_idle());
    assert_eq!(caller.next_deadline(), None);
}

#[test]
fn requests_of_a_later_connection_are_acknowledged_like_those_of_the_first() {
    let (mut caller, mut callee) = pair();
    ask(&mut caller, 1, None);
    for request in requests(&mut callee, take_from_caller(&mut caller, usize::MAX)) {
        callee.respond(request.session, Ok(payload(100_000)));
    }
    // The last thing that is written is an acknowledgement, far on in the output.
    callee.tick(0);
    callee.tick(ACK_DELAY_MS_MAX);
    caller.receive(take_from_callee(&mut callee));
    assert_eq!(events(&mut caller, 30), Ok(vec![reply(1, 100_000)]));
    assert_eq!(caller.out_buffer_bytes(), 0);
    caller.disconnected();
    assert_eq!(resume(&mut caller, &mut callee, 40), vec![]);
    caller.request(50, send(TEN, &payload(10))).expect("accepted");
    assert_eq!(
        requests(&mut callee, take_from_caller(&mut caller, usize::MAX)).len(),
        1
    );
    callee.tick(50);
    callee.tick(50 + ACK_DELAY_MS_MAX);
    caller.receive(take_from_callee(&mut callee));
    assert_eq!(events(&mut caller, 80), Ok(vec![]));
    assert!(caller.is_idle(), "{} bytes are kept", caller.out_buffer_bytes());
}
