//! Sessions: two honest ends, and connections that break.

use std::io::IoSlice;

use bytes::{Bytes, BytesMut};
use skyring_codec::link::{
    ACK_DELAY_MS_MAX, CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, CallerRequest,
    Inbound, ProtocolError,
};
use skyring_codec::native::{Hello, Resumption};
use skyring_codec::skynet::{Address, RequestAddress};

use super::events::{magnitude, note, note_words};
use super::peer::taken_up_to;

/// Exchanges after which everything must have come to its end.
const ROUNDS_MAX: usize = 200;

/// The service that has no name.
const HANDLE: u32 = 7;

const OUT_BUFFER_BYTES_MAX: usize = 40_000;

/// The input says what is called and sent, how much of it passes, and when connections break, seem to be there
/// still, or the acceptor restarts or forgets. Each message comes out at most once in all, but for idempotent calls
/// to another session, and in order; none does that was said not to have run, or that had ended before its
/// connection began; at the end each call has had its one event, and nothing is kept.
pub fn native_session(input: &[u8]) {
    let mut world = World::new();
    for step in input.chunks_exact(2) {
        note("step", u64::from(step[0] % 15));
        world.step(step[0] % 15, usize::from(step[1]));
        world.check();
    }
    world.finish();
}

/// What was accepted under a number.
struct Message {
    /// The name that it is for; None for a handle.
    name: Option<u8>,
    is_call: bool,
    is_idempotent: bool,
    /// The event that it ended with has come, on the connection with this number.
    ended: Option<u64>,
    /// That event said that it had not run.
    is_forbidden: bool,
    /// The session that it came out in last.
    came_out: Option<u64>,
}

/// A call that came out and was not answered.
struct Unanswered {
    session: u32,
    number: usize,
}

/// Bytes in flight on one connection.
#[derive(Default)]
struct Wire {
    there: BytesMut,
    back: BytesMut,
}

struct World {
    caller: CallerLink,
    /// The acceptor's link that has the session.
    holder: Option<CalleeLink>,
    /// The acceptor's link of a connection whose hello has not come.
    greeting: Option<CalleeLink>,
    wire: Option<Wire>,
    /// What is still in flight on a connection that the caller has abandoned and the acceptor has not.
    half_open: BytesMut,
    epoch: u64,
    /// The acceptor has lost what it knew since a session went on last.
    has_forgotten: bool,
    /// Counts the connections, and the sessions.
    connections: u64,
    sessions: u64,
    /// The connection that the holder reads: an older one than the latest until the hello of that has come.
    connection_read: u64,
    /// What the hello of the latest connection has, which comes on top of the messages in the out-buffer.
    hello_bytes: usize,
    now: u64,
    messages: Vec<Message>,
    unanswered: Vec<Unanswered>,
    /// Which names lead where: it changes now and then.
    names_state: u64,
    /// Each second step what comes is taken the quick way where there is one.
    is_quick: bool,
    /// The message that came out last in this session.
    latest: Option<usize>,
}

impl World {
    fn new() -> Self {
        Self {
            caller: CallerLink::new(CallerLimits {
                out_buffer_bytes_max: OUT_BUFFER_BYTES_MAX,
                ..CallerLimits::default()
            }),
            holder: None,
            greeting: None,
            wire: None,
            half_open: BytesMut::new(),
            epoch: 1,
            has_forgotten: false,
            connections: 0,
            sessions: 0,
            connection_read: 0,
            hello_bytes: 0,
            now: 0,
            messages: Vec::new(),
            unanswered: Vec::new(),
            names_state: 0,
            is_quick: false,
            latest: None,
        }
    }

