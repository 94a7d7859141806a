//! Bytes between the links and the network, at both sides: read in pieces, and written as far as the network takes
//! them.

use std::io::IoSlice;

use bytes::Bytes;
use skyring_codec::link::{CalleeLink, CallerLink, Dialect};

use super::clock::{Clock, Event};
use super::network::{Network, Pieces, Read, Side};
use super::world::World;

/// Slices of one write.
const SLICES: usize = 16;

/// Single bytes that are read in one turn.
const SINGLE_BYTES_MAX: usize = 400;

/// A longer backlog is read in larger pieces, and only the rest of it in single bytes: a run must end.
const SINGLE_BACKLOG_BYTES_MAX: usize = 2_000;

/// What both ends of a channel do with bytes.
pub(super) trait Link {
    fn room(&mut self) -> Option<(&mut Vec<u8>, usize)>;
    fn receive(&mut self, chunk: Bytes);
    fn transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize;
    fn transmitted(&mut self, count: usize);
    fn has_output(&self) -> bool;
    fn is_native(&self) -> bool;
}

impl Link for CallerLink {
    fn room(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        self.room()
    }

    fn receive(&mut self, chunk: Bytes) {
        self.receive(chunk);
    }

    fn transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.transmit(slices)
    }

    fn transmitted(&mut self, count: usize) {
        self.transmitted(count);
        self.note_progress();
    }

    fn has_output(&self) -> bool {
        self.has_output()
    }

    fn is_native(&self) -> bool {
        self.dialect() == Some(Dialect::Native)
    }
}

impl Link for CalleeLink {
    fn room(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        self.room()
    }

    fn receive(&mut self, chunk: Bytes) {
        self.receive(chunk);
    }

    fn transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.transmit(slices)
    }

    fn transmitted(&mut self, count: usize) {
        self.transmitted(count);
    }

    fn has_output(&self) -> bool {
        self.has_output()
    }

    fn is_native(&self) -> bool {
        self.dialect() == Dialect::Native
    }
}

/// A copy of the first bytes of a link's output.
pub(super) fn output_of(link: &impl Link, bytes_max: usize) -> Bytes {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let count = link.transmit(&mut slices);
    let bytes = slices[..count].iter().flat_map(|slice| slice.iter().copied());
    bytes.take(bytes_max).collect()
}

/// Reads one piece into a link, in place where it has room.
fn read_piece(
    link: &mut impl Link,
    network: &mut Network,
    clock: &mut Clock,
    (connection, side): (usize, Side),
    bytes_each: Option<usize>,
) -> Read {
    let room = link.room().map(|(_, bytes_max)| bytes_max);
    let bytes_max = bytes_each.or(room).unwrap_or(usize::MAX);
    let read = network.read(clock, connection, side, bytes_max);
    if let Read::Bytes(bytes) = &read {
        match link.room() {
            Some((payload, bytes_max)) if bytes.len() <= bytes_max => {
                payload.extend_from_slice(bytes);
                link.receive(Bytes::new());
            }
            _ => link.receive(bytes.clone()),
        }
    }
    read
}

/// The end of a write.
#[derive(Debug, PartialEq, Eq)]
enum Written {
    /// The network is full: it schedules an event when it has capacity again.
    Full,
    /// Everything is written, or as much as one turn writes.
    Done,
}

/// Writes the output of a link, at most `left` bytes. Schedules the next turn if there is more.
fn write_output(
    link: &mut impl Link,
    network: &mut Network,
    clock: &mut Clock,
    (connection, side): (usize, Side),
    mut left: usize,
    is_flush_scheduled: &mut bool,
) -> Written {
    *is_flush_scheduled = false;
    let is_native = link.is_native();
    while left > 0 {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = link.transmit(&mut slices);
        if count == 0 {
            break;
        }
        let slices = &slices[..count];
        let written = network.write(clock, connection, side, slices, left, is_native);
        if written == 0 {
            return Written::Full;
        }
        left -= written;
        link.transmitted(written);
    }
    if link.has_output() {
        *is_flush_scheduled = true;
        clock.schedule(clock.now() + 1, Event::Flush { connection, side });
    }
    Written::Done
}

