//! Connections: each has two streams of bytes, which arrive late, in pieces, or not at all.
//!
//! A buffer of bounded size takes the bytes that a side writes, as a kernel does; they count as transmitted from
//! then on. Bytes in such a buffer may be lost when the connection is cut, from any byte on.

use std::io::IoSlice;

use bytes::{Bytes, BytesMut};
use skyring_codec::Millis;

use super::clock::{Clock, Event};
use super::frames::{Frames, MessageKind};
use super::ledger::Process;

/// No bytes pass until the disturbance ends.
pub(super) const FOREVER: Millis = Millis::MAX;

/// A side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Dialler,
    Acceptor,
}

impl Side {
    pub(super) const BOTH: [Side; 2] = [Side::Dialler, Side::Acceptor];

    pub(super) fn other(self) -> Side {
        match self {
            Side::Dialler => Side::Acceptor,
            Side::Acceptor => Side::Dialler,
        }
    }
}

/// How bytes arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pieces {
    /// All that there are.
    Whole,
    /// Up to so many at a time.
    UpTo(usize),
    /// One at a time.
    Single,
}

/// The result of reading a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Bytes(Bytes),
    /// The stream has ended, or the connection was cut.
    End,
    Nothing,
}

/// One end of a connection.
#[derive(Debug)]
struct End {
    /// Bytes in flight to this side.
    incoming: BytesMut,
    /// The stream ends after them.
    has_ended: bool,
    /// This side sees none of them before this time.
    held_until: Millis,
    /// This side uses the connection.
    is_open: bool,
    /// When the next read is scheduled.
    expected_at: Option<Millis>,
    /// The messages in `incoming`.
    frames: Frames,
    /// The other side waits for capacity to write.
    is_writer_waiting: bool,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) dialler: usize,
    /// The acceptor that reads it.
    pub(super) acceptor: usize,
    /// The processes at its two sides.
    processes: [Process; 2],
    pub(super) latency_ms: Millis,
    pub(super) pieces: Pieces,
    /// The most bytes in flight in one direction.
    buffer_bytes_max: usize,
    ends: [End; 2],
}

impl Connection {
    fn end(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    pub(super) fn process(&self, side: Side) -> Process {
        self.processes[side as usize]
    }

    /// Whether a side uses it.
    pub(super) fn is_open(&self, side: Side) -> bool {
        self.ends[side as usize].is_open
    }

    /// Whether a side uses it.
    pub(super) fn is_alive(&self) -> bool {
        self.ends.iter().any(|end| end.is_open)
    }

    /// Whether it was cut, even if a side has not detected it yet.
    fn is_cut(&self) -> bool {
        self.ends.iter().any(|end| end.has_ended)
    }
}

/// All connections of the run, closed ones included.
#[derive(Debug, Default)]
pub(super) struct Network {
    connections: Vec<Connection>,
}

impl Network {
    pub(super) fn connect(
        &mut self,
        dialler: usize,
        processes: [Process; 2],
        latency_ms: Millis,
        pieces: Pieces,
        buffer_bytes_max: usize,
    ) -> usize {
        let end = || End {
            incoming: BytesMut::new(),
            has_ended: false,
            held_until: 0,
            is_open: true,
            expected_at: None,
            frames: Frames::default(),
            is_writer_waiting: false,
        };
        self.connections.push(Connection {
            dialler,
            acceptor: usize::MAX,
            processes,
            latency_ms,
            pieces,
            buffer_bytes_max,
            ends: [end(), end()],
        });
        self.connections.len() - 1
    }

    pub(super) fn get(&self, id: usize) -> &Connection {
        &self.connections[id]
    }

    pub(super) fn set_acceptor(&mut self, id: usize, acceptor: usize) {
        self.connections[id].acceptor = acceptor;
    }

    /// The connections that satisfy `condition`.
    pub(super) fn select(&self, condition: impl Fn(&Connection) -> bool) -> Vec<usize> {
        let all = self.connections.iter().enumerate();
        all.filter(|(_, connection)| condition(connection))
            .map(|(id, _)| id)
            .collect()
    }

    /// The connections that can be cut.
    pub(super) fn whole(&self) -> Vec<usize> {
        self.select(|connection| connection.is_alive() && !connection.is_cut())
    }

    /// Schedules a read of a side if there is something to read: at `at`, or when its delay ends.
    pub(super) fn expect(&mut self, clock: &mut Clock, id: usize, side: Side, at: Millis) {
        let end = self.connections[id].end(side);
        let is_something = !end.incoming.is_empty() || end.has_ended;
        let at = at.max(end.held_until).max(clock.now());
        // After the end of a delay the read that was scheduled for it is too late.
        let is_late = end.expected_at.is_none_or(|expected| at < expected);
        if end.is_open && is_late && is_something && end.held_until != FOREVER {
            end.expected_at = Some(at);
            clock.schedule(at, Event::Readable { connection: id, side });
        }
    }

