//! Multi-part messages, until they are complete.
//!
//! Invariants: `held_bytes` is the sum of the capacities of all buffers and at most `limits.bytes_max`; a buffer
//! grows only when a part arrives, to at most twice the received bytes and never beyond the declared total; there
//! are at most `limits.messages_max` unfinished messages, discarded ones included.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::Bytes;

use super::ProtocolError;

/// The capacity of the first buffer of a message, unless the message is shorter.
const FIRST_BYTES: usize = 1024;

/// The limits of unfinished messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReassemblyLimits {
    /// Bytes of all unfinished messages together.
    pub(super) bytes_max: usize,
    /// Number of unfinished messages.
    pub(super) messages_max: usize,
}

/// The unfinished messages of one connection, each with an `M` that is returned when it is complete.
#[derive(Debug)]
pub(super) struct Reassembly<M> {
    // The keys are chosen by peers, so this map uses the flooding-resistant hash of the standard library.
    messages: HashMap<u32, Partial<M>>,
    held_bytes: usize,
    limits: ReassemblyLimits,
}

#[derive(Debug)]
struct Partial<M> {
    total: u32,
    buffer: Vec<u8>,
    /// None when the message was refused and its parts are discarded.
    kept: Option<M>,
}

/// The result of a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Appended<M> {
    /// There is no unfinished message of that session.
    Unknown,
    /// More parts follow, or the message was refused before.
    Pending,
    /// The message is complete.
    Complete(M, Bytes),
    /// The parts do not add up to the declared total; the message is refused.
    LengthMismatch {
        kept: M,
        declared: u32,
        /// The length that had arrived when the difference was certain.
        received: usize,
    },
    /// The limit is reached; the message is refused.
    OverLimit { kept: M, declared: u32 },
}

impl<M> Reassembly<M> {
    pub(super) fn new(limits: ReassemblyLimits) -> Self {
        Self {
            messages: HashMap::new(),
            held_bytes: 0,
            limits,
        }
    }

    /// Bytes that the unfinished messages hold.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Memory of the list of unfinished messages in bytes, without their buffers and what an `M` points to.
    pub(super) fn list_bytes(&self) -> usize {
        self.messages.capacity() * (size_of::<(u32, Partial<M>)>() + 1)
    }

    /// How many messages are unfinished.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Frees the memory of the list, if no message is unfinished.
    pub(super) fn release(&mut self) {
        if self.is_empty() {
            self.messages = HashMap::new();
        }
    }

    /// Whether no message is unfinished.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Begins a message. With None for `keep` its parts are discarded.
    pub(super) fn begin(&mut self, session: u32, total: u32, keep: Option<M>) -> Result<(), ProtocolError> {
        let messages = self.messages.len();
        match self.messages.entry(session) {
            Entry::Occupied(_) => Err(ProtocolError::HeadTwice { session }),
            Entry::Vacant(_) if messages >= self.limits.messages_max => Err(ProtocolError::PartialMessages {
                limit: self.limits.messages_max,
            }),
            Entry::Vacant(vacant) => {
                vacant.insert(Partial {
                    total,
                    buffer: Vec::new(),
                    kept: keep,
                });
                Ok(())
            }
        }
    }

    /// Appends a part. After a refusal the further parts are discarded, up to the last.
    pub(super) fn append(&mut self, session: u32, part: &[u8], is_last: bool) -> Appended<M> {
        let Some(partial) = self.messages.get_mut(&session) else {
            return Appended::Unknown;
        };
        let declared = partial.total;
        let received = partial.buffer.len() + part.len();
        let wrong = received > declared as usize || (is_last && received < declared as usize);
        let appended = if partial.kept.is_none() {
            Appended::Pending
        } else if wrong {
            self.held_bytes -= partial.refuse();
            match partial.kept.take() {
                Some(kept) => Appended::LengthMismatch {
                    kept,
                    declared,
                    received,
                },
                None => Appended::Pending,
            }
        } else if !partial.reserve(received, &mut self.held_bytes, self.limits.bytes_max) {
            self.held_bytes -= partial.refuse();
            match partial.kept.take() {
                Some(kept) => Appended::OverLimit { kept, declared },
                None => Appended::Pending,
            }
        } else {
            partial.buffer.extend_from_slice(part);
            Appended::Pending
        };
        if !is_last {
            return appended;
        }
        match self.remove(session) {
            Some((kept, payload)) => Appended::Complete(kept, payload),
            None => appended,
        }
    }

