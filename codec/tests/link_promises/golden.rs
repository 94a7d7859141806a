//! The example exchange of `docs/chapters/wire-native.md`, byte for byte. The bytes were written by hand from
//! the specification, not by the code.

use bytes::Bytes;
use skyring_codec::link::{
    ACK_DELAY_MS_MAX, CallerEvent, CallerLimits, CallerLink, CallerRequest, Dialect, Inbound, ReplyError,
    Request,
};
use skyring_codec::native::{ErrorCode, Hello, Resumption};
use skyring_codec::skynet::{Address, RequestAddress};

use crate::hex::bytes_of as golden;
use crate::support::{
    answer, arrive, call, callee, events, hello, native_pair, send, take_from_callee, take_from_caller,
};

/// The text `skyring.hello` and the head of the table that follows it.
const HELLO_TEXT: &str = "
    6c 73 6b 79 72 69 6e 67 2e 68 65 6c 6c 6f
    06";

/// The fields of the dialler in front of its nonce.
const GAME: &str = "
    3c 76 65 72 73 69 6f 6e  0a 01
    3c 63 68 61 6e 6e 65 6c  0a 01
    44 63 68 61 6e 6e 65 6c 73  0a 04
    3c 74 68 72 65 61 64 73  0a 04
    2c 65 70 6f 63 68  0a 07
    24 6e 6f 64 65  24 67 61 6d 65";

/// The fields of the acceptor in front of its nonce.
const DB: &str = "
    3c 76 65 72 73 69 6f 6e  0a 01
    3c 63 68 61 6e 6e 65 6c  0a 01
    44 63 68 61 6e 6e 65 6c 73  0a 02
    3c 74 68 72 65 61 64 73  0a 02
    2c 65 70 6f 63 68  22 ff ff ff ff
    24 6e 6f 64 65  14 64 62";

const HELLO: [&str; 4] = [
    "00 73  00  00 00 00 00  01 00 00 00",
    HELLO_TEXT,
    GAME,
    "2c 6e 6f 6e 63 65  84 30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66
    34 72 65 73 75 6d 65  09
    00",
];

const HELLO_ANSWER: [&str; 4] = [
    "00 70  01 00 00 00  01",
    HELLO_TEXT,
    DB,
    "2c 6e 6f 6e 63 65  84 66 65 64 63 62 61 39 38 37 36 35 34 33 32 31 30
    34 72 65 73 75 6d 65  09
    00",
];

const DEFINE_SDB: &str = "
    04 00 00 00  05 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00
    40 73 64 62";

const CALL_SDB: &str = "
    06 00 00 00  01 01 00 00  01 00 00 00  00 00 00 00  09 00 00 00  30 75 00 00
    1c 47 45 54 0c 61";

const CALL_HANDLE: &str = "
    00 00 00 00  01 00 00 00  02 00 00 00  0a 00 00 00  09 00 00 00  00 00 00 00";

const REPLY: &str = "
    02 00 00 00  03 00 00 00  01 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00
    0c 31";

const REPLY_ERROR: &str = "
    1a 00 00 00  04 00 00 00  02 00 00 00  07 00 00 00  00 00 00 00  00 00 00 00
    6e 6f 2d 73 75 63 68 2d 73 65 72 76 69 63 65 3a 20 3a 30 30 30 30 30 30 30 61";

/// Two frames have arrived.
const ACK: &str = "
    00 00 00 00  09 00 00 00  00 00 00 00  02 00 00 00  00 00 00 00  00 00 00 00";

/// The session of the first connection, of which two frames have arrived.
const RESUMED: &str = "
    34 72 65 73 75 6d 65  09
    3c 73 65 73 73 69 6f 6e  84 66 65 64 63 62 61 39 38 37 36 35 34 33 32 31 30
    44 72 65 63 65 69 76 65 64  0a 02
    00";

const HELLO_AGAIN: [&str; 5] = [
    "00 97  00  00 00 00 00  01 00 00 00",
    HELLO_TEXT,
    GAME,
    "2c 6e 6f 6e 63 65  84 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f 50",
    RESUMED,
];

