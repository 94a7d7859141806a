//! What the fuzz targets for the two ends of a link do with their input, as plain functions.

use std::io::IoSlice;

use bytes::{Bytes, BytesMut};
use skyring_codec::link::{
    CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, CallerRequest, Inbound, ProtocolError,
    Request,
};
use skyring_codec::skynet::{Address, Framer, decode_response};

const MESSAGE_BYTES_MAX: usize = 50_000;

/// The input drives a caller link: calls, sends, connections that come and break, replies of an honest
/// callee, and bytes of a hostile one. At the end every accepted call has had exactly one event.
pub fn link_caller(input: &[u8]) {
    let limits = CallerLimits {
        out_buffer_bytes_max: 200_000,
        sessions_max: 40,
        message_bytes_max: MESSAGE_BYTES_MAX,
        reassembly_bytes_max: 60_000,
        is_resumed: true,
    };
    let mut drive = Drive {
        caller: CallerLink::new(limits),
        callee: CalleeLink::new(CalleeLimits::default()),
        now: 0,
        calls: Vec::new(),
        highest_seen: None,
    };
    let mut rest = input;
    while let Some((step, more)) = rest.split_first() {
        rest = more;
        let argument = match rest.split_first() {
            Some((argument, more)) => {
                rest = more;
                *argument
            }
            None => 0,
        };
        if step % 16 == 15 {
            let (hostile, more) = rest.split_at(usize::from(argument).min(rest.len()));
            rest = more;
            drive.caller.receive(Bytes::copy_from_slice(hostile));
        } else {
            drive.step(step % 16, usize::from(argument));
        }
        drive.poll();
        assert!(drive.caller.outstanding() <= 40);
        assert!(drive.caller.out_buffer_bytes() <= 200_000);
    }
    drive.caller.close();
    drive.poll();
    assert!(
        drive.calls.iter().all(|call| call.has_ended),
        "a call had no event"
    );
    assert!(drive.caller.is_idle());
    assert_eq!(drive.caller.next_deadline(), None);
}

fn asked(
    address: Address<'_>,
    payload: Bytes,
    deadline: Option<u64>,
    token: Option<u64>,
) -> CallerRequest<'_> {
    CallerRequest {
        address,
        source: 0,
        key: 0,
        payload,
        deadline,
        token,
        is_idempotent: false,
    }
}

/// What comes next at an end that speaks the skynet dialect only.
fn next_request(callee: &mut CalleeLink) -> Result<Option<Request>, ProtocolError> {
    loop {
        match callee.poll_inbound()? {
            Some(Inbound::Request(request)) => return Ok(Some(request)),
            Some(Inbound::Hello(_)) => callee.refuse_hello(),
            Some(Inbound::Goodbye) => panic!("the skynet dialect has no such package"),
            None => return Ok(None),
        }
    }
}

struct Call {
    deadline: Option<u64>,
    has_ended: bool,
    was_seen: bool,
}

struct Drive {
    caller: CallerLink,
    callee: CalleeLink,
    now: u64,
    /// Indexed by token.
    calls: Vec<Call>,
    /// The token of the call that reached the callee last.
    highest_seen: Option<u64>,
}

impl Drive {
    fn step(&mut self, step: u8, argument: usize) {
        match step {
            0..=4 => self.call(step, argument),
            5 => drop(self.caller.request(
                0,
                asked(
                    Address::Name(b"@push"),
                    vec![0; argument * 200].into(),
                    None,
                    None,
                ),
            )),
            6..=8 => self.transmit(argument * argument),
            9 => self.transmit(usize::MAX),
            10 | 11 => self.deliver_replies(argument + 1),
            12 => self.now += argument as u64 * 3,
            13 => {
                self.caller.connected();
                self.callee = CalleeLink::new(CalleeLimits::default());
            }
            _ => self.break_connection(),
        }
    }

    fn call(&mut self, step: u8, argument: usize) {
        let token = self.calls.len() as u64;
        let length = if step == 4 { argument * 200 } else { argument };
        let mut payload = BytesMut::from(&token.to_le_bytes()[..]);
        payload.resize(8 + length, 0);
        let deadline = (!argument.is_multiple_of(4)).then_some(self.now + argument as u64);
        let address = if argument.is_multiple_of(2) {
            Address::Handle(7)
        } else {
            Address::Name(b"@db")
        };
        if self
            .caller
            .request(0, asked(address, payload.freeze(), deadline, Some(token)))
            .is_ok()
        {
            self.calls.push(Call {
                deadline,
                has_ended: false,
                was_seen: false,
            });
        }
    }

