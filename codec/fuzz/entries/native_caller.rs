//! The caller's end of a native connection, and replies of a peer that is honest or hostile.

use bytes::{Buf, Bytes};
use skyring_codec::link::{
    CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, CallerRequest, Inbound,
};
use skyring_codec::skynet::Address;

use super::events::{magnitude, note, note_words};
use super::peer::{connect, taken};

const MESSAGE_BYTES_MAX: usize = 2_000;

const OUT_BUFFER_BYTES_MAX: usize = 20_000;

const SESSIONS_MAX: usize = 40;

/// The input drives the caller's end of a native connection: calls, time, and replies of a peer that is
/// honest or hostile. At the end every accepted call has had exactly one event.
pub fn native_caller(input: &[u8]) {
    let limits = CallerLimits {
        out_buffer_bytes_max: OUT_BUFFER_BYTES_MAX,
        sessions_max: SESSIONS_MAX,
        message_bytes_max: MESSAGE_BYTES_MAX,
        reassembly_bytes_max: 0,
        is_resumed: true,
        released_at_once_min: 2,
    };
    let mut caller = CallerLink::new(limits);
    let callee = connect(&mut caller, 0);
    let mut drive = Drive {
        caller,
        callee,
        now: 0,
        accepted: 0,
        ended: Vec::new(),
    };
    let mut rest = input;
    while rest.len() >= 2 {
        let (step, argument) = (rest.get_u8() % 12, rest.get_u8());
        note("step", step.into());
        if step == 11 {
            let (hostile, more) = rest.split_at(usize::from(argument).min(rest.len()));
            rest = more;
            drive.caller.receive(Bytes::copy_from_slice(hostile));
        } else {
            drive.step(step, argument);
        }
        drive.poll(step % 2 == 0);
        let caller = &drive.caller;
        assert!(caller.outstanding() <= SESSIONS_MAX);
        // Pongs come on top: one for each ping of a hostile peer.
        assert!(caller.out_buffer_bytes() <= OUT_BUFFER_BYTES_MAX + 24 * input.len());
    }
    drive.finish();
}

struct Drive {
    caller: CallerLink,
    callee: CalleeLink,
    now: u64,
    /// Calls, whose tokens are the numbers below.
    accepted: u64,
    /// The tokens of those that have ended.
    ended: Vec<u64>,
}

impl Drive {
    fn step(&mut self, step: u8, argument: u8) {
        match step {
            0..=2 => self.request(step, argument),
            3..=5 => self.serve(),
            6 | 7 => self.caller.receive(taken!(self.callee)),
            8 => self.now += u64::from(argument),
            9 => {
                self.caller.disconnected();
                self.callee = connect(&mut self.caller, self.now);
            }
            _ => self.callee.goodbye(),
        }
    }

    fn request(&mut self, step: u8, argument: u8) {
        let name = [b'@', argument];
        let address = if step.is_multiple_of(2) {
            Address::Handle(7)
        } else {
            Address::Name(&name)
        };
        let token = (!argument.is_multiple_of(5)).then_some(self.accepted);
        let request = CallerRequest {
            address,
            source: u32::from(argument),
            key: u64::from(argument),
            payload: vec![1; usize::from(argument) * usize::from(step) * 5].into(),
            deadline: (!argument.is_multiple_of(4)).then_some(self.now + u64::from(argument)),
            token,
            is_idempotent: false,
        };
        match self.caller.request(self.now, request) {
            Ok(()) => self.accepted += u64::from(token.is_some()),
            Err(error) => note_words("refused", &error),
        }
    }

    /// An honest peer takes all that is written and answers it.
    fn serve(&mut self) {
        self.callee.receive(taken!(self.caller));
        while let Ok(Some(inbound)) = self.callee.poll_inbound() {
            let Inbound::Request(request) = inbound else {
                continue;
            };
            note("served", magnitude(request.payload.len()));
            match request.payload.len() % 3 {
                0 => self.callee.respond(request.session, Err(b"no")),
                1 => {
                    let answer = vec![1; request.payload.len() * 2].into();
                    self.callee.respond(request.session, Ok(answer));
                }
                _ => self.callee.respond(request.session, Ok(request.payload)),
            }
        }
    }

    /// Takes all events, plain answers the quick way if that is wanted.
    fn poll(&mut self, is_quick: bool) {
        loop {
            while is_quick && let Some((token, payload)) = self.caller.next_reply() {
                note("quick reply", magnitude(payload.len()));
                assert!(payload.len() <= MESSAGE_BYTES_MAX);
                self.ended.push(token);
            }
            match self.caller.poll_event(self.now) {
                Ok(Some(event)) => {
                    note_words("event", &event);
                    if let CallerEvent::Reply {
                        result: Ok(payload), ..
                    } = &event
                    {
                        assert!(payload.len() <= MESSAGE_BYTES_MAX);
                    }
                    self.ended.extend(event.token());
                }
                Ok(None) => break,
                Err(error) => {
                    note_words("error", &error);
                    self.caller.disconnected();
                    self.callee = CalleeLink::new(CalleeLimits::default());
                }
            }
        }
        note("outstanding", magnitude(self.caller.outstanding()));
    }

    fn finish(mut self) {
        self.caller.close();
        while let Some(event) = self.caller.poll_event(self.now).expect("no input") {
            self.ended.extend(event.token());
        }
        self.ended.sort_unstable();
        assert_eq!(self.ended, (0..self.accepted).collect::<Vec<_>>());
        assert!(self.caller.is_idle());
        assert_eq!(self.caller.next_deadline(), None);
    }
}
