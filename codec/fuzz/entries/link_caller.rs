//! The caller's end of a link of the skynet dialect.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use skyring_codec::link::{
    CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, CallerRequest, Request,
};
use skyring_codec::skynet::Address;

use super::events::{magnitude, note, note_words};
use super::link_callee::next_request;
use super::peer::taken_up_to;

const MESSAGE_BYTES_MAX: usize = 50_000;

const OUT_BUFFER_BYTES_MAX: usize = 200_000;

const SESSIONS_MAX: usize = 40;

/// The input drives a caller link: calls, sends, connections that come and break, replies of an honest
/// callee, and bytes of a hostile one. At the end every accepted call has had exactly one event.
pub fn link_caller(input: &[u8]) {
    let limits = CallerLimits {
        out_buffer_bytes_max: OUT_BUFFER_BYTES_MAX,
        sessions_max: SESSIONS_MAX,
        message_bytes_max: MESSAGE_BYTES_MAX,
        reassembly_bytes_max: 60_000,
        is_resumed: true,
        released_at_once_min: 2,
    };
    let mut drive = Drive {
        caller: CallerLink::new(limits),
        callee: CalleeLink::new(CalleeLimits::default()),
        now: 0,
        calls: Vec::new(),
        open: BTreeSet::new(),
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
        note("step", u64::from(step % 16));
        if step % 16 == 15 {
            let (hostile, more) = rest.split_at(usize::from(argument).min(rest.len()));
            rest = more;
            drive.caller.receive(Bytes::copy_from_slice(hostile));
        } else {
            drive.step(step % 16, usize::from(argument));
        }
        drive.poll();
        assert!(drive.caller.outstanding() <= SESSIONS_MAX);
        assert!(drive.caller.out_buffer_bytes() <= OUT_BUFFER_BYTES_MAX);
    }
    drive.caller.close();
    drive.poll();
    assert!(drive.open.is_empty(), "a call had no event");
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

struct Call {
    deadline: Option<u64>,
    was_seen: bool,
}

struct Drive {
    caller: CallerLink,
    callee: CalleeLink,
    now: u64,
    /// Indexed by token.
    calls: Vec<Call>,
    /// The tokens of those that have not ended.
    open: BTreeSet<u64>,
    /// The token of the call that reached the callee last.
    highest_seen: Option<u64>,
}

impl Drive {
    fn step(&mut self, step: u8, argument: usize) {
        match step {
            0..=4 => self.call(step, argument),
            5 => {
                let payload = vec![0; argument * 200].into();
                let send = asked(Address::Name(b"@push"), payload, None, None);
                if let Err(error) = self.caller.request(0, send) {
                    note_words("refused", &error);
                }
            }
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
        let call = asked(address, payload.freeze(), deadline, Some(token));
        match self.caller.request(0, call) {
            Ok(()) => {
                self.open.insert(token);
                self.calls.push(Call {
                    deadline,
                    was_seen: false,
                });
            }
            Err(error) => note_words("refused", &error),
        }
    }

    /// The socket takes up to `count` bytes, which reach an honest callee; it answers at once.
    fn transmit(&mut self, count: usize) {
        let bytes = taken_up_to!(self.caller, count);
        note("transmitted", magnitude(bytes.len()));
        self.callee.receive(bytes);
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
        let bytes = taken_up_to!(self.callee, times * 300);
        self.caller.receive(bytes);
    }

    fn break_connection(&mut self) {
        self.caller.disconnected();
        assert!(!self.caller.has_output());
        self.callee = CalleeLink::new(CalleeLimits::default());
    }

    fn poll(&mut self) {
        loop {
            let event = match self.caller.poll_event(self.now) {
                Ok(None) => break,
                // Only hostile bytes, or honest ones joined with them, are an error.
                Err(error) => {
                    note_words("error", &error);
                    self.break_connection();
                    continue;
                }
                Ok(Some(event)) => event,
            };
            note_words("event", &event);
            let token = event.token();
            let token = token.unwrap_or_else(|| panic!("{event:?} without a hello or a heartbeat"));
            let call = &mut self.calls[token as usize];
            match event {
                CallerEvent::Reply { result, .. } => {
                    assert!(result.map_or(0, |payload| payload.len()) <= MESSAGE_BYTES_MAX);
                }
                CallerEvent::Expired { may_have_run, .. } => {
                    assert!(may_have_run || !call.was_seen, "it has run");
                    assert!(call.deadline.is_some_and(|deadline| deadline <= self.now));
                }
                CallerEvent::Lost { may_have_run, .. } => {
                    assert!(may_have_run || !call.was_seen, "it has run");
                }
                CallerEvent::TooLarge { bytes, .. } => assert!(bytes > 0),
                event => panic!("{event:?} without a session"),
            }
            assert!(self.open.remove(&token), "a second event for one call");
        }
        note("outstanding", magnitude(self.caller.outstanding()));
        let is_overdue = |token: &u64| {
            let deadline = self.calls[*token as usize].deadline;
            deadline.is_some_and(|deadline| deadline <= self.now)
        };
        assert!(!self.open.iter().any(is_overdue), "a call outlived its deadline");
    }
}