const HELLO_AGAIN_ANSWER: [&str; 5] = [
    "00 94  01 00 00 00  01",
    HELLO_TEXT,
    DB,
    "2c 6e 6f 6e 63 65  84 50 4f 4e 4d 4c 4b 4a 49 48 47 46 45 44 43 42 41",
    RESUMED,
];

/// The session in both hellos of its second connection.
const SESSION: Resumption = Resumption::Session {
    session: *b"fedcba9876543210",
    received: 2,
};

fn game_again() -> Hello {
    Hello {
        nonce: *b"ABCDEFGHIJKLMNOP",
        ..game()
    }
}

fn db_again() -> Hello {
    Hello {
        nonce: *b"PONMLKJIHGFEDCBA",
        resume: SESSION,
        ..db()
    }
}

fn game() -> Hello {
    Hello {
        resume: Resumption::New,
        ..hello()
    }
}

fn db() -> Hello {
    Hello {
        resume: Resumption::New,
        ..answer()
    }
}

fn bytes_of(hex: &str) -> Bytes {
    golden(hex).into()
}

#[test]
fn the_callers_bytes_are_those_of_the_specification() {
    let mut caller = CallerLink::new(CallerLimits::default());
    caller.dial(0, &game()).expect("a valid hello");
    assert_eq!(
        take_from_caller(&mut caller, usize::MAX),
        bytes_of(&HELLO.concat())
    );
    caller.receive(bytes_of(&HELLO_ANSWER.concat()));
    let ready = CallerEvent::Ready {
        dialect: Dialect::Native,
        peer: Some(Box::new(db())),
    };
    assert_eq!(events(&mut caller, 0), Ok(vec![ready]));
    let get = Bytes::from_static(b"\x1cGET\x0ca");
    caller
        .request(0, call(Address::Name(b"@sdb"), &get, Some(30_000), 1))
        .expect("accepted");
    caller
        .request(0, call(Address::Handle(10), &Bytes::new(), None, 2))
        .expect("accepted");
    let frames = [DEFINE_SDB, CALL_SDB, CALL_HANDLE].map(bytes_of).concat();
    assert_eq!(take_from_caller(&mut caller, usize::MAX), frames);
    caller.receive([REPLY, REPLY_ERROR].map(bytes_of).concat().into());
    let replies = vec![
        CallerEvent::Reply {
            token: 1,
            result: Ok(Bytes::from_static(b"\x0c1")),
        },
        CallerEvent::Reply {
            token: 2,
            result: Err(ReplyError {
                code: Some(ErrorCode::NoSuchService),
                text: Bytes::from_static(b"no-such-service: :0000000a"),
            }),
        },
    ];
    assert_eq!(events(&mut caller, 0), Ok(replies));
    caller.receive(bytes_of(ACK));
    assert_eq!(events(&mut caller, ACK_DELAY_MS_MAX), Ok(vec![]));
    assert_eq!(take_from_caller(&mut caller, usize::MAX), bytes_of(ACK));
    assert!(caller.is_idle());
    // The second connection of the same session.
    caller.disconnected();
    caller.dial(50, &game_again()).expect("a valid hello");
    assert_eq!(
        take_from_caller(&mut caller, usize::MAX),
        bytes_of(&HELLO_AGAIN.concat())
    );
    caller.receive(bytes_of(&HELLO_AGAIN_ANSWER.concat()));
    let ready = CallerEvent::Ready {
        dialect: Dialect::Native,
        peer: Some(Box::new(db_again())),
    };
    assert_eq!(events(&mut caller, 50), Ok(vec![ready]));
    assert!(!caller.has_output());
}

