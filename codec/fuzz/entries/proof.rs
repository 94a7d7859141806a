//! The proof of the cluster secret, and a stranger who does not know it but has recorded handshakes.

use std::sync::Arc;

use bytes::Bytes;
use skyring_codec::link::{
    Access, CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, Inbound, ProtocolError,
};
use skyring_codec::native::Secrets;

use super::events::{magnitude, note, note_words};
use super::peer::{hello, taken};
use super::samples::PROVED_HELLO;

/// The secret of the recorded handshake.
const SECRET: &[u8] = b"the secret of the example cluster";

/// The most memory that a stranger's bytes take, in bytes: one hello, and what an empty link has.
const HELD_BYTES_MAX: usize = 24 << 10;

/// The access of an end with the secret.
pub fn access() -> Access {
    let secrets = Secrets::new(vec![SECRET.to_vec().into()]);
    Access {
        secrets: Some(Arc::new(secrets.expect("a valid secret"))),
        ..Access::default()
    }
}

/// The input is what a stranger sends to an acceptor, cut as its first byte says: from the first byte on, and after a
/// recorded hello. It is also what a stranger answers to a dialler. No request comes out, and no dialler is ready.
pub fn native_proof(input: &[u8]) {
    let Some((cut, stream)) = input.split_first() else {
        return;
    };
    let chunk_bytes = usize::from(*cut) + 1;
    to_acceptor(&[], stream, chunk_bytes);
    to_acceptor(PROVED_HELLO, stream, chunk_bytes);
    to_dialler(stream, chunk_bytes);
}

fn to_acceptor(recorded: &[u8], stream: &[u8], chunk_bytes: usize) {
    let mut callee = CalleeLink::with_access(CalleeLimits::default(), access());
    let chunks = [recorded].into_iter().chain(stream.chunks(chunk_bytes));
    for chunk in chunks {
        callee.receive(Bytes::copy_from_slice(chunk));
        assert!(
            callee.next_resolved(1, |_| Some(1)).is_none(),
            "a request of a stranger"
        );
        loop {
            match callee.poll_inbound() {
                // Its own nonce is another one than that of the recorded handshake.
                Ok(Some(Inbound::Hello(_))) => callee.accept_hello(&hello()).expect("a valid hello"),
                Ok(Some(inbound)) => panic!("{inbound:?} of a stranger"),
                Ok(None) => break,
                Err(error) => {
                    note_words("refused", &error);
                    assert!(!callee.awaits_proof() || matches!(error, ProtocolError::Frame(_)));
                    assert!(taken!(callee).len() < 1_000, "more than an answer");
                    return;
                }
            }
        }
        let held = callee.held_bytes();
        assert!(held < HELD_BYTES_MAX + chunk_bytes, "{held} bytes are held");
        note("held", magnitude(held));
    }
    assert!(callee.awaits_proof(), "a stranger is served");
    assert!(taken!(callee).len() < 1_000, "more than an answer");
}

fn to_dialler(stream: &[u8], chunk_bytes: usize) {
    let mut caller = CallerLink::new(CallerLimits::default());
    caller.set_access(Some(access()));
    caller.dial(0, &hello()).expect("a valid hello");
    let _ = taken!(caller);
    for chunk in stream.chunks(chunk_bytes) {
        caller.receive(Bytes::copy_from_slice(chunk));
        match caller.poll_event(0) {
            Ok(None) => {}
            Ok(Some(CallerEvent::Ready { .. })) => panic!("a stranger is trusted"),
            Ok(Some(event)) => panic!("{event:?} without a call"),
            Err(error) => return note_words("not trusted", &error),
        }
        assert!(!caller.has_output());
    }
}
