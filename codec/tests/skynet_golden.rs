//! Packages as Skynet writes them (recorded from its commit f19d1605), in both directions: the codec writes the
//! same bytes, and reads each package as the message that Skynet sent.
//!
//! In the hexadecimal texts `<78*32764>` stands for the byte 0x78 that many times.

mod hex;

use std::io::IoSlice;

use bytes::Bytes;
use hex::bytes_of;
use skyring_codec::link::{
    CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, CallerRequest, Inbound, ReplyError,
    Request,
};
use skyring_codec::outbuffer::OutBuffer;
use skyring_codec::skynet::{
    Address, RequestFrame, decode_request, encode_error_response, encode_ok_response, encode_push,
    encode_request, encode_trace,
};

struct RequestRow {
    address: Address<'static>,
    session: u32,
    payload: &'static str,
    packages: &'static [&'static str],
}

const fn row(
    address: Address<'static>,
    session: u32,
    payload: &'static str,
    packages: &'static [&'static str],
) -> RequestRow {
    RequestRow {
        address,
        session,
        payload,
        packages,
    }
}

const TEN: Address<'static> = Address::Handle(10);
const SDB: Address<'static> = Address::Name(b"@sdb");
const BIG: Address<'static> = Address::Name(b"@big");

const REQUESTS: &[RequestRow] = &[
    row(TEN, 1, "1c4745540c61", &["000f000a000000010000001c4745540c61"]),
    row(SDB, 7, "1c4745540c61", &["0010800440736462070000001c4745540c61"]),
    row(
        Address::Handle(0),
        3,
        "1c736462",
        &["000d0000000000030000001c736462"],
    ),
    row(
        TEN,
        2147483647,
        "1c4745540c61",
        &["000f000a000000ffffff7f1c4745540c61"],
    ),
    // Payloads of 32767 bytes.
    row(
        TEN,
        5,
        "15fc7f<78*32764>",
        &["8008000a0000000500000015fc7f<78*32764>"],
    ),
    row(
        BIG,
        5,
        "15fc7f<78*32764>",
        &["80098004406269670500000015fc7f<78*32764>"],
    ),
    // Of 32768.
    row(
        TEN,
        5,
        "15fd7f<78*32765>",
        &["000d010a0000000500000000800000", "8005030500000015fd7f<78*32765>"],
    ),
    row(
        BIG,
        5,
        "15fd7f<78*32765>",
        &[
            "000e8104406269670500000000800000",
            "8005030500000015fd7f<78*32765>",
        ],
    ),
    // Of 32769.
    row(
        TEN,
        5,
        "15fe7f<78*32766>",
        &[
            "000d010a0000000500000001800000",
            "8005020500000015fe7f<78*32765>",
            "0006030500000078",
        ],
    ),
    row(
        BIG,
        5,
        "15fe7f<78*32766>",
        &[
            "000e8104406269670500000001800000",
            "8005020500000015fe7f<78*32765>",
            "0006030500000078",
        ],
    ),
    // Of 65536.
    row(
        TEN,
        5,
        "15fdff<78*65533>",
        &[
            "000d010a0000000500000000000100",
            "8005020500000015fdff<78*32765>",
            "80050305000000<78*32768>",
        ],
    ),
    row(
        BIG,
        5,
        "15fdff<78*65533>",
        &[
            "000e8104406269670500000000000100",
            "8005020500000015fdff<78*32765>",
            "80050305000000<78*32768>",
        ],
    ),
    // Of 65537.
    row(
        TEN,
        5,
        "15feff<78*65534>",
        &[
            "000d010a0000000500000001000100",
            "8005020500000015feff<78*32765>",
            "80050205000000<78*32768>",
            "0006030500000078",
        ],
    ),
    row(
        BIG,
        5,
        "15feff<78*65534>",
        &[
            "000e8104406269670500000001000100",
            "8005020500000015feff<78*32765>",
            "80050205000000<78*32768>",
            "0006030500000078",
        ],
    ),
];

const PUSHES: &[RequestRow] = &[
    row(
        TEN,
        9,
        "2450494e472c68656c6c6f",
        &["0014000a000000000000002450494e472c68656c6c6f"],
    ),
    row(
        SDB,
        9,
        "2450494e472c68656c6c6f",
        &["0015800440736462000000002450494e472c68656c6c6f"],
    ),
    row(
        BIG,
        9,
        "15409c<78*40000>",
        &[
            "000ec1044062696709000000439c0000",
            "8005020900000015409c<78*32765>",
            "1c480309000000<78*7235>",
        ],
    ),
    row(
        TEN,
        9,
        "15409c<78*40000>",
        &[
            "000d410a00000009000000439c0000",
            "8005020900000015409c<78*32765>",
            "1c480309000000<78*7235>",
        ],
    ),
];

/// Session, result, packages.
type ResponseRow = (u32, Result<&'static str, &'static str>, &'static [&'static str]);

const RESPONSES: &[ResponseRow] = &[
    (1, Ok("00"), &["0006010000000100"]),
    (2, Ok("0c76"), &["000702000000010c76"]),
    (
        3,
        Err("6e616d65206e6f7420666f756e64"),
        &["001303000000006e616d65206e6f7420666f756e64"],
    ),
    (4, Ok("15fd7f<78*32765>"), &["8005040000000115fd7f<78*32765>"]),
    (
        4,
        Ok("15fe7f<78*32766>"),
        &[
            "0009040000000201800000",
            "8005040000000315fe7f<78*32765>",
            "0006040000000478",
        ],
    ),
    (
        4,
        Ok("2500000100<78*65536>"),
        &[
            "0009040000000205000100",
            "800504000000032500000100<78*32763>",
            "80050400000003<78*32768>",
            "000a04000000047878787878",
        ],
    ),
    // An error text of 40000 bytes, see below, is cut to this.
    (6, Err("<65*32768>"), &["80050600000000<65*32768>"]),
];