#[test]
fn the_callees_bytes_are_those_of_the_specification() {
    let mut callee = callee();
    assert_eq!(
        arrive(&mut callee, bytes_of(&HELLO.concat())),
        Ok(vec![Inbound::Hello(game())])
    );
    callee.accept_hello(&db()).expect("a valid hello");
    assert_eq!(take_from_callee(&mut callee), bytes_of(&HELLO_ANSWER.concat()));
    let frames = [DEFINE_SDB, CALL_SDB, CALL_HANDLE].map(bytes_of).concat();
    let by_name = Request {
        address: RequestAddress::Name(Bytes::from_static(b"@sdb")),
        session: 1,
        payload: Bytes::from_static(b"\x1cGET\x0ca"),
        trace: None,
        source: 9,
        shard: 0,
        remaining_ms: Some(30_000),
    };
    let by_handle = Request {
        address: RequestAddress::Handle(10),
        session: 2,
        payload: Bytes::new(),
        remaining_ms: None,
        ..by_name.clone()
    };
    let expected = vec![Inbound::Request(by_name), Inbound::Request(by_handle)];
    assert_eq!(arrive(&mut callee, frames.into()), Ok(expected));
    callee.respond(1, Ok(Bytes::from_static(b"\x0c1")));
    callee.respond_error(2, ErrorCode::NoSuchService, b"no-such-service: :0000000a");
    assert_eq!(
        take_from_callee(&mut callee),
        [REPLY, REPLY_ERROR].map(bytes_of).concat()
    );
    callee.tick(0);
    callee.tick(ACK_DELAY_MS_MAX);
    assert_eq!(take_from_callee(&mut callee), bytes_of(ACK));
    // The second connection of the same session, whose dialler has received both replies.
    let mut greeted = self::callee();
    let resumed = vec![Inbound::Hello(Hello {
        resume: SESSION,
        ..game_again()
    })];
    assert_eq!(arrive(&mut greeted, bytes_of(&HELLO_AGAIN.concat())), Ok(resumed));
    callee.resume(greeted, &db_again()).expect("it can be resumed");
    assert_eq!(
        take_from_callee(&mut callee),
        bytes_of(&HELLO_AGAIN_ANSWER.concat())
    );
}

#[test]
fn control_frames_have_the_bytes_of_the_specification() {
    let ping = bytes_of("00 00 00 00  06 00 00 00  2a 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00");
    let pong = bytes_of("00 00 00 00  07 00 00 00  2a 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00");
    let goodbye = bytes_of("00 00 00 00  08 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00");
    let send_frame =
        bytes_of("01 00 00 00  02 00 00 00  00 00 00 00  0a 00 00 00  09 00 00 00  00 00 00 00  00");
    let (mut caller, mut callee) = native_pair();
    assert_eq!(arrive(&mut callee, ping.clone()), Ok(vec![]));
    assert_eq!(take_from_callee(&mut callee), pong);
    caller.receive(ping);
    assert_eq!(events(&mut caller, 0), Ok(vec![]));
    assert_eq!(take_from_caller(&mut caller, usize::MAX), pong);
    caller.receive(pong.clone());
    assert_eq!(events(&mut caller, 0), Ok(vec![]));
    assert_eq!(arrive(&mut callee, pong), Ok(vec![]));
    let one = Bytes::from_static(&[0]);
    caller
        .request(0, send(Address::Handle(10), &one))
        .expect("accepted");
    caller.goodbye();
    assert_eq!(
        take_from_caller(&mut caller, usize::MAX),
        [send_frame, goodbye.clone()].concat()
    );
    callee.goodbye();
    assert_eq!(take_from_callee(&mut callee), goodbye);
}

#[test]
fn the_shard_of_a_key_that_is_not_the_channels_is_in_the_header() {
    let call_of_key_9 =
        bytes_of("00 00 00 00  01 00 02 00  01 00 00 00  0a 00 00 00  09 00 00 00  00 00 00 00");
    let (mut caller, mut callee) = native_pair();
    let request = CallerRequest {
        key: 9,
        ..call(Address::Handle(10), &Bytes::new(), None, 1)
    };
    caller.request(0, request).expect("accepted");
    let written = take_from_caller(&mut caller, usize::MAX);
    assert_eq!(written, call_of_key_9);
    callee.receive(written);
    let resolved = callee.next_resolved(0, |_| None).map(|request| request.shard);
    assert_eq!(resolved, Some(2));
}
