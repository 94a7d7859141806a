//! How a stream sends: what is to be written is looked for just before the kernel is entered, sent by that entry, and
//! known to be sent when it returns.
//!
//! Whoever has bytes for a stream is a [`Writer`] and lists itself. When the kernel is entered anyway, to wait or to
//! look, the ring asks each for its slices and submits a send for each stream with the same entry, while all of them
//! are borrowed. The kernel takes the bytes before the entry returns, as many as the socket has room for, and answers
//! only to a send that has not sent everything. So a round costs one system call, nothing is copied, and no memory is
//! handed over.
//!
//! When a socket takes no more, its writer learns so, and the ring asks again when the socket has room.
//!
//! Invariants: one send of a stream at a time; a writer learns what became of its bytes before it is asked for more;
//! a stream that was shut down asks nobody.

use std::io::{self, IoSlice};
use std::rc::Rc;

use super::marks::{Kind, Mark, SourceKey};
use super::operations::{Completion, Descriptor, Operation, SUBMISSIONS_MAX, WRITABLE};
use super::ring::Ring;
use crate::rt::stream::{Writer, Wrote};

/// Streams that one entry into the kernel writes to; with more there are several entries.
const WRITES_MAX: usize = 32;

/// What a stream has to send.
#[derive(Default)]
pub(super) struct Sending {
    /// Who has bytes: listed, or waiting for room.
    writer: Option<Rc<dyn Writer>>,
    is_listed: bool,
    /// The socket took no more, and is polled.
    is_full: bool,
}

/// One send of an entry into the kernel.
pub(super) struct Write {
    key: SourceKey,
    descriptor: Descriptor,
    writer: Rc<dyn Writer>,
}

/// What becomes of it.
#[derive(Clone, Copy, Default)]
struct Outcome {
    /// Bytes that were to be sent; 0: its writer had none.
    bytes: usize,
    /// The completion of a send that has not sent everything.
    result: Option<i32>,
    /// There were as many slices as one send takes: there may be more.
    is_cut: bool,
}

impl Ring {
    // ---- for the stream ----

    /// Has what the writer has sent when the kernel is entered next, or as soon as the socket takes it.
    pub(super) fn write(&self, key: SourceKey, writer: &Rc<dyn Writer>) {
        let mut sources = self.sources.borrow_mut();
        let Some(source) = sources.open(key) else { return };
        source.sending.writer = Some(Rc::clone(writer));
        if !source.sending.is_listed && !source.sending.is_full {
            source.sending.is_listed = true;
            self.listed.borrow_mut().push(key);
        }
    }

    /// Sends what is listed now, for all streams. An error of the ring itself comes again at the next entry.
    pub(super) fn write_listed(&self) {
        if self.has_listed() {
            let _ = self.enter(0);
        }
    }

    /// Whether this stream is listed.
    pub(super) fn is_listed(&self, key: SourceKey) -> bool {
        let mut sources = self.sources.borrow_mut();
        sources.open(key).is_some_and(|source| source.sending.is_listed)
    }

    /// Asks nobody for bytes of this stream any more.
    pub(super) fn stop_writing(&self, key: SourceKey) {
        let writer = {
            let mut sources = self.sources.borrow_mut();
            sources.live(key).and_then(|source| source.sending.writer.take())
        };
        drop(writer);
    }

    // ---- for the ring ----

    /// Whether anything is listed.
    pub(super) fn has_listed(&self) -> bool {
        !self.listed.borrow().is_empty()
    }

    /// The socket of a stream that waits has room.
    pub(super) fn resume_writing(&self, key: SourceKey) {
        let mut sources = self.sources.borrow_mut();
        let Some(source) = sources.open(key) else { return };
        if std::mem::take(&mut source.sending.is_full)
            && source.sending.writer.is_some()
            && !source.sending.is_listed
        {
            source.sending.is_listed = true;
            self.listed.borrow_mut().push(key);
        }
    }

    /// Submits all that waits, writes of listed streams included, and waits until something has completed if `wanted`
    /// says so. What has completed is in `completed` then.
    pub(super) fn enter(&self, wanted: usize) -> io::Result<()> {
        let mut writes = self.writes.take();
        let entered = loop {
            self.take_listed(&mut writes);
            let is_last = self.listed.borrow().is_empty();
            let entered = self.enter_with(&mut writes, if is_last { wanted } else { 0 });
            if is_last || entered.is_err() {
                break entered;
            }
        };
        self.writes.replace(writes);
        entered
    }

