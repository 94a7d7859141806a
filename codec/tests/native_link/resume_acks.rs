//! Acknowledgements on the connections that go on with a session.

use skyring_codec::link::ACK_DELAY_MS_MAX;

use crate::resume::{ask, pair, reply, resume};
use crate::support::{TEN, events, payload, requests, send, take_from_callee, take_from_caller};

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
