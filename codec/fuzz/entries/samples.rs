//! Inputs that the entries begin with.

use skyring_codec::seri::{Table, Value, pack, to_bytes};

use super::seri::{Action, Record};

/// Packed values of every kind, and a nest that is deeper by one than what it holds may be.
pub fn values() -> Vec<Vec<u8>> {
    let mut nested = Value::Nil;
    for level in 0..33 {
        let mut table = Table::from(vec![nested]);
        if level == 0 {
            table.array.clear();
        }
        nested = Value::from(table);
    }
    let mut table = Table::from((0..40).map(Value::from).collect::<Vec<_>>());
    table.set("name", "Alice");
    table.set(1000, f64::NAN);
    table.set(2.5, Table::from(vec![Value::Nil, Value::from("x")]));
    let packed = [
        pack(&("GET", "key")),
        pack(&(1, -1, 300, 70_000, i64::MIN, 0.5, true, None::<bool>)),
        pack(&("x".repeat(40), "y".repeat(300), table)),
        pack(&nested),
    ];
    packed
        .map(|bytes| bytes.expect("it can be packed").to_vec())
        .to_vec()
}

/// Records as the entry for serde reads them, and parts of them.
pub fn records() -> Vec<Vec<u8>> {
    let plain = Record {
        id: 7,
        name: "plain".into(),
        ..Record::default()
    };
    let full = Record {
        id: 8,
        name: "full".into(),
        scores: vec![Some(1), None, Some(-3)],
        position: (1.0, -0.5),
        counts: [("a".to_owned(), 1), ("b".to_owned(), 70_000)].into(),
        slots: [(1, true), (9, false)].into(),
        actions: vec![
            Action::Stop,
            Action::Wait(None),
            Action::Wait(Some(5)),
            Action::Move(-1, 1),
            Action::Say {
                text: "hi".into(),
                target: Some(3),
            },
        ],
        inner: Some(Box::new(plain.clone())),
        rest: Value::from(vec![Value::from(1), Value::from("two")]),
    };
    let packed = [
        to_bytes(&("SET", &full)),
        to_bytes(&full),
        to_bytes(&plain),
        to_bytes(&full.actions[4]),
        to_bytes(&full.actions[1]),
    ];
    packed
        .map(|bytes| bytes.expect("it can be packed").to_vec())
        .to_vec()
}

/// Well-formed packages of a caller: short and long requests and pushes, a trace tag, one that is too large for the
/// link, one without a head.
const REQUESTS: &[u8] = b"\x00\x0f\x00\x0a\x00\x00\x00\x01\x00\x00\x00\x1cGET\x0ca\
    \x00\x10\x80\x04@sdb\x07\x00\x00\x00\x1cGET\x0ca\x00\x0b\x04(a-b-1)tag\
    \x00\x0e\x81\x04@big\x05\x00\x00\x00\x03\x00\x00\x00\x00\x07\x02\x05\x00\x00\x00ab\
    \x00\x0d\x41\x0a\x00\x00\x00\x09\x00\x00\x00\x02\x00\x00\x00\x00\x06\x03\x05\x00\x00\x00c\
    \x00\x0d\x01\x0a\x00\x00\x00\x0b\x00\x00\x00\x02\x00\x07\x00\x00\x06\x02\x0b\x00\x00\x00x\
    \x00\x06\x03\x0b\x00\x00\x00x\x00\x07\x03\x09\x00\x00\x0012";

/// A stream of requests, whole and in chunks of 8 bytes.
pub fn requests() -> Vec<Vec<u8>> {
    cut(REQUESTS)
}

/// Well-formed packages of a callee, to be mutated.
const RESPONSES: &[u8] = b"\x00\x06\x01\x00\x00\x00\x01\x00\x00\x07\x02\x00\x00\x00\x01\x0cv\
    \x00\x13\x03\x00\x00\x00\x00name not found\x00\x09\x04\x00\x00\x00\x02\x03\x00\x00\x00\
    \x00\x07\x04\x00\x00\x00\x03ab\x00\x06\x04\x00\x00\x00\x04c";

/// A stream of responses, whole and in chunks of 8 bytes.
pub fn responses() -> Vec<Vec<u8>> {
    cut(RESPONSES)
}

