//! Acknowledgements within a session: an acknowledged message is not retained.

use skyring_codec::link::ACK_DELAY_MS_MAX;

use crate::resume::{ask_number, pair, resume};
use crate::support::{
    TEN, arrive, deliver, deliver_back, events, in_pieces, payload, reply, requests, send, take_from_callee,
    take_from_caller,
};

#[test]
fn acknowledged_messages_are_not_retained() {
    let (mut caller, mut callee) = pair();
    for number in 1..=500 {
        ask_number(&mut caller, number, None);
    }
    let idle = callee.held_bytes();
    // Frames are acknowledged as they come, though nothing is answered.
    let mut arrived = Vec::new();
    in_pieces(take_from_caller(&mut caller, usize::MAX), &[1_000], |chunk| {
        arrived.extend(requests(&mut callee, chunk));
        assert_eq!(deliver_back(&mut callee, &mut caller, 0), vec![]);
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
    assert_eq!(deliver_back(&mut callee, &mut caller, 0), vec![]);
    assert_eq!(caller.out_buffer_bytes(), 0);
    // The same in the other direction.
    for request in arrived {
        callee.respond(request.session, Ok(payload(2_000)));
    }
    caller.receive(take_from_callee(&mut callee));
    assert!(callee.held_bytes() > 1_000_000);
    assert_eq!(events(&mut caller, 20).map(|events| events.len()), Ok(500));
    assert_eq!(caller.next_deadline(), Some(20 + ACK_DELAY_MS_MAX));
    // No acknowledgement is added while one waits for the socket.
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
    ask_number(&mut caller, 1, None);
    for request in deliver(&mut caller, &mut callee) {
        callee.respond(request.session, Ok(payload(100_000)));
    }
    // The output ends with an acknowledgement, at a high position.
    callee.tick(0);
    callee.tick(ACK_DELAY_MS_MAX);
    assert_eq!(
        deliver_back(&mut callee, &mut caller, 30),
        vec![reply(1, 100_000)]
    );
    assert_eq!(caller.out_buffer_bytes(), 0);
    caller.disconnected();
    assert_eq!(resume(&mut caller, &mut callee, 40), vec![]);
    caller.request(50, send(TEN, &payload(10))).expect("accepted");
    assert_eq!(deliver(&mut caller, &mut callee).len(), 1);
    callee.tick(50);
    callee.tick(50 + ACK_DELAY_MS_MAX);
    assert_eq!(deliver_back(&mut callee, &mut caller, 80), vec![]);
    assert!(
        caller.is_idle(),
        "{} bytes are retained",
        caller.out_buffer_bytes()
    );
}
