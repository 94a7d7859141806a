//! What the fuzz targets for the native dialect do with their input, as plain functions.

use std::io::IoSlice;

use bytes::{Buf, Bytes};
use skyring_codec::link::{
    CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, CallerRequest, Inbound, ProtocolError,
};
use skyring_codec::native::{FrameReader, Hello, Resumption, Step};
use skyring_codec::seri::pack;
use skyring_codec::skynet::{Address, Framer, RequestFrame, decode_request};

const MESSAGE_BYTES_MAX: usize = 2_000;

fn hello() -> Hello {
    Hello {
        version: 1,
        node: "fuzz".to_owned(),
        channel: 1,
        channels: 1,
        threads: 1,
        epoch: 1,
        nonce: [7; 16],
        resume: Resumption::New,
    }
}

/// All that a link shows, taken as its socket would.
macro_rules! taken {
    ($link:expr) => {{
        let mut all = Vec::new();
        while $link.has_output() {
            let mut slices = [IoSlice::new(&[]); 64];
            let filled = $link.transmit(&mut slices);
            let before = all.len();
            all.extend(slices[..filled].iter().flat_map(|slice| slice.iter().copied()));
            $link.transmitted(all.len() - before);
        }
        Bytes::from(all)
    }};
}

/// The input is a hello: what is read of it can be written and read again; what is not is an error.
pub fn native_hello(input: &[u8]) {
    // The payload alone, and as what follows the name.
    let mut named = pack(&"skyring.hello").expect("packable").to_vec();
    named.extend(input);
    for payload in [input, &named] {
        let _ = Hello::is_hello(payload);
        if let Ok(hello) = Hello::unpack(payload) {
            let packed = hello.pack().expect("what was read can be written");
            assert_eq!(Hello::unpack(&packed), Ok(hello));
        }
    }
    // As the first package of a connection, and as the answer to one.
    let mut callee = CalleeLink::new(CalleeLimits::default());
    callee.receive(Bytes::copy_from_slice(input));
    if let Ok(Some(Inbound::Hello(peer))) = callee.poll_inbound() {
        callee.accept_hello(&hello()).expect("a valid hello");
        let mut caller = CallerLink::new(CallerLimits::default());
        caller.dial(0, &peer).expect("what was read can be written");
        let _ = taken!(caller);
        caller.receive(taken!(callee));
        // A callee answers in whatever session the hello came with; a dialler asked in session 1.
        match (caller.poll_event(0), first_session(input)) {
            (Ok(Some(CallerEvent::Ready { .. })), Some(1)) => {}
            (Err(ProtocolError::HandshakeOrder), Some(session)) if session != 1 => {}
            (outcome, session) => panic!("{outcome:?} to a hello in session {session:?}"),
        }
    }
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
    while let Ok(Some(event)) = caller.poll_event(0) {
        match event {
            CallerEvent::Ready { .. } => is_ready = true,
            // A peer that guesses the session can answer a call before it is transmitted, but not before the
            // handshake is over.
            CallerEvent::Reply { .. } | CallerEvent::TooLarge { .. } if is_ready && !is_answered => {
                is_answered = true;
            }
            event => assert!(event.token().is_none(), "{event:?} of a call that was not sent"),
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

/// The session of the first request of a connection.
fn first_session(stream: &[u8]) -> Option<u32> {
    let mut framer = Framer::new();
    framer.push(Bytes::copy_from_slice(stream));
    match decode_request(framer.next_package()?) {
        Ok(RequestFrame::Small { session, .. }) => Some(session),
        _ => None,
    }
}

/// The input is what the callee's end receives once it speaks the native dialect, cut as its first byte
/// says. The same comes out as without cuts, within the limits, and every answer is one that can be read.
pub fn native_callee(input: &[u8]) {
    let Some((cut, stream)) = input.split_first() else {
        return;
    };
    let whole = callee_run(stream, stream.len().max(1));
    let pieces = callee_run(stream, usize::from(*cut) + 1);
    assert_eq!(whole, pieces);
}

fn callee_run(stream: &[u8], piece_bytes: usize) -> (Vec<Inbound>, Option<String>, Bytes) {
    let limits = CalleeLimits {
        message_bytes_max: MESSAGE_BYTES_MAX,
        ..CalleeLimits::default()
    };
    let mut callee = CalleeLink::new(limits);
    let mut dialler = CallerLink::new(CallerLimits::default());
    dialler.dial(0, &hello()).expect("a valid hello");
    callee.receive(taken!(dialler));
    assert!(matches!(callee.poll_inbound(), Ok(Some(Inbound::Hello(_)))));
    callee.accept_hello(&hello()).expect("a valid hello");
    let _ = taken!(callee);

    let mut all = Vec::new();
    let mut failure = None;
    'stream: for piece in stream.chunks(piece_bytes) {
        callee.receive(Bytes::copy_from_slice(piece));
        loop {
            match callee.poll_inbound() {
                Ok(Some(inbound)) => {
                    if let Inbound::Request(request) = &inbound {
                        assert!(request.payload.len() <= MESSAGE_BYTES_MAX);
                        callee.respond(request.session, Ok(request.payload.clone()));
                    }
                    all.push(inbound);
                }
                Ok(None) => break,
                Err(error) => {
                    failure = Some(error.to_string());
                    break 'stream;
                }
            }
        }
    }
    // Names, at most four times a message, and what is kept of answers.
    assert!(callee.held_bytes() < 4 * MESSAGE_BYTES_MAX + (1 << 20) + 16 * stream.len() + 8_192);
    let answers = taken!(callee);
    let mut reader = FrameReader::new();
    reader.push(answers.clone());
    loop {
        if reader.take_whole(MESSAGE_BYTES_MAX).is_none() {
            assert_eq!(
                reader.step(MESSAGE_BYTES_MAX),
                Step::Wait,
                "an answer nobody can read"
            );
            break;
        }
    }
    assert!(!reader.has_partial());
    (all, failure, answers)
}

/// The input drives the caller's end of a native connection: calls, time, and replies of a peer that is
/// honest or hostile. At the end every accepted call has had exactly one event.
pub fn native_caller(input: &[u8]) {
    let limits = CallerLimits {
        out_buffer_bytes_max: 20_000,
        sessions_max: 40,
        message_bytes_max: MESSAGE_BYTES_MAX,
        reassembly_bytes_max: 0,
        is_resumed: true,
    };
    let mut caller = CallerLink::new(limits);
    let mut callee = connect(&mut caller, 0);
    let (mut now, mut accepted) = (0, 0);
    let mut ended: Vec<u64> = Vec::new();
    let mut rest = input;
    while rest.len() >= 2 {
        let (step, argument) = (rest.get_u8(), rest.get_u8());
        match step % 12 {
            0..=2 => {
                let name = [b'@', argument];
                let address = if step % 2 == 0 {
                    Address::Handle(7)
                } else {
                    Address::Name(&name)
                };
                let request = CallerRequest {
                    address,
                    source: u32::from(argument),
                    key: u64::from(argument),
                    payload: vec![1; usize::from(argument) * usize::from(step % 12) * 5].into(),
                    deadline: (argument % 4 != 0).then_some(now + u64::from(argument)),
                    token: (argument % 5 != 0).then_some(accepted),
                    is_idempotent: false,
                };
                let is_call = request.token.is_some();
                if caller.request(now, request).is_ok() && is_call {
                    accepted += 1;
                }
            }
            3..=5 => {
                callee.receive(taken!(caller));
                while let Ok(Some(inbound)) = callee.poll_inbound() {
                    if let Inbound::Request(request) = inbound {
                        match request.payload.len() % 3 {
                            0 => callee.respond(request.session, Err(b"no")),
                            1 => {
                                callee.respond(request.session, Ok(vec![1; request.payload.len() * 2].into()))
                            }
                            _ => callee.respond(request.session, Ok(request.payload)),
                        }
                    }
                }
            }
            6 | 7 => caller.receive(taken!(callee)),
            8 => now += u64::from(argument),
            9 => {
                caller.disconnected();
                callee = connect(&mut caller, now);
            }
            10 => callee.goodbye(),
            _ => {
                let (hostile, more) = rest.split_at(usize::from(argument).min(rest.len()));
                rest = more;
                caller.receive(Bytes::copy_from_slice(hostile));
            }
        }
        loop {
            match caller.poll_event(now) {
                Ok(Some(event)) => {
                    if let CallerEvent::Reply {
                        result: Ok(payload), ..
                    } = &event
                    {
                        assert!(payload.len() <= MESSAGE_BYTES_MAX);
                    }
                    ended.extend(event.token());
                }
                Ok(None) => break,
                Err(_) => {
                    caller.disconnected();
                    callee = CalleeLink::new(CalleeLimits::default());
                }
            }
        }
        assert!(caller.outstanding() <= 40 && caller.out_buffer_bytes() <= 20_000 + 24 * input.len());
    }
    caller.close();
    while let Some(event) = caller.poll_event(now).expect("no input") {
        ended.extend(event.token());
    }
    ended.sort_unstable();
    assert_eq!(ended, (0..accepted).collect::<Vec<_>>());
    assert!(caller.is_idle());
}

/// A connection whose handshake is over.
fn connect(caller: &mut CallerLink, now: u64) -> CalleeLink {
    let mut callee = CalleeLink::new(CalleeLimits::default());
    caller.dial(now, &hello()).expect("a valid hello");
    callee.receive(taken!(caller));
    assert!(matches!(callee.poll_inbound(), Ok(Some(Inbound::Hello(_)))));
    callee.accept_hello(&hello()).expect("a valid hello");
    caller.receive(taken!(callee));
    callee
}
