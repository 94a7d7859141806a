//! The router of component tests: a room alone, without a node, threads or sockets. What leaves the room is recorded.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::core::ShardCore;
use crate::core::envelope::Envelope;
use crate::core::handle::Handle;
use crate::core::injector::Injector;
use crate::core::jobs::Jobs;
use crate::core::node::NodeShared;
use crate::core::payload::Payload;
use crate::core::request::{Outgoing, RemoteRequest, ReplyTo, Request};
use crate::core::route::Route;
use crate::core::router::Router;
use crate::core::settings::Settings;
use crate::core::socket_event::Delivery;
use crate::core::timers::Timer;
use crate::error::{Error, Text};
use crate::log::Logger;
use crate::rt::{Runtime, manual};

/// What a room has handed on.
pub(crate) enum Handed {
    /// A message for a service.
    Request(Request),
    /// A message for another node.
    Remote(RemoteRequest),
    /// An answer, and for whom it is.
    Reply(ReplyTo, Result<Payload, Error>),
    /// The answer to what a service has posted.
    Answer(Handle, u32, Result<Payload, Error>),
    /// What happened to a socket.
    Event(Delivery),
    /// Something for another shard.
    Staged(usize, Envelope),
    /// A service has ended.
    Ended(Handle),
}

/// Records what a room hands on, and knows the room.
#[derive(Default)]
pub(crate) struct Recorder {
    handed: RefCell<Vec<Handed>>,
    rooms: Vec<Box<dyn Any>>,
    /// The services that the room is told to exist.
    services: RefCell<Vec<Handle>>,
}

impl Router for Recorder {
    fn request(&self, _shard: &Rc<ShardCore>, request: &mut Request) {
        self.record(Handed::Request(request.take()));
    }

    fn request_by_route(&self, _shard: &Rc<ShardCore>, route: &Route, outgoing: Outgoing<'_>) {
        self.record(Handed::Remote(outgoing.into_request(Text::clone(&route.node))));
    }

    fn request_remote(&self, _shard: &Rc<ShardCore>, request: RemoteRequest) {
        self.record(Handed::Remote(request));
    }

    fn reply(&self, _shard: &Rc<ShardCore>, reply_to: ReplyTo, result: Result<Payload, Error>) {
        self.record(Handed::Reply(reply_to, result));
    }

    fn answer_service(
        &self,
        _shard: &Rc<ShardCore>,
        handle: Handle,
        session: u32,
        result: Result<Payload, Error>,
    ) {
        self.record(Handed::Answer(handle, session, result));
    }

    fn deliver_event(&self, _shard: &Rc<ShardCore>, delivery: Delivery) {
        self.record(Handed::Event(delivery));
    }

    fn stage(&self, _shard: &ShardCore, to: usize, envelope: Envelope) -> Result<(), Envelope> {
        self.record(Handed::Staged(to, envelope));
        Ok(())
    }

    fn has_service(&self, handle: Handle) -> bool {
        self.services.borrow().contains(&handle)
    }

    fn service_ended(&self, _shard: &Rc<ShardCore>, handle: Handle) {
        self.record(Handed::Ended(handle));
    }

    fn inbox_depth(&self, _shard: &ShardCore) -> usize {
        0
    }

    fn room(&self, wanted: TypeId) -> Option<&dyn Any> {
        self.rooms
            .iter()
            .map(|room| &**room)
            .find(|room| (**room).type_id() == wanted)
    }
}

impl Recorder {
    fn record(&self, handed: Handed) {
        self.handed.borrow_mut().push(handed);
    }
}

/// A shard with one room of a node, for a test.
pub(crate) struct Component {
    pub(crate) shard: Rc<ShardCore>,
    recorder: Rc<ShardCore<Recorder>>,
}

impl Component {
    /// The first of so many shards of a node with these settings, with the room that `make_room` makes. Its thread runs
    /// on the manual runtime from now on, and its time begins at 0.
    pub(crate) fn new<T: Any>(
        shards: usize,
        settings: Settings,
        make_room: impl FnOnce(&NodeShared) -> T,
    ) -> Component {
        manual::enter();
        let injectors = (0..shards)
            .map(|_| Injector::new(Runtime::Manual).expect("a descriptor for a doorbell"))
            .collect();
        let node = NodeShared::new(injectors, settings, Logger::disabled(), Jobs::disabled(), 1_024);
        let room: Box<dyn Any> = Box::new(make_room(&node));
        let recorder = ShardCore::new(
            0,
            node.into(),
            Recorder {
                rooms: vec![room],
                ..Recorder::default()
            },
        );
        let shard: Rc<ShardCore> = Rc::clone(&recorder) as _;
        Component { shard, recorder }
    }

    /// Takes what the room has handed on since it was asked last.
    pub(crate) fn handed(&self) -> Vec<Handed> {
        self.recorder.router.handed.take()
    }

    /// Has a service of this shard exist, as far as the room can tell.
    pub(crate) fn add_service(&self, handle: Handle) {
        self.recorder.router.services.borrow_mut().push(handle);
    }

    /// Writes the output of connections, as the end of a turn does.
    pub(crate) fn end_turn(&self) {
        while let Some(connection) = self.shard.pop_unflushed() {
            connection.flush(&self.shard);
        }
        manual::run();
    }

    /// Lets a millisecond pass; `expire` gets the timers of the shard that go off.
    pub(crate) fn pass_one(&self, mut expire: impl FnMut(&Rc<ShardCore>, Timer)) {
        manual::advance(Duration::from_millis(1));
        let now = self.shard.update_now();
        while let Some(timer) = self.shard.timers.poll(now) {
            expire(&self.shard, timer);
        }
        self.end_turn();
    }
}