    /// Takes as many listed writes as one entry makes.
    fn take_listed(&self, writes: &mut Vec<Write>) {
        let mut listed = self.listed.borrow_mut();
        if listed.is_empty() {
            return;
        }
        let mut sources = self.sources.borrow_mut();
        let count = listed.len().min(WRITES_MAX);
        for key in listed.drain(..count) {
            let Some(source) = sources.open(key) else { continue };
            source.sending.is_listed = false;
            if let Some(writer) = source.sending.writer.take() {
                let descriptor = source.descriptor;
                writes.push(Write {
                    key,
                    descriptor,
                    writer,
                });
            }
        }
    }

    /// One entry into the kernel that makes these writes.
    fn enter_with(&self, writes: &mut Vec<Write>, wanted: usize) -> io::Result<()> {
        if writes.is_empty() {
            return self.enter_bare(wanted);
        }
        // All writes of an entry must fit into the queue, or their memory would be borrowed for longer than that.
        if self.uring.unsubmitted() + WRITES_MAX > SUBMISSIONS_MAX as usize {
            self.enter_bare(0)?;
        }
        let mut outcomes = [Outcome::default(); WRITES_MAX];
        let entered = self.gather(writes, 0, &mut outcomes, wanted);
        // Of a ring that fails nothing is known; everything that runs on it ends.
        entered?;
        for (write, outcome) in writes.drain(..).zip(outcomes) {
            if outcome.bytes > 0 {
                self.wrote(write, outcome)?;
            }
        }
        Ok(())
    }

    /// Asks the writers from `place` on for their slices, one within the other, so that all are borrowed when the
    /// kernel is entered.
    fn gather(
        &self,
        writes: &[Write],
        place: usize,
        outcomes: &mut [Outcome; WRITES_MAX],
        wanted: usize,
    ) -> io::Result<()> {
        let Some(write) = writes.get(place) else {
            // A stream with more to write, and a task that waits for these writes, go on after them: nothing else may
            // complete for long.
            let goes_on = outcomes.iter().any(|outcome| outcome.is_cut)
                || writes.iter().any(|write| write.writer.is_awaited());
            self.enter_bare(if goes_on { 0 } else { wanted })?;
            self.note_unsent(outcomes);
            return Ok(());
        };
        let mut entered = None;
        write.writer.gather(&mut |slices: &[IoSlice<'_>]| {
            let bytes = slices.iter().map(|slice| slice.len()).sum();
            if bytes == 0 || entered.is_some() {
                return;
            }
            outcomes[place] = Outcome {
                bytes,
                result: None,
                is_cut: slices.len() >= Wrote::SLICES_MAX,
            };
            let mark = Mark::numbered(Kind::Send, place as u32);
            entered = self.uring.send_within(write.descriptor, slices, mark, || {
                self.gather(writes, place + 1, outcomes, wanted)
            });
        });
        match entered {
            Some(entered) => entered,
            None => {
                // Nothing to write, or no room in the queue, which there is.
                outcomes[place].bytes = 0;
                self.gather(writes, place + 1, outcomes, wanted)
            }
        }
    }

    /// Finds the sends of the last entry that have not sent everything.
    fn note_unsent(&self, outcomes: &mut [Outcome; WRITES_MAX]) {
        self.completed.borrow_mut().retain(|completion: &Completion| {
            if completion.mark.kind() != Some(Kind::Send) {
                return true;
            }
            if let Some(outcome) = outcomes.get_mut(completion.mark.key().slot as usize) {
                outcome.result = Some(completion.result);
            }
            false
        });
    }

    /// Says to a writer what became of its bytes, and sees to the rest.
    fn wrote(&self, write: Write, outcome: Outcome) -> io::Result<()> {
        let Write {
            key,
            descriptor,
            writer,
        } = write;
        let (bytes, is_full) = match outcome.result {
            None => (outcome.bytes, false),
            Some(sent @ 0..) => (sent as usize, (sent as usize) < outcome.bytes),
            Some(error) => match -error {
                libc::EAGAIN => (0, true),
                libc::EINTR => (0, false),
                error => {
                    writer.wrote(Wrote::Failed(io::Error::from_raw_os_error(error)));
                    return Ok(());
                }
            },
        };
        let mut polls = false;
        if let Some(source) = self.sources.borrow_mut().open(key) {
            if is_full {
                source.sending.is_full = true;
                source.sending.writer.get_or_insert_with(|| Rc::clone(&writer));
                polls = !std::mem::replace(&mut source.write.is_armed, true);
            } else if (outcome.is_cut || bytes == 0) && !source.sending.is_listed {
                source.sending.is_listed = true;
                source.sending.writer.get_or_insert_with(|| Rc::clone(&writer));
                self.listed.borrow_mut().push(key);
            }
        }
        if polls {
            self.push(Operation::Poll {
                descriptor,
                events: WRITABLE,
                stays_armed: false,
                mark: Mark::new(key, Kind::WritePoll),
            })?;
        }
        writer.wrote(Wrote::Some { bytes, is_full });
        Ok(())
    }
}
