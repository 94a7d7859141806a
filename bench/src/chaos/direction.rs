//! One direction of a connection: the bytes that were read and wait to be written.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::faults::Faults;

/// Most bytes that wait in one direction of a connection; past them the proxy stops reading from that side.
pub const CHAOS_HELD_BYTES_MAX: usize = 256 << 10;

/// Time between two writes of a trickle.
const TRICKLE_PAUSE: Duration = Duration::from_millis(1);

/// The bytes of one read.
struct Chunk {
    /// When it may be forwarded.
    due: Instant,
    bytes: Vec<u8>,
    /// How many of them are forwarded already.
    forwarded: usize,
}

/// One direction of a connection.
#[derive(Default)]
pub(super) struct Direction {
    chunks: VecDeque<Chunk>,
    /// Bytes that wait.
    held: usize,
    /// When the end of the reading side is to be forwarded, once it has ended.
    end: Option<Instant>,
    is_end_forwarded: bool,
    /// The last write found the writing side full.
    is_blocked: bool,
    /// When the next bytes of a trickle may be forwarded.
    next_trickle: Option<Instant>,
}

impl Direction {
    /// Whether the last write found the writing side full.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Lets it write again.
    pub(super) fn unblock(&mut self) {
        self.is_blocked = false;
    }

    /// Whether its end is forwarded.
    pub(super) fn has_ended(&self) -> bool {
        self.is_end_forwarded
    }

    /// When it has something to forward; `None` = not before an event of a socket.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.is_blocked {
            return None;
        }
        let due = self
            .chunks
            .front()
            .map(|chunk| chunk.due)
            .or(match self.is_end_forwarded {
                true => None,
                false => self.end,
            })?;
        Some(self.next_trickle.map_or(due, |next| due.max(next)))
    }

    pub(super) fn may_read(&self) -> bool {
        self.end.is_none() && self.held < CHAOS_HELD_BYTES_MAX
    }

    pub(super) fn read(&mut self, from: &mut TcpStream, buffer: &mut [u8], due: Instant) -> io::Result<()> {
        match from.read(buffer) {
            Ok(0) => self.end = Some(due),
            Ok(count) => {
                self.held += count;
                self.chunks.push_back(Chunk {
                    due,
                    bytes: buffer[..count].to_vec(),
                    forwarded: 0,
                });
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Forwards the bytes that are due, and returns their number.
    pub(super) fn write(&mut self, to: &mut TcpStream, faults: &Faults, now: Instant) -> io::Result<u64> {
        let mut forwarded = 0;
        while let Some(chunk) = self.chunks.front_mut() {
            let is_early = chunk.due > now || self.next_trickle.is_some_and(|next| next > now);
            if is_early {
                return Ok(forwarded);
            }
            let rest = &chunk.bytes[chunk.forwarded..];
            let count_max = faults
                .trickle_bytes
                .map_or(rest.len(), |most| most.clamp(1, rest.len()));
            match to.write(&rest[..count_max]) {
                Ok(count) => {
                    self.is_blocked = false;
                    self.next_trickle = faults.trickle_bytes.map(|_| now + TRICKLE_PAUSE);
                    chunk.forwarded += count;
                    self.held -= count;
                    forwarded += count as u64;
                    if chunk.forwarded == chunk.bytes.len() {
                        self.chunks.pop_front();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    return Ok(forwarded);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.end.is_some_and(|due| due <= now) && !self.is_end_forwarded {
            self.is_end_forwarded = true;
            // The other side may be gone already.
            let _ = to.shutdown(Shutdown::Write);
        }
        Ok(forwarded)
    }
}