fn cut(stream: &[u8]) -> Vec<Vec<u8>> {
    [255, 7].map(|cut| [&[cut], stream].concat()).to_vec()
}

/// Connect, calls of all kinds, a send, transmit in part, replies, time, a break, hostile bytes (an answer to session
/// 1), connect again, transmit all, replies.
const LINK_STEPS: &[u8] = &[
    13, 0, 0, 9, 1, 20, 4, 250, 2, 33, 5, 200, 4, 180, 3, 7, 7, 60, 8, 200, 10, 3, 0, 1, 12, 5, 9, 0, 10,
    200, 0, 77, 6, 9, 14, 0, 1, 40, 13, 0, 15, 9, 0, 7, 1, 0, 0, 0, 1, 1, 1, 9, 0, 4, 101, 9, 0, 11, 255, 12,
    9,
];

/// Steps of a caller of the skynet dialect.
pub fn link_steps() -> Vec<Vec<u8>> {
    vec![LINK_STEPS.to_vec(), LINK_STEPS.repeat(3)]
}

/// A valid hello as a request package.
pub const HELLO: &[u8] = b"\x00\x97\x00\x00\x00\x00\x00\x01\x00\x00\x00\x6cskyring.hello\x06\
    \x3cversion\x0a\x01\x3cchannel\x0a\x01\x44channels\x0a\x04\x3cthreads\x0a\x04\x2cepoch\x0a\x07\
    \x24node\x24game\x2cnonce\x840123456789abcdef\x34resume\x09\
    \x3csession\x84fedcba9876543210\x44received\x0a\x02\x00";

/// A hello, its payload alone, and answers to one: its own values, and that there is no such name, with an answer to
/// the first call behind it.
pub fn hellos() -> Vec<Vec<u8>> {
    let values = &HELLO[11..];
    let length = (values.len() + 5) as u16;
    let answer = [&length.to_be_bytes()[..], b"\x01\x00\x00\x00\x01", values].concat();
    let refusal = b"\x00\x13\x01\x00\x00\x00\x00name not found\x00\x06\x01\x00\x00\x00\x01\x00";
    vec![HELLO.to_vec(), HELLO[25..].to_vec(), answer, refusal.to_vec()]
}

/// A hello with a proof, as a request package.
pub const PROVED_HELLO: &[u8] =
    b"\x00\xa8\x00\x00\x00\x00\x00\x01\x00\x00\x00lskyring.hello\x06<version\x0a\x01<channel\x0a\x01Dc\
    hannels\x0a\x04<threads\x0a\x04,epoch\x0a\x07$node$game,nonce\x840123456789abcdef4resume\x09<att\
    empt\x0a\x01\x00\x15(\x00\xbd\xbak)\x20\xd6\xd7;\x7f2\x8c\xf8\xedVI\xe4AWV\x84\x1d\xd7\x9b`\x80\x88\
    \xfaV\xe2e\xa7\xe4\x1a\xc2K\x119\xd3\x9am";

/// The answer to it, with a proof.
const PROVED_ANSWER: &[u8] =
    b"\x00\x93\x01\x00\x00\x00\x01lskyring.hello\x06<version\x0a\x01<channel\x0a\x01Dchannels\x0a\x02<\
    threads\x0a\x02,epoch\x22\xff\xff\xff\xff$node\x14db,nonce\x84fedcba98765432104resume\x09\x00\x15\
    \x20\x00\xda\x95\xa9-\xfe^\xca7\xfay\x01\x8e\xb2\xd4\x8e\xec\xddJ\x80_\xcc\x0c\x0at\xfd\x91\xb6I\
    \x96\xe9\xa2\xdc";

/// The frame that follows.
const PROOF_FRAME: &[u8] =
    b"\x20\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \xf3ma\xcb\x94\x03\xc3Fy\x9f\x8e\x87.)\x9a\x01\xf1c\x14\xc1Pn-\xd9\xcb\xcf\xf9\x16>\x13\xaf\xda";

