//! The dialler: calls, sends and connects, and checks each event.

use std::io::IoSlice;

use bytes::BytesMut;
use skyring_codec::link::{CalleeLimits, CalleeLink, CallerEvent, CallerRequest, ProtocolError};
use skyring_codec::native::Hello;
use skyring_codec::skynet::Address;

use super::{HANDLE, Message, OUT_BUFFER_BYTES_MAX, Wire, World, number_in};
use crate::entries::events::{magnitude, note, note_words};
use crate::entries::peer::taken_up_to;

impl World {
    pub(super) fn request(&mut self, step: u8, argument: usize) {
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
    pub(super) fn transmit(&mut self, count: usize) {
        let Some(wire) = &mut self.wire else { return };
        let bytes = taken_up_to!(self.caller, count);
        wire.there.extend_from_slice(&bytes);
    }

    pub(super) fn deliver_back(&mut self, count: usize) {
        let Some(wire) = &mut self.wire else { return };
        let bytes = wire.back.split_to(count.min(wire.back.len())).freeze();
        self.caller.receive(bytes);
    }

    /// The caller notices that its connection is over; the acceptor may notice later.
    pub(super) fn disconnect_caller(&mut self, is_half_open: bool) {
        self.caller.disconnected();
        let Some(wire) = self.wire.take() else { return };
        if self.greeting.take().is_none() && is_half_open {
            self.half_open = wire.there;
        }
    }

    pub(super) fn dial(&mut self) {
        self.connections += 1;
        let hello = Hello {
            epoch: 77,
            ..self.hello()
        };
        self.caller.dial(self.now, &hello).expect("a valid hello");
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = self.caller.transmit(&mut slices);
        // The final proof comes on top too.
        self.hello_bytes = slices[..filled].iter().map(|slice| slice.len()).sum::<usize>() + 56;
        let limits = CalleeLimits::default();
        self.greeting = Some(match self.access.clone() {
            Some(access) => CalleeLink::with_access(limits, access),
            None => CalleeLink::new(limits),
        });
        self.wire = Some(Wire::default());
    }

    /// Takes the events of the caller.
    pub(super) fn check(&mut self) {
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
}
