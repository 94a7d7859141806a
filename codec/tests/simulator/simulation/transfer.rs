//! Bytes on their way between links and the network, at both sides: in pieces, and as far as they are taken.

use std::io::IoSlice;

use bytes::Bytes;
use skyring_codec::link::Dialect;

use super::clock::Event;
use super::network::{Pieces, Read, Side};
use super::world::World;

/// Slices of one write.
const SLICES: usize = 16;

/// Bytes that come one by one before a look at something else.
const SINGLE_BYTES_MAX: usize = 400;

/// So many bytes do not come one by one, which would take for ever; only the last of them.
const SINGLE_BACKLOG_BYTES_MAX: usize = 2_000;

impl World {
    /// In how many pieces bytes are read in this turn, and how many bytes each has; None for as many as there
    /// are.
    pub(super) fn pieces(&mut self, connection: usize, side: Side) -> (usize, Option<usize>) {
        let backlog = self.network.incoming_bytes(connection, side);
        match self.network.get(connection).pieces {
            Pieces::Whole => (4, None),
            Pieces::Single if backlog <= SINGLE_BACKLOG_BYTES_MAX => (SINGLE_BYTES_MAX, Some(1)),
            Pieces::Single => (2, Some(backlog / 2)),
            Pieces::UpTo(most) => (2, Some(1 + self.random.below(most as u64) as usize)),
        }
    }

    /// Bytes have come to the accepting side.
    pub(super) fn read_acceptor(&mut self, connection: usize) {
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
            let bytes_max = match (acceptor.link.room(), bytes_each) {
                (_, Some(count)) => count,
                (Some((_, bytes_max)), None) => bytes_max,
                (None, None) => usize::MAX,
            };
            match self
                .network
                .read(&mut self.clock, connection, Side::Acceptor, bytes_max)
            {
                Read::Bytes(bytes) => {
                    match acceptor.link.room() {
                        Some((payload, bytes_max)) if bytes.len() <= bytes_max => {
                            payload.extend_from_slice(&bytes);
                            acceptor.link.receive(Bytes::new());
                        }
                        _ => acceptor.link.receive(bytes),
                    }
                    self.serve(id);
                }
                Read::End => return self.end_acceptor(id, "closed"),
                Read::Nothing => break,
            }
        }
        self.network
            .expect(&mut self.clock, connection, Side::Acceptor, 0);
    }

    /// Writes what the link has, as far as it is taken.
    pub(super) fn flush_acceptor(&mut self, connection: usize) {
        let mut left = self.write_bytes_max();
        let id = self.network.get(connection).acceptor;
        let Some(acceptor) = &mut self.acceptors[id] else {
            return;
        };
        if acceptor.connection != Some(connection) {
            return;
        }
        acceptor.is_flush_scheduled = false;
        let is_native = acceptor.link.dialect() == Dialect::Native;
        while left > 0 {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = acceptor.link.transmit(&mut slices);
            if count == 0 {
                break;
            }
            let slices = &slices[..count];
            let written = self.network.write(
                &mut self.clock,
                connection,
                Side::Acceptor,
                slices,
                left,
                is_native,
            );
            if written == 0 {
                // It is told when there is room.
                return;
            }
            left -= written;
            acceptor.link.transmitted(written);
        }
        if acceptor.link.has_output() {
            acceptor.is_flush_scheduled = true;
            let side = Side::Acceptor;
            self.clock
                .schedule(self.clock.now() + 1, Event::Flush { connection, side });
        }
        // Answers may be what its reading waits for.
        self.read_on(id);
    }

    /// Bytes have come to the dialling side.
    pub(super) fn read_dialler(&mut self, connection: usize) {
        let id = self.network.get(connection).dialler;
        let (pieces, is_single) = self.pieces(connection, Side::Dialler);
        for _ in 0..pieces {
            let Some(dialler) = &mut self.diallers[id] else {
                return;
            };
            if dialler.connection() != Some(connection) {
                return;
            }
            let bytes_max = match (dialler.link.room(), is_single) {
                (_, Some(count)) => count,
                (Some((_, bytes_max)), None) => bytes_max,
                (None, None) => usize::MAX,
            };
            match self
                .network
                .read(&mut self.clock, connection, Side::Dialler, bytes_max)
            {
                Read::Bytes(bytes) => {
                    match dialler.link.room() {
                        Some((payload, bytes_max)) if bytes.len() <= bytes_max => {
                            payload.extend_from_slice(&bytes);
                            dialler.link.receive(Bytes::new());
                        }
                        _ => dialler.link.receive(bytes),
                    }
                    self.take_events(id);
                }
                Read::End => return self.lose_connection(id, "closed"),
                Read::Nothing => break,
            }
        }
        self.network.expect(&mut self.clock, connection, Side::Dialler, 0);
        self.attend(id);
    }

    /// Writes what the link has, as far as it is taken.
    pub(super) fn flush_dialler(&mut self, connection: usize) {
        let id = self.network.get(connection).dialler;
        let most = self.write_bytes_max();
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        if dialler.connection() != Some(connection) {
            return;
        }
        dialler.is_flush_scheduled = false;
        let is_native = dialler.link.dialect() == Some(Dialect::Native);
        let mut left = most;
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = dialler.link.transmit(&mut slices);
            if count == 0 || left == 0 {
                break;
            }
            let slices = &slices[..count];
            let written = self.network.write(
                &mut self.clock,
                connection,
                Side::Dialler,
                slices,
                left,
                is_native,
            );
            if written == 0 {
                // It is told when there is room.
                return;
            }
            left -= written;
            dialler.link.transmitted(written);
            dialler.link.note_progress();
        }
        if dialler.link.has_output() {
            dialler.is_flush_scheduled = true;
            let side = Side::Dialler;
            self.clock
                .schedule(self.clock.now() + 1, Event::Flush { connection, side });
        }
        self.attend(id);
    }

    /// How much the socket takes in this turn.
    pub(super) fn write_bytes_max(&mut self) -> usize {
        if self.random.chance(self.settings.short_writes) {
            1 + self.random.up_to(500) as usize
        } else {
            usize::MAX
        }
    }
}
