//! Connections: two streams of bytes each, which arrive late, in pieces, or not at all.
//!
//! What a side writes is taken by a buffer of bounded size, as by a kernel, and counts as transmitted from
//! then on. What lies in such a buffer when the connection is cut may be lost, from any byte on.

use std::io::IoSlice;

use bytes::{Bytes, BytesMut};
use skyring_codec::Millis;

use super::clock::{Clock, Event};
use super::frames::{Frames, MessageKind};
use super::ledger::Process;

/// Nothing passes until somebody says so.
pub(super) const FOR_EVER: Millis = Millis::MAX;

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
    /// As many as there are.
    Whole,
    /// Up to so many at a time.
    UpTo(usize),
    /// One at a time.
    Single,
}

/// What a look at a connection found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Bytes(Bytes),
    /// The stream has ended, or the connection was cut.
    End,
    Nothing,
}

/// What one side has of a connection.
#[derive(Debug)]
struct End {
    /// Bytes that are on their way to this side.
    incoming: BytesMut,
    /// Nothing follows them.
    has_ended: bool,
    /// Nothing of this is seen before.
    held_until: Millis,
    /// This side uses the connection.
    is_open: bool,
    /// When the next look at it is scheduled.
    expected_at: Option<Millis>,
    /// The messages that they carry.
    frames: Frames,
    /// The other side waits for room to write.
    is_awaited: bool,
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
    /// Bytes that lie in one direction at most.
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

    /// Whether that side uses it.
    pub(super) fn is_open(&self, side: Side) -> bool {
        self.ends[side as usize].is_open
    }

    /// Whether something can happen on it.
    pub(super) fn is_alive(&self) -> bool {
        self.ends.iter().any(|end| end.is_open)
    }

    /// Whether it was cut, though a side may not know it yet.
    fn is_cut(&self) -> bool {
        self.ends.iter().any(|end| end.has_ended)
    }
}

/// All connections there have been.
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
            is_awaited: false,
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

    /// Those that can be cut.
    pub(super) fn whole(&self) -> Vec<usize> {
        self.select(|connection| connection.is_alive() && !connection.is_cut())
    }

    /// Has a side look at what came, once there is something; at once, or when it no longer is held up.
    pub(super) fn expect(&mut self, clock: &mut Clock, id: usize, side: Side, at: Millis) {
        let end = self.connections[id].end(side);
        let is_something = !end.incoming.is_empty() || end.has_ended;
        let at = at.max(end.held_until).max(clock.now());
        // What is no longer held up must not wait for a look that was scheduled while it was.
        let is_late = end.expected_at.is_none_or(|expected| at < expected);
        if end.is_open && is_late && is_something && end.held_until != FOR_EVER {
            end.expected_at = Some(at);
            clock.schedule(at, Event::Readable { connection: id, side });
        }
    }

    /// Takes bytes of a side; gives how many.
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
            // The kernel takes them and nobody gets them.
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
        other.is_awaited |= count == room;
        let at = clock.now() + latency;
        self.expect(clock, id, side.other(), at);
        count
    }

    /// The look that was scheduled takes place.
    pub(super) fn begin_read(&mut self, id: usize, side: Side) {
        self.connections[id].end(side).expected_at = None;
    }

    /// Takes up to `bytes_max` bytes that came to a side.
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
        self.let_write(clock, id, side);
        Read::Bytes(bytes)
    }

    /// Tells whoever waits for room to write to a side that there is some, or that no room is needed any more.
    fn let_write(&mut self, clock: &mut Clock, id: usize, side: Side) {
        if std::mem::take(&mut self.connections[id].end(side).is_awaited) {
            let side = side.other();
            clock.schedule(clock.now(), Event::Writable { connection: id, side });
        }
    }

    /// A side closes: the other one sees the end behind what was written. What this side has not read may
    /// cost the other one some of that, as with TCP: then only `kept_bytes` are left.
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
        self.let_write(clock, id, side);
    }

    /// Cuts a connection: of what is on its way to a side so many bytes still arrive, and at its time it
    /// sees the end.
    pub(super) fn cut(&mut self, clock: &mut Clock, id: usize, side: Side, kept_bytes: usize, seen: Millis) {
        let end = self.connections[id].end(side);
        if !end.has_ended {
            end.incoming.truncate(kept_bytes);
            end.has_ended = true;
        }
        end.held_until = seen;
        self.expect(clock, id, side, seen);
        self.let_write(clock, id, side);
    }

    /// A side that uses a connection although it is none any more.
    pub(super) fn end_unseen(&self) -> Option<String> {
        let is_deceived = |end: &End| end.is_open && end.has_ended;
        let all = self.connections.iter().enumerate();
        let mut deceived = all.filter(|(_, connection)| connection.ends.iter().any(is_deceived));
        deceived
            .next()
            .map(|(id, _)| format!("connection {id} has ended, which a side has not seen"))
    }

    /// Whether anything is held up on its way to a side that uses its connection.
    pub(super) fn is_held_up(&self, now: Millis) -> bool {
        let mut ends = self.connections.iter().flat_map(|connection| &connection.ends);
        ends.any(|end| end.is_open && end.held_until > now)
    }

    /// The messages that are on their way on some connections.
    pub(super) fn under_way(&self, connections: &[usize]) -> impl Iterator<Item = MessageKind> {
        let ends = connections.iter().flat_map(|id| &self.connections[*id].ends);
        ends.flat_map(|end| end.frames.under_way())
    }

    /// How many bytes are on their way to a side.
    pub(super) fn incoming_bytes(&self, id: usize, side: Side) -> usize {
        self.connections[id].ends[side as usize].incoming.len()
    }

    /// Lets nothing pass to a side before that time.
    pub(super) fn hold(&mut self, id: usize, side: Side, until: Millis) {
        let end = self.connections[id].end(side);
        end.held_until = end.held_until.max(until);
    }

    /// Lets everything pass again.
    pub(super) fn heal(&mut self, clock: &mut Clock, id: usize) {
        for side in Side::BOTH {
            let end = self.connections[id].end(side);
            end.held_until = end.held_until.min(clock.now());
            self.expect(clock, id, side, 0);
        }
    }

    /// A process is gone: its side of a connection with it.
    pub(super) fn forget_side(&mut self, clock: &mut Clock, id: usize, side: Side) {
        let end = self.connections[id].end(side);
        end.is_open = false;
        end.incoming = BytesMut::new();
        self.let_write(clock, id, side);
    }
}