/// The parts of a handshake with proofs, alone and one after another, and other frames in the place of the proof.
pub fn proved_handshakes() -> Vec<Vec<u8>> {
    let call = &FRAMES[..HEADER_AND_NAME];
    let streams = [
        PROVED_HELLO.to_vec(),
        PROVED_ANSWER.to_vec(),
        PROOF_FRAME.to_vec(),
        [PROVED_HELLO, PROOF_FRAME, FRAMES].concat(),
        [call, FRAMES].concat(),
        HELLO.to_vec(),
        REQUESTS.to_vec(),
    ];
    streams.iter().flat_map(|stream| cut(stream)).collect()
}

/// Bytes of the first frame of [`FRAMES`].
const HEADER_AND_NAME: usize = 28;

/// A name defined and called, a send to a handle, a ping, an acknowledgement, a goodbye, a call that is too large with
/// its bytes left out.
const FRAMES: &[u8] = b"\
    \x04\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00@sdb\
    \x06\x00\x00\x00\x01\x01\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x09\x00\x00\x00\x30\x75\x00\x00\x1cGET\x0ca\
    \x01\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x0a\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00x\
    \x00\x00\x00\x00\x06\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \xd1\x07\x00\x00\x01\x00\x00\x00\x07\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";

/// A stream of native frames, whole and in chunks of 8 bytes.
pub fn frames() -> Vec<Vec<u8>> {
    cut(FRAMES)
}

/// Calls and sends, the exchange there and back, time, a break, hostile bytes (an answer to session 1), a goodbye.
const NATIVE_STEPS: &[u8] = &[
    0, 9, 1, 33, 2, 201, 3, 0, 6, 0, 8, 30, 1, 77, 2, 14, 3, 0, 9, 0, 0, 41, 11, 24, 0, 0, 0, 0, 3, 0, 0, 0,
    1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 12, 3, 0, 10, 0, 6, 0, 2, 99, 8, 200, 9, 0, 4, 0, 7,
    0,
];

/// Steps of a caller of the native dialect.
pub fn native_steps() -> Vec<Vec<u8>> {
    vec![NATIVE_STEPS.to_vec(), NATIVE_STEPS.repeat(3)]
}

/// Calls and sends, the exchange there and back, answers, time, half-open connections and breaks, a restart, a session
/// that is forgotten, a long time without a connection.
const SESSION_STEPS: &[u8] = &[
    11, 0, 3, 255, 4, 255, 5, 0, 6, 255, 0, 1, 1, 2, 2, 7, 0, 4, 1, 5, 3, 4, 4, 20, 7, 0, 5, 0, 6, 9, 9, 0,
    11, 0, 3, 255, 4, 30, 4, 255, 5, 1, 6, 90, 7, 1, 10, 5, 0, 3, 7, 0, 11, 1, 3, 255, 4, 255, 5, 0, 6, 255,
    8, 30, 12, 0, 1, 11, 11, 0, 3, 255, 4, 255, 5, 0, 6, 255, 2, 5, 13, 1, 9, 0, 14, 4, 11, 0,
];

/// A handshake, messages of all kinds, a half-open connection, the next one on which the session goes on and what was
/// lost is written again, the answers; then a restart of the acceptor and another session.
const RESUME_STEPS: &[u8] = &[
    11, 0, 3, 255, 4, 255, 5, 255, 6, 255, 0, 1, 1, 2, 2, 7, 0, 4, 3, 255, 4, 255, 7, 2, 5, 20, 9, 0, 0, 5,
    1, 1, 11, 0, 3, 255, 4, 255, 5, 255, 6, 255, 3, 255, 4, 255, 7, 1, 5, 255, 6, 255, 0, 1, 8, 100, 3, 9, 9,
    0, 12, 0, 0, 10, 11, 0, 3, 255, 4, 255, 5, 255, 6, 255, 3, 255, 4, 255, 8, 30, 7, 1, 5, 255, 6, 255,
];

/// Steps of a session.
pub fn session_steps() -> Vec<Vec<u8>> {
    let plain = [SESSION_STEPS, RESUME_STEPS].map(<[u8]>::to_vec);
    // An odd length: with a cluster secret.
    let closed = plain.clone().map(|steps| [&steps[..], &[0]].concat());
    [plain, closed].concat()
}
