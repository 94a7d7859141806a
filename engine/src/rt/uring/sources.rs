//! The sockets and other descriptors that a ring knows, each in a slot.
//!
//! The life of a slot: *open* while its stream lives; *closing* from then on until the last of its operations has
//! completed, its socket kept open so that no operation meets another file under its number; then *free*, with a new
//! generation. A completion of a slot that is closing changes nothing but that.

use std::net::TcpStream;
use std::rc::Rc;
use std::task::{Context, Waker};

use super::marks::{Kind, SourceKey};
use super::operations::Descriptor;
use super::receiving::Receiving;
use super::sending::Sending;

/// Where a slot is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Free,
    Open,
    Closing,
}

/// One side that is polled.
#[derive(Default)]
pub(super) struct Side {
    pub(super) is_armed: bool,
    pub(super) is_ready: bool,
    pub(super) waker: Option<Waker>,
}

impl Side {
    /// Has this task woken.
    pub(super) fn wait(&mut self, context: &Context<'_>) {
        set_waker(&mut self.waker, context);
    }
}

/// Notes who is to be woken, unless it is noted already.
pub(super) fn set_waker(place: &mut Option<Waker>, context: &Context<'_>) {
    match place {
        Some(waker) if waker.will_wake(context.waker()) => {}
        _ => *place = Some(context.waker().clone()),
    }
}

/// A descriptor and its operations.
pub(super) struct Source {
    pub(super) descriptor: Descriptor,
    generation: u32,
    stage: Stage,
    /// Keeps the descriptor of a stream open, if it has one of the process.
    socket: Option<Rc<TcpStream>>,
    /// Its readable side is polled, and has ended: it stays readable.
    pub(super) is_ended: bool,
    pub(super) read: Side,
    pub(super) write: Side,
    pub(super) receiving: Receiving,
    pub(super) sending: Sending,
    /// Shutdowns in flight.
    pub(super) shutdowns: u32,
}

impl Source {
    fn is_busy(&self) -> bool {
        self.read.is_armed || self.write.is_armed || self.receiving.is_armed() || self.shutdowns > 0
    }

    /// Another descriptor of the same socket.
    #[cfg(test)]
    pub(super) fn duplicate(&self) -> TcpStream {
        self.socket
            .as_ref()
            .and_then(|socket| socket.try_clone().ok())
            .expect("a stream has a socket")
    }

    pub(super) fn side(&mut self, kind: Kind) -> &mut Side {
        match kind {
            Kind::WritePoll => &mut self.write,
            _ => &mut self.read,
        }
    }
}

/// All slots of a ring.
#[derive(Default)]
pub(super) struct Sources {
    slots: Vec<Source>,
    free: Vec<u32>,
}

impl Sources {
    /// Takes in a descriptor, which stays open until [`close`](Self::close) or, with a socket, until its slot is free.
    pub(super) fn insert(&mut self, descriptor: Descriptor, socket: Option<Rc<TcpStream>>) -> SourceKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Source {
                descriptor,
                generation: 0,
                stage: Stage::Free,
                socket: None,
                is_ended: false,
                read: Side::default(),
                write: Side::default(),
                receiving: Receiving::default(),
                sending: Sending::default(),
                shutdowns: 0,
            });
            self.slots.len() as u32 - 1
        });
        let source = &mut self.slots[slot as usize];
        debug_assert_eq!(source.stage, Stage::Free);
        source.descriptor = descriptor;
        source.stage = Stage::Open;
        source.socket = socket;
        source.is_ended = false;
        // Whether there is something to read is found out by trying.
        source.read = Side {
            is_ready: true,
            ..Side::default()
        };
        source.write = Side::default();
        source.receiving = Receiving::default();
        source.sending = Sending::default();
        source.shutdowns = 0;
        SourceKey {
            slot,
            generation: source.generation,
        }
    }

    /// A source that is open.
    #[inline]
    pub(super) fn open(&mut self, key: SourceKey) -> Option<&mut Source> {
        self.live(key).filter(|source| source.stage == Stage::Open)
    }

    /// A source that is open or closing.
    #[inline]
    pub(super) fn live(&mut self, key: SourceKey) -> Option<&mut Source> {
        self.slots
            .get_mut(key.slot as usize)
            .filter(|source| source.generation == key.generation && source.stage != Stage::Free)
    }

    /// Begins to close a source; [`release`](Self::release) when its operations were cancelled.
    pub(super) fn close(&mut self, key: SourceKey) -> Option<&mut Source> {
        let source = self.open(key)?;
        source.stage = Stage::Closing;
        source.read.waker = None;
        source.write.waker = None;
        Some(source)
    }

    /// Has a source that has no operation in flight be of a slot of the ring's table instead.
    pub(super) fn make_direct(&mut self, key: SourceKey) {
        if let Some(source) = self.open(key) {
            source.descriptor = Descriptor::Direct(key.slot);
            source.socket = None;
        }
    }

    /// Frees the slot of a source that closes, if none of its operations is in flight. Returns its slot of the ring's table,
    /// if it has one, which is to be cleared now.
    #[must_use]
    pub(super) fn release(&mut self, key: SourceKey) -> Option<u32> {
        let source = self.live(key)?;
        if source.stage != Stage::Closing || source.is_busy() {
            return None;
        }
        let direct = match source.descriptor {
            Descriptor::Direct(slot) => Some(slot),
            Descriptor::Process(_) => None,
        };
        source.stage = Stage::Free;
        source.generation = key.next_generation();
        source.socket = None;
        self.free.push(key.slot);
        direct
    }

    /// All that are open.
    pub(super) fn all_open(&self) -> impl Iterator<Item = (SourceKey, &Source)> {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, source)| source.stage == Stage::Open)
            .map(|(slot, source)| {
                let key = SourceKey {
                    slot: slot as u32,
                    generation: source.generation,
                };
                (key, source)
            })
    }

    /// How many slots are not free.
    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
