//! A service of the test that notes what it gets.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use skyring_codec::seri::{Pack, Unpack};

use super::test_node::TestNode;
use crate::core::handle::Handle;
use crate::core::payload::Payload;
use crate::error::Error;
use crate::rt::manual::{self, PlaceId};
use crate::service::Service;
use crate::service::context::Context;
use crate::service::launch::launch_here;
use crate::service::message::{Answer, Message};
use crate::service::responder::Responder;

/// A message that a [`Probe`] has received. A call waits for [`answer`](Self::answer); dropped, it fails.
pub struct Received {
    message: Message,
    responder: Responder,
    place: PlaceId,
}

impl Received {
    /// The message.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Reads its values.
    ///
    /// # Errors
    /// [`Error::Invalid`] when they are others.
    pub fn unpack<'a, T: Unpack<'a>>(&'a self) -> Result<T, Error> {
        self.message.unpack()
    }

    /// Answers it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for values that cannot be packed.
    pub fn answer<T: Pack + ?Sized>(self, values: &T) -> Result<(), Error> {
        let payload = Payload::pack(values)?;
        manual::within(self.place, || self.responder.answer(Ok(payload)));
        Ok(())
    }

    /// Fails it.
    pub fn fail(self, error: Error) {
        manual::within(self.place, || self.responder.answer(Err(error)));
    }
}

#[derive(Default)]
struct Inbox(RefCell<VecDeque<Received>>);

struct ProbeService {
    inbox: Rc<Inbox>,
    place: PlaceId,
}

impl Service for ProbeService {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        let received = Received {
            message,
            responder: context.responder(),
            place: self.place,
        };
        self.inbox.0.borrow_mut().push_back(received);
        Answer::none()
    }
}

/// A service that notes what it gets; from [`TestNode::probe`].
pub struct Probe {
    inbox: Rc<Inbox>,
    handle: Handle,
}

impl Probe {
    pub(super) fn launch(node: &TestNode, name: &str) -> Result<Probe, Error> {
        let caller = node.caller();
        let inbox: Rc<Inbox> = Rc::default();
        let shard = &caller.shard;
        let handle = shard.node.next_handle_on(shard.index);
        let simulated = node
            .simulation()
            .world()
            .node(node.simulation().index(&node.name()));
        let place = match &*simulated.life.borrow() {
            Some(life) => life.shards[shard.index].place,
            None => return Err(Error::ShuttingDown),
        };
        manual::within(place, || {
            launch_here(shard, handle, |_| ProbeService {
                inbox: Rc::clone(&inbox),
                place,
            })?;
            match name.strip_prefix('@') {
                Some(name) => caller.cluster().register(name, Some(handle)),
                None => {
                    let name = name.strip_prefix('.').unwrap_or(name);
                    let names = &shard.node.names;
                    names.update(|names| names.name_local(name, handle))
                }
            }
        })?;
        Ok(Probe { inbox, handle })
    }

    /// Its handle.
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// Takes the first message that waits.
    pub fn next(&self) -> Option<Received> {
        self.inbox.0.borrow_mut().pop_front()
    }

    /// How many messages wait.
    pub fn waiting(&self) -> usize {
        self.inbox.0.borrow().len()
    }
}
