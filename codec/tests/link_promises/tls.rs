//! What a link does where one end speaks TLS and the other does not. The bytes of TLS itself are not the link's.

use std::sync::Arc;

use bytes::Bytes;
use skyring_codec::link::{Access, CalleeLimits, CalleeLink, CallerLink, Inbound, ProtocolError};
use skyring_codec::native::{SECRET_BYTES_MIN, Secrets, Unproved};
use skyring_codec::skynet::encode_error_response;

use crate::support::{
    arrive, callee, caller, events, hello, in_pieces, payload, request, requests, take_from_callee,
    take_from_caller, written,
};

/// How a TLS connection begins.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

fn link(access: Access) -> CalleeLink {
    CalleeLink::with_access(CalleeLimits::default(), access)
}

/// A connection without TLS to a node that requires it.
fn plain(allows_skynet: bool) -> CalleeLink {
    link(Access {
        is_plain: true,
        allows_skynet,
        ..Access::default()
    })
}

fn hello_of(dialler: &mut CallerLink) -> Bytes {
    dialler.dial(0, &hello()).expect("a valid hello");
    take_from_caller(dialler, usize::MAX)
}

fn denied(session: u32, reason: Unproved) -> Bytes {
    let text = format!("denied: {reason}");
    written(|out| encode_error_response(out, session, text.as_bytes()))
}

#[test]
fn tls_is_refused_by_its_first_three_bytes_however_they_are_cut() {
    let secret = Secrets::new(vec![vec![b'x'; SECRET_BYTES_MIN].into()]);
    let secret = Some(Arc::new(secret.expect("a valid secret")));
    let closed = Access {
        secrets: secret,
        ..Access::default()
    };
    let callees: [fn(&Access) -> CalleeLink; 3] =
        [|_| callee(), |closed| link(closed.clone()), |_| plain(true)];
    for make in callees {
        for cuts in [&[CLIENT_HELLO.len()][..], &[1], &[2]] {
            let mut callee = make(&closed);
            let mut outcomes = Vec::new();
            in_pieces(Bytes::from_static(CLIENT_HELLO), cuts, |piece| {
                outcomes.push(arrive(&mut callee, piece));
            });
            let refused = outcomes.iter().filter(|outcome| outcome.is_err());
            assert_eq!(refused.collect::<Vec<_>>(), [&Err(Unproved::Tls.into())]);
            assert_eq!(take_from_callee(&mut callee), denied(1, Unproved::Tls));
        }
    }
    // A package of that length is no TLS, as long as the third byte says so.
    let mut callee = callee();
    assert_eq!(
        arrive(&mut callee, Bytes::from_static(b"\x16\x03\x00")),
        Ok(vec![])
    );
}

#[test]
fn a_plain_connection_is_refused_where_tls_is_required_whatever_it_sends() {
    let mut callee = plain(false);
    let mut dialler = caller();
    let hello = hello_of(&mut dialler);
    assert_eq!(arrive(&mut callee, hello), Err(Unproved::Plain.into()));
    let sent = take_from_callee(&mut callee);
    assert_eq!(sent, denied(1, Unproved::Plain));
    dialler.receive(sent);
    let text = format!("denied: {}", Unproved::Plain);
    assert_eq!(events(&mut dialler, 0), Err(ProtocolError::HelloRefused { text }));
    let call = request(0, &[&10u32.to_le_bytes(), &5u32.to_le_bytes(), &payload(3)]);
    let mut callee = plain(false);
    assert_eq!(arrive(&mut callee, call), Err(Unproved::Plain.into()));
    assert_eq!(take_from_callee(&mut callee), denied(5, Unproved::Plain));
    let mut callee = plain(false);
    assert_eq!(
        arrive(&mut callee, Bytes::from_static(b"GET / HTTP/1.1\r\n")),
        Err(Unproved::Plain.into())
    );
}

#[test]
fn a_listed_skynet_peer_needs_no_tls_and_speaks_nothing_but_its_dialect() {
    let call = request(0, &[&10u32.to_le_bytes(), &5u32.to_le_bytes(), &payload(3)]);
    assert_eq!(requests(&mut plain(true), call.clone()).len(), 1);
    let (mut callee, mut dialler) = (plain(true), caller());
    let hello = hello_of(&mut dialler);
    assert_eq!(arrive(&mut callee, hello), Ok(vec![]));
    let expected = written(|out| encode_error_response(out, 1, b"name not found"));
    assert_eq!(take_from_callee(&mut callee), expected);
    assert_eq!(requests(&mut callee, call).len(), 1);
}

#[test]
fn within_tls_a_hello_must_come_and_may_be_denied_for_its_name() {
    let call = request(0, &[&10u32.to_le_bytes(), &5u32.to_le_bytes(), &payload(3)]);
    assert_eq!(
        arrive(&mut link(Access::default()), call),
        Err(Unproved::SkynetDialect.into())
    );
    let (mut callee, mut dialler) = (link(Access::default()), caller());
    let hello = hello_of(&mut dialler);
    let inbound = arrive(&mut callee, hello).expect("well-formed");
    assert!(matches!(inbound[..], [Inbound::Hello(_)]));
    assert!(callee.awaits_proof());
    assert_eq!(callee.deny_hello(Unproved::OtherName), Unproved::OtherName.into());
    assert_eq!(take_from_callee(&mut callee), denied(1, Unproved::OtherName));
    assert!(!callee.awaits_proof());
    callee.receive(Bytes::from_static(b"more"));
    assert_eq!(callee.poll_inbound(), Ok(None));
}