    /// The socket takes up to `count` bytes, which reach an honest callee; it answers at once.
    fn transmit(&mut self, count: usize) {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = self.caller.transmit(&mut slices);
        let bytes: Vec<u8> = slices[..filled]
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .take(count)
            .collect();
        self.caller.transmitted(bytes.len());
        self.callee.receive(bytes.into());
        while let Some(Request { session, payload, .. }) =
            next_request(&mut self.callee).expect("we are honest")
        {
            if session != 0 {
                let token = payload
                    .first_chunk()
                    .map(|token| u64::from_le_bytes(*token))
                    .expect("a token");
                assert!(
                    self.highest_seen.is_none_or(|seen| seen < token),
                    "twice or out of order"
                );
                self.highest_seen = Some(token);
                self.calls[token as usize].was_seen = true;
            }
            match payload.len() % 3 {
                0 => self.callee.respond(session, Err(b"no")),
                1 => self
                    .callee
                    .respond(session, Ok(Bytes::from(vec![1; payload.len() * 2]))),
                _ => self.callee.respond(session, Ok(payload)),
            }
        }
    }

    fn deliver_replies(&mut self, times: usize) {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = self.callee.transmit(&mut slices);
        let bytes: Vec<u8> = slices[..filled]
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .take(times * 300)
            .collect();
        self.callee.transmitted(bytes.len());
        self.caller.receive(bytes.into());
    }

    fn break_connection(&mut self) {
        self.caller.disconnected();
        assert!(!self.caller.has_output());
        self.callee = CalleeLink::new(CalleeLimits::default());
    }

    fn poll(&mut self) {
        loop {
            let token = match self.caller.poll_event(self.now) {
                Ok(None) => break,
                // Only hostile bytes, or honest ones joined with them, are an error.
                Err(_) => {
                    self.break_connection();
                    continue;
                }
                Ok(Some(CallerEvent::Reply { token, result })) => {
                    let bytes = result.map_or(0, |payload| payload.len());
                    assert!(bytes <= MESSAGE_BYTES_MAX);
                    token
                }
                Ok(Some(CallerEvent::Expired { token, may_have_run })) => {
                    assert!(may_have_run || !self.calls[token as usize].was_seen, "it has run");
                    assert!(
                        self.calls[token as usize]
                            .deadline
                            .is_some_and(|deadline| deadline <= self.now)
                    );
                    token
                }
                Ok(Some(CallerEvent::Lost { token, may_have_run })) => {
                    assert!(may_have_run || !self.calls[token as usize].was_seen, "it has run");
                    token
                }
                Ok(Some(CallerEvent::TooLarge { token, bytes })) => {
                    assert!(bytes > 0);
                    token
                }
                Ok(Some(
                    event @ (CallerEvent::Ready { .. }
                    | CallerEvent::Goodbye
                    | CallerEvent::Restarted { .. }
                    | CallerEvent::Forgotten { .. }
                    | CallerEvent::Quiet
                    | CallerEvent::Heard),
                )) => {
                    panic!("{event:?} without a hello or a heartbeat")
                }
            };
            let call = &mut self.calls[token as usize];
            assert!(!call.has_ended, "a second event for one call");
            call.has_ended = true;
        }
        let is_overdue = |call: &Call| !call.has_ended && call.deadline.is_some_and(|at| at <= self.now);
        assert!(!self.calls.iter().any(is_overdue), "a call outlived its deadline");
    }
}

/// The input is what a callee link receives, cut as its first byte says. The same requests and answers
/// come out as without cuts, none beyond the limits, and every answer is one that a caller can read.
pub fn link_callee(input: &[u8]) {
    let Some((cut, stream)) = input.split_first() else {
        return;
    };
    let whole = callee_run(stream, stream.len().max(1));
    let pieces = callee_run(stream, usize::from(*cut) + 1);
    assert_eq!(whole, pieces);
}

/// Requests, whether the stream was well-formed, and the bytes answered.
fn callee_run(stream: &[u8], piece_bytes: usize) -> (Vec<Request>, bool, Vec<u8>) {
    let limits = CalleeLimits {
        message_bytes_max: 2_000,
        reassembly_bytes_max: 3_000,
        partial_messages_max: 8,
        ..CalleeLimits::default()
    };
    let mut callee = CalleeLink::new(limits);
    let mut requests = Vec::new();
    let mut is_well_formed = true;
    'stream: for piece in stream.chunks(piece_bytes) {
        callee.receive(Bytes::copy_from_slice(piece));
        loop {
            match next_request(&mut callee) {
                Ok(Some(request)) => {
                    assert!(request.payload.len() <= 2_000);
                    callee.respond(request.session, Ok(request.payload.clone()));
                    requests.push(request);
                }
                Ok(None) => break,
                Err(_) => {
                    is_well_formed = false;
                    break 'stream;
                }
            }
        }
    }
    assert!(callee.requests_seen() >= requests.len() as u64);
    let mut answers = Vec::new();
    while callee.has_output() {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = callee.transmit(&mut slices);
        let before = answers.len();
        answers.extend(slices[..filled].iter().flat_map(|slice| slice.iter().copied()));
        callee.transmitted(answers.len() - before);
    }
    let mut framer = Framer::new();
    framer.push(Bytes::copy_from_slice(&answers));
    while let Some(package) = framer.next_package() {
        decode_response(package).expect("an answer nobody can read");
    }
    assert!(!framer.has_partial());
    (requests, is_well_formed, answers)
}