    fn hello(&self) -> Hello {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.connections.to_le_bytes());
        Hello {
            version: 1,
            node: "fuzz".to_owned(),
            channel: 1,
            channels: 1,
            threads: 1,
            epoch: self.epoch,
            nonce,
            resume: Resumption::New,
        }
    }

    fn step(&mut self, step: u8, argument: usize) {
        self.is_quick = !self.is_quick;
        match step {
            0..=2 => self.request(step, argument),
            3 => self.transmit(argument * argument),
            4 => self.deliver(argument * 3),
            5 => self.transmit_back(argument * argument + 1),
            6 => self.deliver_back(argument * 3),
            7 => self.answer(argument),
            8 => {
                self.now += argument as u64 % 64;
                self.names_state += u64::from(argument >= 64);
            }
            9 => self.disconnect_caller(true),
            10 => {
                self.deliver(argument);
                self.disconnect_caller(false);
                self.disconnect_holder();
            }
            11 if self.wire.is_none() => self.dial(),
            12 if argument.is_multiple_of(4) => {
                self.epoch += 1;
                self.forget();
            }
            13 if argument % 4 == 1 => self.forget(),
            14 if argument.is_multiple_of(4) => self.now += argument as u64 * 1_000,
            _ => {}
        }
    }

    fn request(&mut self, step: u8, argument: usize) {
        let mut payload = BytesMut::from(&self.messages.len().to_le_bytes()[..]);
        payload.resize(8 + argument * usize::from(step) * 2, 7);
        let name = (argument % 2 == 1).then_some(argument as u8 % 5);
        let text = [b'@', name.unwrap_or_default()];
        let address = match name {
            None => Address::Handle(HANDLE),
            Some(_) => Address::Name(&text),
        };
        let (is_call, is_idempotent) = (!argument.is_multiple_of(4), argument.is_multiple_of(5));
        let request = CallerRequest {
            address,
            source: 1,
            key: 0,
            payload: payload.freeze(),
            deadline: argument.is_multiple_of(3).then_some(self.now + argument as u64),
            token: is_call.then_some(self.messages.len() as u64),
            is_idempotent,
        };
        match self.caller.request(self.now, request) {
            Ok(()) => self.messages.push(Message {
                name,
                is_call,
                is_idempotent,
                ended: None,
                is_forbidden: false,
                came_out: None,
            }),
            Err(error) => note_words("refused", &error),
        }
    }

    /// The caller's socket takes up to so many bytes.
    fn transmit(&mut self, count: usize) {
        let Some(wire) = &mut self.wire else { return };
        let bytes = taken_up_to!(self.caller, count);
        wire.there.extend_from_slice(&bytes);
    }

    /// Up to so many bytes arrive at the acceptor.
    fn deliver(&mut self, count: usize) {
        let count_old = count.min(self.half_open.len());
        note("half open", magnitude(count_old));
        let old = self.half_open.split_to(count_old).freeze();
        if let Some(holder) = &mut self.holder
            && !old.is_empty()
        {
            holder.receive(old);
            self.take_requests();
        }
        let Some(wire) = &mut self.wire else { return };
        let new = wire.there.split_to(count.min(wire.there.len())).freeze();
        match (&mut self.greeting, &mut self.holder) {
            (Some(greeting), _) => {
                greeting.receive(new);
                let inbound = greeting.poll_inbound().expect("we are honest");
                if matches!(inbound, Some(Inbound::Hello(_))) {
                    self.greet();
                }
            }
            (None, Some(holder)) => holder.receive(new),
            // The acceptor restarted: nobody reads.
            (None, None) => {}
        }
        self.take_requests();
    }

    /// The hello has come: the session that it names goes on, or another begins.
    fn greet(&mut self) {
        let Some(mut greeting) = self.greeting.take() else {
            return;
        };
        self.half_open.clear();
        self.connection_read = self.connections;
        let hello = self.hello();
        if let Some(holder) = &mut self.holder
            && holder.can_resume(&greeting)
        {
            note("resumed", 0);
            holder.resume(greeting, &hello).expect("it can be resumed");
            self.has_forgotten = false;
            return;
        }
        note("session", self.holder.is_some().into());
        greeting.accept_hello(&hello).expect("a valid hello");
        self.holder = Some(greeting);
        self.sessions += 1;
        self.unanswered.clear();
        self.latest = None;
    }

    fn take_requests(&mut self) {
        while let Some((session, target, payload)) = self.next_request() {
            self.take_request(session, target, &payload);
        }
        if let Some(holder) = &mut self.holder {
            holder.tick(self.now);
        }
    }

    /// What comes next: its session, whom it is for, and its payload.
    fn next_request(&mut self) -> Option<(u32, u32, Bytes)> {
        let holder = self.holder.as_mut()?;
        let state = self.names_state;
        if self.is_quick
            && let Some(request) = holder.next_resolved(state, |name| Some(resolve(*name.last()?, state)))
        {
            note("quick", 0);
            return Some((request.session, request.target, request.payload));
        }
        let request = match holder.poll_inbound().expect("we are honest")? {
            Inbound::Request(request) => request,
            inbound => panic!("{inbound:?} is no request"),
        };
        let target = match &request.address {
            RequestAddress::Handle(handle) => *handle,
            RequestAddress::Name(name) => resolve(*name.last().expect("a name"), state),
        };
        Some((request.session, target, request.payload))
    }

    fn take_request(&mut self, session: u32, target: u32, payload: &[u8]) {
        let number = number_in(payload);
        let message = &mut self.messages[number];
        assert_eq!(session != 0, message.is_call);
        let expected = message
            .name
            .map_or(HANDLE, |name| resolve(name, self.names_state));
        assert_eq!(target, expected, "{number} came to another service");
        assert!(
            self.latest.is_none_or(|latest| latest < number),
            "{number} is out of order"
        );
        self.latest = Some(number);
        assert!(!message.is_forbidden, "{number} was said not to have run");
        assert!(
            message
                .ended
                .is_none_or(|connection| connection >= self.connection_read),
            "{number} had ended before its connection began"
        );
        let is_again = message.came_out.replace(self.sessions);
        note("again", is_again.is_some().into());
        assert!(
            is_again.is_none_or(|session| message.is_idempotent && session < self.sessions),
            "{number} came out twice"
        );
        if message.is_call {
            self.unanswered.push(Unanswered { session, number });
        }
    }

    fn answer(&mut self, argument: usize) {
        let Some(holder) = &mut self.holder else { return };
        if self.unanswered.is_empty() {
            return;
        }
        let Unanswered { session, number } = self.unanswered.swap_remove(argument % self.unanswered.len());
        match argument % 4 {
            0 => holder.respond(session, Err(b"no")),
            length => {
                let mut payload = BytesMut::from(&number.to_le_bytes()[..]);
                payload.resize(8 + argument * length * 2, 1);
                holder.respond(session, Ok(payload.freeze()));
            }
        }
    }

    fn transmit_back(&mut self, count: usize) {
        let (Some(holder), Some(wire)) = (&mut self.holder, &mut self.wire) else {
            return;
        };
        // What it writes to a half-open connection goes nowhere.
        let goes_nowhere = self.greeting.is_some();
        let bytes = taken_up_to!(holder, count);
        if !goes_nowhere {
            wire.back.extend_from_slice(&bytes);
        }
    }

    fn deliver_back(&mut self, count: usize) {
        let Some(wire) = &mut self.wire else { return };
        let bytes = wire.back.split_to(count.min(wire.back.len())).freeze();
        self.caller.receive(bytes);
    }

    /// The caller notices that its connection is over; the acceptor may notice later.
    fn disconnect_caller(&mut self, is_half_open: bool) {
        self.caller.disconnected();
        let Some(wire) = self.wire.take() else { return };
        if self.greeting.take().is_none() && is_half_open {
            self.half_open = wire.there;
        }
    }

    fn disconnect_holder(&mut self) {
        self.half_open.clear();
        if let Some(holder) = &mut self.holder
            && !holder.disconnected()
        {
            self.holder = None;
            self.unanswered.clear();
        }
    }

    /// The acceptor has nothing any more.
    fn forget(&mut self) {
        self.has_forgotten = true;
        self.holder = None;
        self.unanswered.clear();
        self.disconnect_caller(false);
        self.half_open.clear();
    }

    fn dial(&mut self) {
        self.connections += 1;
        let hello = Hello {
            epoch: 77,
            ..self.hello()
        };
        self.caller.dial(self.now, &hello).expect("a valid hello");
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = self.caller.transmit(&mut slices);
        self.hello_bytes = slices[..filled].iter().map(|slice| slice.len()).sum();
        self.greeting = Some(CalleeLink::new(CalleeLimits::default()));
        self.wire = Some(Wire::default());
    }

    /// Takes the events of the caller.
    fn check(&mut self) {
        if let Some(holder) = &mut self.holder {
            holder.tick(self.now);
        }
        loop {
            while self.is_quick
                && let Some((token, payload)) = self.caller.next_reply()
            {
                let result = Ok(payload);
                self.take_event(&CallerEvent::Reply { token, result });
            }
            match self.caller.poll_event(self.now) {
                Ok(None) => break,
                Ok(Some(event)) => self.take_event(&event),
                Err(error @ ProtocolError::HandshakeTime { .. }) => {
                    note_words("error", &error);
                    self.disconnect_caller(false);
                }
                Err(error) => panic!("{error}: we are honest"),
            }
        }
        note("outstanding", magnitude(self.caller.outstanding()));
        assert!(self.caller.out_buffer_bytes() <= OUT_BUFFER_BYTES_MAX + self.hello_bytes);
    }

    fn take_event(&mut self, event: &CallerEvent) {
        note_words("event", event);
        let Some(token) = event.token() else { return };
        let message = &mut self.messages[token as usize];
        assert!(
            message.is_call && message.ended.is_none(),
            "a second event: {event:?}"
        );
        message.ended = Some(self.connections);
        match event {
            CallerEvent::Expired { may_have_run, .. } | CallerEvent::Lost { may_have_run, .. } => {
                message.is_forbidden = !may_have_run;
            }
            CallerEvent::Restarted { .. } | CallerEvent::Forgotten { .. } => {
                assert!(self.has_forgotten, "{event:?} though both ends live");
            }
            CallerEvent::Reply { result, .. } => {
                assert!(message.came_out.is_some(), "an answer to what did not come out");
                if let Ok(payload) = result {
                    assert_eq!(number_in(payload) as u64, token, "the answer to another call");
                }
            }
            event => panic!("{event:?} of an honest peer"),
        }
        let has_run = message.came_out.is_some();
        assert!(!(message.is_forbidden && has_run), "{token} has run: {event:?}");
    }

    /// Lets everything come to its end, without any further break.
    fn finish(&mut self) {
        for _ in 0..ROUNDS_MAX {
            if self.wire.is_none() {
                self.dial();
            }
            self.transmit(usize::MAX);
            self.deliver(usize::MAX);
            while !self.unanswered.is_empty() {
                self.answer(1);
            }
            self.transmit_back(usize::MAX);
            self.deliver_back(usize::MAX);
            self.now += ACK_DELAY_MS_MAX;
            self.check();
            let holder = self.holder.as_ref();
            let has_output =
                holder.is_some_and(|holder| holder.has_output() || holder.next_deadline().is_some());
            if self.caller.is_idle()
                && self.greeting.is_none()
                && self.caller.next_deadline().is_none()
                && !has_output
            {
                break;
            }
        }
        assert!(self.caller.is_idle() && self.caller.next_deadline().is_none());
        let unended = self
            .messages
            .iter()
            .position(|message| message.is_call && message.ended.is_none());
        assert_eq!(unended, None, "it has had no event");
        let Some(holder) = &mut self.holder else { return };
        holder.release_memory();
        assert!(
            holder.held_bytes() < 1_000,
            "{} bytes are held",
            holder.held_bytes()
        );
        let (sent, received) = self.caller.session_frames().expect("a session");
        assert!(sent >= received);
    }
}

/// The number that a payload begins with.
fn number_in(payload: &[u8]) -> usize {
    let number = payload.first_chunk().expect("a number");
    usize::from_le_bytes(*number)
}

/// Where a name leads.
fn resolve(name: u8, state: u64) -> u32 {
    100 + u32::from(name) + 10 * state as u32
}
