//! Sessions: two honest ends, and connections that break.

mod acceptor;
mod dialler;

use bytes::BytesMut;
use skyring_codec::link::{ACK_DELAY_MS_MAX, Access, CalleeLink, CallerLimits, CallerLink};
use skyring_codec::native::{Hello, Resumption};

use super::events::note;
use super::proof::access;

/// Exchanges after which everything must have come to its end.
const ROUNDS_MAX: usize = 200;

/// The service that has no name.
const HANDLE: u32 = 7;

const OUT_BUFFER_BYTES_MAX: usize = 40_000;

/// The input says what is called and sent, how much of it passes, and when connections break, seem to be there
/// still, or the acceptor restarts or forgets. Each message comes out at most once in all, but for idempotent calls
/// to another session, and in order; none does that was said not to have run, or that had ended before its
/// connection began; at the end each call has had its one event, and nothing is kept.
///
/// An input of an odd length has a cluster secret at both ends.
pub fn native_session(input: &[u8]) {
    let mut world = World::new(!input.len().is_multiple_of(2));
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
    access: Option<Access>,
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
    fn new(is_closed: bool) -> Self {
        let access = is_closed.then(access);
        let mut caller = CallerLink::new(CallerLimits {
            out_buffer_bytes_max: OUT_BUFFER_BYTES_MAX,
            released_at_once_min: 2,
            ..CallerLimits::default()
        });
        caller.set_access(access.clone());
        Self {
            caller,
            access,
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
            attempt: 0,
            traces: false,
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