impl World {
    /// How many pieces are read in this turn, and how many bytes each has; None for all that there are.
    pub(super) fn pieces(&mut self, connection: usize, side: Side) -> (usize, Option<usize>) {
        let backlog = self.network.incoming_bytes(connection, side);
        match self.network.get(connection).pieces {
            Pieces::Whole => (4, None),
            Pieces::Single if backlog <= SINGLE_BACKLOG_BYTES_MAX => (SINGLE_BYTES_MAX, Some(1)),
            Pieces::Single => (2, Some(backlog / 2)),
            Pieces::UpTo(most) => (2, Some(1 + self.random.below(most as u64) as usize)),
        }
    }

    /// Reads the bytes that have arrived at the accepting side.
    pub(super) fn read_acceptor(&mut self, connection: usize) {
        let at = (connection, Side::Acceptor);
        let (pieces, bytes_each) = self.pieces(connection, Side::Acceptor);
        for _ in 0..pieces {
            let Some(id) = self.acceptor_of(connection) else {
                return;
            };
            let Some(acceptor) = &mut self.acceptors[id] else {
                return;
            };
            if acceptor.is_paused {
                return;
            }
            match read_piece(
                &mut acceptor.link,
                &mut self.network,
                &mut self.clock,
                at,
                bytes_each,
            ) {
                Read::Bytes(_) => self.serve(id),
                Read::End => return self.end_acceptor(id, "closed"),
                Read::Nothing => break,
            }
        }
        self.network
            .expect(&mut self.clock, connection, Side::Acceptor, 0);
    }

    /// Writes the output of the accepting link, as far as the network takes it.
    pub(super) fn flush_acceptor(&mut self, connection: usize) {
        let bytes_max = self.write_bytes_max();
        let id = self.network.get(connection).acceptor;
        let Some(acceptor) = &mut self.acceptors[id] else {
            return;
        };
        if acceptor.connection != Some(connection) {
            return;
        }
        let (network, clock) = (&mut self.network, &mut self.clock);
        let (at, is_scheduled) = ((connection, Side::Acceptor), &mut acceptor.is_flush_scheduled);
        if write_output(&mut acceptor.link, network, clock, at, bytes_max, is_scheduled) == Written::Done {
            // Its reading may have stopped because of the answers that are now written.
            self.read_on(id);
        }
    }

    /// Reads the bytes that have arrived at the dialling side.
    pub(super) fn read_dialler(&mut self, connection: usize) {
        let at = (connection, Side::Dialler);
        let id = self.network.get(connection).dialler;
        let (pieces, bytes_each) = self.pieces(connection, Side::Dialler);
        for _ in 0..pieces {
            let Some(dialler) = &mut self.diallers[id] else {
                return;
            };
            if dialler.connection() != Some(connection) {
                return;
            }
            match read_piece(
                &mut dialler.link,
                &mut self.network,
                &mut self.clock,
                at,
                bytes_each,
            ) {
                Read::Bytes(_) => self.take_events(id),
                Read::End => return self.lose_connection(id, "closed"),
                Read::Nothing => break,
            }
        }
        self.network.expect(&mut self.clock, connection, Side::Dialler, 0);
        self.drive(id);
    }

    /// Writes the output of the dialling link, as far as the network takes it.
    pub(super) fn flush_dialler(&mut self, connection: usize) {
        let id = self.network.get(connection).dialler;
        let bytes_max = self.write_bytes_max();
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        if dialler.connection() != Some(connection) {
            return;
        }
        let (network, clock) = (&mut self.network, &mut self.clock);
        let (at, is_scheduled) = ((connection, Side::Dialler), &mut dialler.is_flush_scheduled);
        if write_output(&mut dialler.link, network, clock, at, bytes_max, is_scheduled) == Written::Done {
            self.drive(id);
        }
    }

    /// How many bytes the socket takes in this turn.
    pub(super) fn write_bytes_max(&mut self) -> usize {
        if self.random.chance(self.settings.short_writes) {
            1 + self.random.up_to(500) as usize
        } else {
            usize::MAX
        }
    }
}
