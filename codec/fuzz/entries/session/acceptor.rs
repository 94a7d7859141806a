//! The acceptor: takes what is delivered, checks each message that comes out, and answers.

use bytes::{Bytes, BytesMut};
use skyring_codec::link::Inbound;
use skyring_codec::skynet::RequestAddress;

use super::{HANDLE, Unanswered, World, number_in};
use crate::entries::events::{magnitude, note};
use crate::entries::peer::taken_up_to;

impl World {
    /// Up to so many bytes arrive at the acceptor.
    pub(super) fn deliver(&mut self, count: usize) {
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
    pub(super) fn greet(&mut self) {
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

    pub(super) fn answer(&mut self, argument: usize) {
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

    pub(super) fn transmit_back(&mut self, count: usize) {
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

    pub(super) fn disconnect_holder(&mut self) {
        self.half_open.clear();
        if let Some(holder) = &mut self.holder
            && !holder.disconnected()
        {
            self.holder = None;
            self.unanswered.clear();
        }
    }

    /// The acceptor has nothing any more.
    pub(super) fn forget(&mut self) {
        self.has_forgotten = true;
        self.holder = None;
        self.unanswered.clear();
        self.disconnect_caller(false);
        self.half_open.clear();
    }
}

/// Where a name leads.
fn resolve(name: u8, state: u64) -> u32 {
    100 + u32::from(name) + 10 * state as u32
}