const TRACE_TAG: &[u8] = b"(a-b-1)tag";
const TRACE_PACKAGE: &str = "000b0428612d622d3129746167";

fn stream_of(packages: &[&str]) -> Bytes {
    packages
        .iter()
        .flat_map(|package| bytes_of(package))
        .collect::<Vec<_>>()
        .into()
}

fn joined(slices: &[IoSlice<'_>]) -> Vec<u8> {
    slices.iter().flat_map(|slice| slice.iter().copied()).collect()
}

fn written(out: &OutBuffer) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 64];
    let filled = out.slices(&mut slices);
    joined(&slices[..filled])
}

#[test]
fn requests_and_pushes_are_written_as_skynet_writes_them() {
    for (rows, is_push) in [(REQUESTS, false), (PUSHES, true)] {
        let encode = if is_push { encode_push } else { encode_request };
        for RequestRow {
            address,
            session,
            payload,
            packages,
        } in rows
        {
            let mut out = OutBuffer::new();
            encode(&mut out, *address, *session, &bytes_of(payload).into()).expect("valid");
            assert!(written(&out) == stream_of(packages), "{address:?} {payload}");
        }
    }
}

fn next_request(callee: &mut CalleeLink) -> Option<Request> {
    match callee.poll_inbound().expect("well-formed")? {
        Inbound::Request(request) => Some(request),
        other => panic!("{other:?} is no request"),
    }
}

fn call(address: Address<'_>, payload: Bytes, token: u64) -> CallerRequest<'_> {
    CallerRequest {
        address,
        source: 0,
        key: 0,
        payload,
        deadline: None,
        token: Some(token),
        is_idempotent: false,
    }
}

#[test]
fn requests_and_pushes_of_skynet_are_read() {
    for (rows, is_push) in [(REQUESTS, false), (PUSHES, true)] {
        for RequestRow {
            address,
            session,
            payload,
            packages,
        } in rows
        {
            let mut callee = CalleeLink::new(CalleeLimits::default());
            callee.receive(stream_of(packages));
            let request = next_request(&mut callee).expect("whole");
            assert_eq!(request.address.as_address(), *address);
            assert_eq!(request.session, if is_push { 0 } else { *session });
            assert!(request.payload == bytes_of(payload), "{payload}");
            assert_eq!(next_request(&mut callee), None);
            assert!(!callee.has_partial_input());
        }
    }
}

#[test]
fn the_caller_link_writes_what_skynet_writes() {
    for RequestRow {
        address,
        session,
        payload,
        packages,
    } in REQUESTS
    {
        let mut caller = CallerLink::with_first_session(CallerLimits::default(), *session);
        caller
            .request(0, call(*address, bytes_of(payload).into(), 0))
            .expect("accepted");
        caller.connected();
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = caller.transmit(&mut slices);
        assert!(
            joined(&slices[..filled]) == stream_of(packages),
            "{address:?} {payload}"
        );
    }
}

#[test]
fn responses_are_written_as_skynet_writes_them() {
    for (session, result, packages) in RESPONSES {
        let mut out = OutBuffer::new();
        match result {
            Ok(payload) => encode_ok_response(&mut out, *session, &bytes_of(payload).into()).expect("valid"),
            Err(text) => encode_error_response(&mut out, *session, &bytes_of(text)),
        }
        assert!(written(&out) == stream_of(packages), "session {session}");
    }
    let mut out = OutBuffer::new();
    encode_error_response(&mut out, 6, &bytes_of("<65*40000>"));
    assert!(written(&out) == stream_of(&["80050600000000<65*32768>"]));
}

#[test]
fn responses_of_skynet_are_read() {
    for (session, result, packages) in RESPONSES {
        let mut caller = CallerLink::with_first_session(CallerLimits::default(), *session);
        caller.connected();
        caller.request(0, call(TEN, Bytes::new(), 99)).expect("accepted");
        caller.receive(stream_of(packages));
        let event = caller.poll_event(0).expect("well-formed");
        let expected = match result {
            Ok(payload) => Ok(Bytes::from(bytes_of(payload))),
            Err(text) => {
                let text = Bytes::from(bytes_of(text));
                Err(ReplyError { code: None, text })
            }
        };
        assert!(
            event
                == Some(CallerEvent::Reply {
                    token: 99,
                    result: expected
                }),
            "session {session}"
        );
        assert_eq!(caller.poll_event(0), Ok(None));
        assert_eq!(caller.outstanding(), 0);
    }
}

#[test]
fn trace_tags_are_written_and_read_as_skynets_and_go_with_the_next_request() {
    let mut out = OutBuffer::new();
    encode_trace(&mut out, TRACE_TAG).expect("short");
    let package = stream_of(&[TRACE_PACKAGE]);
    assert_eq!(written(&out), package);
    let tag = Bytes::from_static(TRACE_TAG);
    assert_eq!(
        decode_request(package.slice(2..)),
        Ok(RequestFrame::Trace { tag: tag.clone() })
    );

    for rows in [REQUESTS, PUSHES] {
        for RequestRow { packages, .. } in rows {
            let mut callee = CalleeLink::new(CalleeLimits::default());
            callee.receive(package.clone());
            callee.receive(stream_of(packages));
            callee.receive(stream_of(PUSHES[0].packages));
            let mut next = || next_request(&mut callee).expect("whole");
            assert_eq!((next().trace, next().trace), (Some(tag.clone()), None));
        }
    }
}