    /// Takes bytes that a side writes; returns how many.
    pub(super) fn write(
        &mut self,
        clock: &mut Clock,
        id: usize,
        side: Side,
        slices: &[IoSlice<'_>],
        bytes_max: usize,
        is_native: bool,
    ) -> usize {
        let connection = &mut self.connections[id];
        let (room, latency) = (connection.buffer_bytes_max, connection.latency_ms);
        let other = connection.end(side.other());
        let offered = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if other.has_ended || !other.is_open {
            // The kernel takes them, and they are lost.
            return offered.min(bytes_max);
        }
        let room = room.saturating_sub(other.incoming.len());
        let count = offered.min(room).min(bytes_max);
        let mut rest = count;
        for slice in slices {
            let taken = slice.len().min(rest);
            other.incoming.extend_from_slice(&slice[..taken]);
            rest -= taken;
        }
        other
            .frames
            .write(slices, count, is_native, side == Side::Acceptor);
        other.is_writer_waiting |= count == room;
        let at = clock.now() + latency;
        self.expect(clock, id, side.other(), at);
        count
    }

    /// The scheduled read takes place.
    pub(super) fn begin_read(&mut self, id: usize, side: Side) {
        self.connections[id].end(side).expected_at = None;
    }

    /// Reads up to `bytes_max` bytes that have arrived at a side.
    pub(super) fn read(&mut self, clock: &mut Clock, id: usize, side: Side, bytes_max: usize) -> Read {
        let end = self.connections[id].end(side);
        if !end.is_open || clock.now() < end.held_until {
            self.expect(clock, id, side, 0);
            return Read::Nothing;
        }
        if end.incoming.is_empty() {
            return if end.has_ended { Read::End } else { Read::Nothing };
        }
        let count = end.incoming.len().min(bytes_max);
        let bytes = end.incoming.split_to(count).freeze();
        end.frames.read(count);
        self.wake_writer(clock, id, side);
        Read::Bytes(bytes)
    }

    /// Schedules a write of the other side if it waits for capacity: there is some, or the connection is over.
    fn wake_writer(&mut self, clock: &mut Clock, id: usize, side: Side) {
        if std::mem::take(&mut self.connections[id].end(side).is_writer_waiting) {
            let side = side.other();
            clock.schedule(clock.now(), Event::Writable { connection: id, side });
        }
    }

    /// A side closes: the other one reads what was written and then sees the end. If this side has unread bytes,
    /// the connection is reset, as with TCP: then only `kept_bytes` of what was written arrive.
    pub(super) fn close(&mut self, clock: &mut Clock, id: usize, side: Side, kept_bytes: usize) {
        let connection = &mut self.connections[id];
        let latency = connection.latency_ms;
        let end = connection.end(side);
        if !std::mem::replace(&mut end.is_open, false) {
            return;
        }
        let is_reset = !end.incoming.is_empty();
        end.incoming = BytesMut::new();
        let other = connection.end(side.other());
        if is_reset && !other.has_ended {
            other.incoming.truncate(kept_bytes);
        }
        other.has_ended = true;
        let at = clock.now() + latency;
        self.expect(clock, id, side.other(), at);
        self.wake_writer(clock, id, side);
    }

    /// Cuts a connection: of the bytes in flight to a side `kept_bytes` still arrive, and at `seen` it sees the end.
    pub(super) fn cut(&mut self, clock: &mut Clock, id: usize, side: Side, kept_bytes: usize, seen: Millis) {
        let end = self.connections[id].end(side);
        if !end.has_ended {
            end.incoming.truncate(kept_bytes);
            end.has_ended = true;
        }
        end.held_until = seen;
        self.expect(clock, id, side, seen);
        self.wake_writer(clock, id, side);
    }

    /// A side that has not detected that its connection has ended.
    pub(super) fn unnoticed_end(&self) -> Option<String> {
        let is_unnoticed = |end: &End| end.is_open && end.has_ended;
        let all = self.connections.iter().enumerate();
        let mut unnoticed = all.filter(|(_, connection)| connection.ends.iter().any(is_unnoticed));
        unnoticed
            .next()
            .map(|(id, _)| format!("connection {id} has ended, and a side has not detected it"))
    }

    /// Whether a stall or a silence delays bytes to a side that uses its connection.
    pub(super) fn is_delayed(&self, now: Millis) -> bool {
        let mut ends = self.connections.iter().flat_map(|connection| &connection.ends);
        ends.any(|end| end.is_open && end.held_until > now)
    }

    /// The messages in flight on some connections.
    pub(super) fn in_flight(&self, connections: &[usize]) -> impl Iterator<Item = MessageKind> {
        let ends = connections.iter().flat_map(|id| &self.connections[*id].ends);
        ends.flat_map(|end| end.frames.in_flight())
    }

    /// How many bytes are in flight to a side.
    pub(super) fn incoming_bytes(&self, id: usize, side: Side) -> usize {
        self.connections[id].ends[side as usize].incoming.len()
    }

    /// Delays all bytes to a side until that time.
    pub(super) fn hold(&mut self, id: usize, side: Side, until: Millis) {
        let end = self.connections[id].end(side);
        end.held_until = end.held_until.max(until);
    }

    /// Ends all delays of a connection.
    pub(super) fn end_disturbance(&mut self, clock: &mut Clock, id: usize) {
        for side in Side::BOTH {
            let end = self.connections[id].end(side);
            end.held_until = end.held_until.min(clock.now());
            self.expect(clock, id, side, 0);
        }
    }

    /// The process of a side has ended.
    pub(super) fn forget_side(&mut self, clock: &mut Clock, id: usize, side: Side) {
        let end = self.connections[id].end(side);
        end.is_open = false;
        end.incoming = BytesMut::new();
        self.wake_writer(clock, id, side);
    }
}
