//! The hello, at both ends and alone.

use bytes::Bytes;
use skyring_codec::link::{
    CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, CallerRequest, Inbound, ProtocolError,
};
use skyring_codec::native::Hello;
use skyring_codec::seri::pack;
use skyring_codec::skynet::{Address, Framer, RequestFrame, decode_request};

use super::events::{note, note_words};
use super::peer::{hello, taken};

/// The input is a hello: what is read of it can be written and read again; what is not is an error. It is a payload,
/// the first bytes of a connection, and the answer to a hello.
pub fn native_hello(input: &[u8]) {
    as_payload(input);
    as_first_bytes(input);
    as_answer(input);
}

fn as_payload(input: &[u8]) {
    // Alone, and as what follows the name.
    let mut named = pack(&"skyring.hello").expect("packable").to_vec();
    named.extend(input);
    for payload in [input, &named] {
        note("is hello", Hello::is_hello(payload).into());
        match Hello::unpack(payload) {
            Ok(hello) => {
                note_words("hello", &hello.resume);
                let packed = hello.pack().expect("what was read can be written");
                assert_eq!(Hello::unpack(&packed), Ok(hello));
            }
            Err(error) => note_words("no hello", &error),
        }
    }
}

/// A callee answers in whatever session the hello came with; a dialler asked in session 1, and takes no other.
fn as_first_bytes(input: &[u8]) {
    let mut callee = CalleeLink::new(CalleeLimits::default());
    callee.receive(Bytes::copy_from_slice(input));
    let inbound = callee.poll_inbound();
    note_words("first", &inbound);
    let Ok(Some(Inbound::Hello(peer))) = inbound else {
        return;
    };
    callee.accept_hello(&hello()).expect("a valid hello");
    let mut caller = CallerLink::new(CallerLimits::default());
    caller.dial(0, &peer).expect("what was read can be written");
    let _ = taken!(caller);
    caller.receive(taken!(callee));
    match (caller.poll_event(0), first_session(input)) {
        (Ok(Some(CallerEvent::Ready { .. })), Some(1)) => note("session 1", 0),
        (Err(ProtocolError::HandshakeOrder), Some(session)) if session != 1 => note("another session", 0),
        (outcome, session) => panic!("{outcome:?} to a hello in session {session:?}"),
    }
}

/// The session of the first request of a connection.
fn first_session(stream: &[u8]) -> Option<u32> {
    let mut framer = Framer::new();
    framer.push(Bytes::copy_from_slice(stream));
    match decode_request(framer.next_package()?) {
        Ok(RequestFrame::Small { session, .. }) => Some(session),
        _ => None,
    }
}

/// A call waits for the handshake. It is not transmitted, so it cannot be lost as one that may have run; a peer that
/// guesses its session can answer it nevertheless, once the handshake is over.
fn as_answer(input: &[u8]) {
    let mut caller = CallerLink::new(CallerLimits::default());
    let request = CallerRequest {
        address: Address::Handle(1),
        source: 0,
        key: 0,
        payload: Bytes::new(),
        deadline: Some(50),
        token: Some(1),
        is_idempotent: false,
    };
    caller.request(0, request).expect("accepted");
    caller.dial(0, &hello()).expect("a valid hello");
    let _ = taken!(caller);
    caller.receive(Bytes::copy_from_slice(input));
    let (mut is_ready, mut is_answered) = (false, false);
    loop {
        match caller.poll_event(0) {
            Ok(Some(CallerEvent::Ready { dialect, .. })) => {
                note_words("ready", &dialect);
                is_ready = true;
            }
            Ok(Some(CallerEvent::Reply { .. } | CallerEvent::TooLarge { .. }))
                if is_ready && !is_answered =>
            {
                note("answered early", 0);
                is_answered = true;
            }
            Ok(Some(event)) => {
                note_words("event", &event);
                assert!(event.token().is_none(), "{event:?} of a call that was not sent");
            }
            Ok(None) => break,
            Err(error) => {
                note_words("no answer", &error);
                break;
            }
        }
    }
    caller.close();
    match caller.poll_event(0) {
        Ok(None) if is_answered => {}
        Ok(Some(CallerEvent::Lost {
            may_have_run: false, ..
        })) if !is_answered => {}
        outcome => panic!("{outcome:?} of a call that was not sent, answered: {is_answered}"),
    }
}
