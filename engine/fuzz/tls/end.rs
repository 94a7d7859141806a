//! One end of a fuzzed conversation, and what is on its way to it.

use std::io::IoSlice;

use bytes::BytesMut;

use super::side::Side;

/// The header of a record, whose last two bytes are the length of what follows.
const RECORD_HEADER_BYTES: usize = 5;

/// Pieces of bytes that arrive at a time: many small ones take long, and show nothing else.
const PIECES_MAX: usize = 20;

/// What is sealed at once, at most.
pub(super) const SEALED_MAX: usize = 20_000;

/// What is sealed: no part of it is like another that begins elsewhere.
static PATTERN: [u8; SEALED_MAX + 256] = {
    let mut pattern = [0; SEALED_MAX + 256];
    let mut at = 0;
    while at < pattern.len() {
        pattern[at] = (at ^ (at >> 7)) as u8;
        at += 1;
    }
    pattern
};

/// See the module's page.
pub(super) struct End<S> {
    pub(super) side: S,
    pub(super) on_the_way: Vec<u8>,
    /// What it has sealed, and what has come out of it.
    pub(super) sealed: Vec<u8>,
    pub(super) opened: Vec<u8>,
    /// Whether its handshake resumed an earlier one.
    pub(super) is_resumed: bool,
    /// What comes out at a time, at most.
    room: usize,
    next: u8,
    /// What has come out last.
    out: BytesMut,
    /// So many bytes of what came out are what the other end has sealed.
    compared: usize,
}

impl<S: Side> End<S> {
    pub(super) fn new(side: S, room: usize) -> End<S> {
        End {
            side,
            on_the_way: Vec::new(),
            sealed: Vec::new(),
            opened: Vec::new(),
            is_resumed: false,
            room,
            next: 0,
            out: BytesMut::new(),
            compared: 0,
        }
    }

    /// Seals so many bytes, each time others.
    pub(super) fn seal(&mut self, count: usize) {
        let from = usize::from(self.next);
        let bytes = &PATTERN[from..from + count.min(SEALED_MAX)];
        self.next = self.next.wrapping_add(41);
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let taken = self.side.seal(&[IoSlice::new(first), IoSlice::new(second)]);
        assert!(taken <= bytes.len());
        self.sealed.extend_from_slice(&bytes[..taken]);
    }

    /// What it writes goes on its way, at most so many bytes.
    pub(super) fn write_to<T>(&mut self, other: &mut End<T>, bytes_max: usize) {
        self.side.write(&mut other.on_the_way, bytes_max);
    }

    /// Takes so many bytes: first some in pieces, and then the others at once.
    pub(super) fn take(&mut self, count: usize, piece: usize) {
        let count = count.min(self.on_the_way.len());
        let (first, others) = self
            .on_the_way
            .split_at(count.min(piece.saturating_mul(PIECES_MAX)));
        let others = &others[..count - first.len()];
        let had_fault = self.side.has_fault();
        for mut piece in first.chunks(piece).chain([others]) {
            loop {
                self.out.clear();
                let is_done = self.side.open(&mut piece, &mut self.out, self.room);
                assert!(self.out.len() <= self.room, "more than there is room for");
                assert!(
                    !had_fault || self.out.is_empty(),
                    "something comes out after a fault"
                );
                self.opened.extend_from_slice(&self.out);
                if is_done {
                    break;
                }
            }
        }
        self.on_the_way.drain(..count);
        self.is_resumed |= self.side.note_events();
    }

    /// Whether what has come out, without its first bytes, is a beginning of what the other end has sealed.
    pub(super) fn reads_what_was_sealed<T>(&mut self, other: &End<T>, without: usize) -> bool {
        let opened = self.opened.get(without..).unwrap_or_default();
        let new = &opened[self.compared..];
        let is_so = other.sealed.get(self.compared..opened.len()) == Some(new);
        self.compared = opened.len();
        is_so
    }

    /// Changes one byte of those on their way to it; whether there is one.
    pub(super) fn change(&mut self, argument: u8) -> bool {
        let at = usize::from(argument) * 3;
        match self.on_the_way.get_mut(at) {
            Some(byte) => {
                *byte ^= argument | 1;
                true
            }
            None => false,
        }
    }

    /// Leaves out some bytes on their way to it, or repeats some; whether there are any.
    pub(super) fn leave_out(&mut self, argument: u8) -> bool {
        let length = self.on_the_way.len().min(usize::from(argument) / 2);
        let some: Vec<u8> = self.on_the_way.drain(..length).collect();
        if argument & 1 == 1 {
            self.on_the_way.extend_from_slice(&some);
            self.on_the_way.extend_from_slice(&some);
        }
        length > 0
    }

    /// Leaves out, repeats, swaps or shortens a record on its way to it; whether there is one.
    pub(super) fn rearrange(&mut self, argument: u8) -> bool {
        let mut records = self.records();
        let at = usize::from(argument >> 2);
        if at >= records.len() {
            return false;
        }
        match argument & 3 {
            0 => drop(records.remove(at)),
            1 => records.insert(at, records[at].clone()),
            2 => {
                let next = (at + 1) % records.len();
                records.swap(at, next);
            }
            _ => {
                // Its header tells the truth.
                let record = &mut records[at];
                let length = record.len().saturating_sub(RECORD_HEADER_BYTES) / 2;
                if let Some(header) = record.get_mut(3..RECORD_HEADER_BYTES) {
                    header.copy_from_slice(&(length as u16).to_be_bytes());
                }
                record.truncate(RECORD_HEADER_BYTES + length);
            }
        }
        self.on_the_way = records.concat();
        true
    }

    /// What is on its way, in records.
    fn records(&self) -> Vec<Vec<u8>> {
        let mut rest = &self.on_the_way[..];
        let mut records = Vec::new();
        while !rest.is_empty() {
            let length = match rest.get(3..RECORD_HEADER_BYTES) {
                Some(&[high, low]) => RECORD_HEADER_BYTES + usize::from(u16::from_be_bytes([high, low])),
                _ => rest.len(),
            };
            let (record, after) = rest.split_at(length.min(rest.len()));
            records.push(record.to_vec());
            rest = after;
        }
        records
    }
}