    /// Drops a message; returns it with its bytes unless it was refused.
    pub(super) fn remove(&mut self, session: u32) -> Option<(M, Bytes)> {
        let partial = self.messages.remove(&session)?;
        self.held_bytes -= partial.buffer.capacity();
        Some((partial.kept?, Bytes::from(partial.buffer)))
    }

    /// Drops all messages.
    pub(super) fn clear(&mut self) {
        self.messages = HashMap::new();
        self.held_bytes = 0;
    }
}

impl<M> Partial<M> {
    /// Drops the bytes; returns how many were held.
    fn refuse(&mut self) -> usize {
        std::mem::take(&mut self.buffer).capacity()
    }

    /// Grows the buffer to `needed` bytes in total; false when that would exceed the limit.
    fn reserve(&mut self, needed: usize, held_bytes: &mut usize, bytes_max: usize) -> bool {
        let capacity = self.buffer.capacity();
        if needed <= capacity {
            return true;
        }
        let others = *held_bytes - capacity;
        let wanted = needed.max(capacity * 2).max(FIRST_BYTES).min(self.total as usize);
        // Near the limit there may be capacity for the received bytes, but not for growing ahead.
        let wanted = wanted.min(bytes_max.saturating_sub(others));
        if wanted < needed {
            return false;
        }
        self.buffer.reserve_exact(wanted - self.buffer.len());
        *held_bytes = others + self.buffer.capacity();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reassembly(bytes_max: usize, messages_max: usize) -> Reassembly<()> {
        Reassembly::new(ReassemblyLimits {
            bytes_max,
            messages_max,
        })
    }

    #[test]
    fn a_declared_total_of_4_gb_reserves_nothing() {
        let mut reassembly = reassembly(usize::MAX, 1_000);
        for session in 0..1_000 {
            assert_eq!(reassembly.begin(session, u32::MAX, Some(())), Ok(()));
        }
        assert_eq!(reassembly.held_bytes, 0);
        assert_eq!(reassembly.append(1, b"x", false), Appended::Pending);
        assert_eq!(reassembly.held_bytes, FIRST_BYTES);
    }

    #[test]
    fn a_buffer_holds_at_most_twice_the_received_and_never_more_than_the_declared_bytes() {
        let mut reassembly = reassembly(usize::MAX, 1);
        reassembly.begin(1, 1_000_000, Some(())).expect("the first");
        let mut received = 0;
        while received < 1_000_000 {
            let part = vec![7; 999.min(1_000_000 - received)];
            received += part.len();
            assert_eq!(reassembly.append(1, &part, false), Appended::Pending);
            assert!(reassembly.held_bytes <= (received * 2).max(FIRST_BYTES));
        }
        assert_eq!(reassembly.held_bytes, 1_000_000);
        let Appended::Complete((), payload) = reassembly.append(1, b"", true) else {
            panic!("incomplete")
        };
        assert!(payload == vec![7; 1_000_000]);
        assert_eq!((reassembly.held_bytes, reassembly.is_empty()), (0, true));
    }

    #[test]
    fn held_memory_never_exceeds_the_limit_and_is_freed_completely() {
        // Sizes and sessions come from a fixed linear congruential generator, so that every run is the same.
        let mut reassembly = reassembly(50_000, 40);
        let mut state = 1u32;
        let mut next = |bound: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % bound
        };
        let mut refused = 0;
        for _ in 0..50_000 {
            let session = next(50);
            match next(10) {
                0..=2 => drop(reassembly.begin(session, next(20_000), Some(()))),
                3 => drop(reassembly.begin(session, next(20_000), None)),
                4 => drop(reassembly.remove(session)),
                _ => {
                    let part = vec![0; next(3_000) as usize];
                    let appended = reassembly.append(session, &part, next(4) == 0);
                    refused += usize::from(matches!(appended, Appended::OverLimit { .. }));
                }
            }
            let held: usize = reassembly
                .messages
                .values()
                .map(|partial| partial.buffer.capacity())
                .sum();
            assert_eq!(held, reassembly.held_bytes);
            assert!(held <= 50_000 && reassembly.messages.len() <= 40);
        }
        assert!(refused > 100, "the limit was rarely reached: {refused}");
        for session in 0..50 {
            reassembly.remove(session);
        }
        assert_eq!(reassembly.held_bytes, 0);
    }
}
