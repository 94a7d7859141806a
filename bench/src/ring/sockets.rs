//! Many connections on one io_uring, with a safe interface.
//!
//! Every connection has one receive that stays armed and takes its memory from provided buffers. A turn is one
//! `io_uring_enter`, or a few when it has much to send: it sends what was queued, as far as the sockets take it at once,
//! and waits for something to have come.
//!
//! A connection has no descriptor of the process, which may have few of them, but a place in the ring's table of direct
//! descriptors. Its descriptor is closed as soon as it is in there. The place is free once no operation names it.
//!
//! What makes the unsafe blocks sound: the kernel gets pointers to two kinds of memory only. The buffers and their ring
//! belong to [`Buffers`], which is freed after the last receive has ended, or never. The bytes of a send are those of
//! [`Slot::out`](super::outbox::Slot::out); a send does not wait (`MSG_DONTWAIT`), so it is over when the entry that
//! submits it returns, and nothing touches `out` between the two, which [`Sockets::submit_sends`] holds together.
#![expect(
    unsafe_code,
    reason = "the io-uring crate leaves it to its user that memory outlives the operations on it"
)]

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::buffers::Buffers;
use super::direct::{DirectTable, at};
use super::outbox::Outbox;

/// Slots of the submission queue.
const SUBMISSIONS: u32 = 1_024;

/// Slots of the completion queue, as many as there may be. Each connection has at most one completion that is not of a buffer, so as many
/// connections as [`SOCKETS_MAX`] fit; the kernel keeps those of their shutdowns if they do not.
const COMPLETIONS: u32 = 65_536;

/// Most connections of one ring. It may have fewer: as many as its process may open files.
pub(crate) const SOCKETS_MAX: usize = 60_000;

/// Sends of one entry into the kernel.
const SENDS_MAX: usize = 256;

/// Completions that a turn passes on before it sends what they have queued. With all of them the two ends of many
/// connections would work in turns instead of at the same time, at half the rate.
const COMPLETIONS_IN_A_ROW_MAX: usize = 32;

/// Provided buffers, and the size of each.
const BUFFERS: u16 = 256;
const BUFFER_BYTES: usize = 4 << 10;

/// The group of the provided buffers at the ring.
const GROUP: u16 = 0;

/// The operations, in the low bits of a completion's user data; above them is the slot.
const RECEIVE: u64 = 0;
const SEND: u64 = 1;
const POLL: u64 = 2;
const ACCEPT: u64 = 3;
const SHUTDOWN: u64 = 4;
const KIND_BITS: u32 = 3;

/// How long the end of a ring may take.
const CLOSING_TIME_MAX: Duration = Duration::from_secs(10);

/// How long it waits for one completion.
const CLOSING_TURN: Duration = Duration::from_millis(10);

/// What has happened.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// A connection has been accepted.
    Accepted,
    /// Bytes have come.
    Received(usize, &'a [u8]),
    /// A connection has ended.
    Ended(usize),
}

/// Connections on an io_uring of their own.
pub(crate) struct Sockets {
    ring: IoUring,
    buffers: Buffers,
    table: DirectTable,
    pub(crate) outbox: Outbox,
    listener: Option<TcpListener>,
    completed: VecDeque<cqueue::Entry>,
    /// Connections of the sends of an entry that were not sent entirely: how much was.
    unsent: Vec<(usize, i32)>,
    /// An entry has failed: what was to be submitted may still be in the queue, so the kernel is not entered again.
    is_broken: bool,
}

fn user_data(index: usize, kind: u64) -> u64 {
    ((index as u64) << KIND_BITS) | kind
}

impl Sockets {
    /// None yet. There may be as many as the process may open files at this time, and at most [`SOCKETS_MAX`].
    pub(crate) fn new() -> io::Result<Sockets> {
        Sockets::with_places(SOCKETS_MAX)
    }

    fn with_places(most: usize) -> io::Result<Sockets> {
        let ring = IoUring::builder()
            .setup_cqsize(COMPLETIONS)
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .build(SUBMISSIONS)?;
        let buffers = Buffers::new(BUFFERS, BUFFER_BYTES);
        buffers.register(&ring, GROUP)?;
        let table = DirectTable::register(&ring, most)?;
        Ok(Sockets {
            ring,
            buffers,
            table,
            outbox: Outbox::default(),
            listener: None,
            completed: VecDeque::new(),
            unsent: Vec::new(),
            is_broken: false,
        })
    }

    /// Accepts connections from now on.
    pub(crate) fn listen(&mut self, listener: TcpListener) -> io::Result<()> {
        let fd = Fd(listener.as_raw_fd());
        self.listener = Some(listener);
        self.push_accept(fd)
    }

    fn push_accept(&mut self, fd: Fd) -> io::Result<()> {
        let accept = opcode::AcceptMulti::new(fd).build().user_data(ACCEPT);
        // SAFETY: it has no pointer to memory.
        unsafe { self.push(&accept) }
    }

    /// Takes over a connected socket, closes its descriptor, and returns its number.
    pub(crate) fn insert(&mut self, socket: TcpStream) -> io::Result<usize> {
        // Late acknowledgements of single packets would be measured otherwise.
        socket.set_nodelay(true)?;
        let (place, places) = (self.outbox.next(), self.table.places());
        if place >= places {
            return Err(io::Error::other(format!(
                "an io_uring of this process has at most {places} connections: as many as the process may open files \
                 (ulimit -n), and at most {SOCKETS_MAX}"
            )));
        }
        self.table.put(&self.ring, place, &socket)?;
        Ok(self.outbox.insert())
    }

    /// Sends what is queued, waits for at most `wait` until something has come, and passes it to `take`, which may queue.
    pub(crate) fn turn(
        &mut self,
        wait: Duration,
        mut take: impl FnMut(&mut Outbox, Event<'_>),
    ) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("the ring has failed before"));
        }
        self.is_broken = true;
        for index in mem::take(&mut self.outbox.unarmed) {
            self.arm(index)?;
        }
        for index in mem::take(&mut self.outbox.closing) {
            self.shut_down(index)?;
        }
        let has_completed = !self.completed.is_empty();
        self.send(if has_completed { Duration::ZERO } else { wait })?;
        self.is_broken = false;
        for _ in 0..COMPLETIONS_IN_A_ROW_MAX {
            let Some(completion) = self.completed.pop_front() else {
                break;
            };
            self.complete(&completion, &mut take)?;
        }
        Ok(())
    }

    fn arm(&mut self, index: usize) -> io::Result<()> {
        let slot = &mut self.outbox.slots[index];
        if !slot.is_taken || slot.has_ended {
            return Ok(());
        }
        let receive = opcode::RecvMulti::new(at(index), GROUP)
            .build()
            .user_data(user_data(index, RECEIVE));
        slot.is_receiving = true;
        // SAFETY: it writes to provided buffers only.
        unsafe { self.push(&receive) }
    }

    fn shut_down(&mut self, index: usize) -> io::Result<()> {
        let shutdown = opcode::Shutdown::new(at(index), libc::SHUT_RDWR)
            .build()
            .user_data(user_data(index, SHUTDOWN));
        // SAFETY: it has no pointer to memory.
        unsafe { self.push(&shutdown) }
    }

    /// # Safety
    /// The memory that the operation uses must stay as it is until its completion.
    unsafe fn push(&mut self, operation: &squeue::Entry) -> io::Result<()> {
        // SAFETY: the caller's promise.
        if unsafe { self.ring.submission().push(operation) }.is_err() {
            self.ring.submit()?;
            // SAFETY: the same.
            unsafe { self.ring.submission().push(operation) }.map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Sends everything that is listed; the last entry waits.
    fn send(&mut self, wait: Duration) -> io::Result<()> {
        let listed = mem::take(&mut self.outbox.listed);
        let mut parts = listed.chunks(SENDS_MAX).peekable();
        while parts.peek().is_some_and(|part| !part.is_empty()) {
            let part = parts.next().unwrap_or_default();
            let wait = if parts.peek().is_none() {
                wait
            } else {
                Duration::ZERO
            };
            self.submit_sends(part, wait)?;
        }
        if listed.is_empty() {
            self.enter(wait)?;
            self.take_completions();
        }
        let mut listed = listed;
        listed.clear();
        if self.outbox.listed.is_empty() {
            // Its memory is used again.
            self.outbox.listed = listed;
        }
        Ok(())
    }

    /// Makes these sends within one entry.
    fn submit_sends(&mut self, part: &[usize], wait: Duration) -> io::Result<()> {
        // They must fit into the queue together, because an entry must not split them.
        self.ring.submit()?;
        for &index in part {
            let slot = &mut self.outbox.slots[index];
            slot.is_listed = false;
            if !slot.is_open() || slot.out.is_empty() {
                slot.out.clear();
                self.release(index)?;
                continue;
            }
            let send = opcode::Send::new(at(index), slot.out.as_ptr(), slot.out.len() as u32)
                .flags(libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_WAITALL)
                .build()
                .flags(squeue::Flags::SKIP_SUCCESS)
                .user_data(user_data(index, SEND));
            // SAFETY: see the module: `out` is not touched before the entry below has returned.
            unsafe { self.ring.submission().push(&send) }.map_err(io::Error::other)?;
        }
        self.enter(wait)?;
        self.take_completions();
        let unsent = mem::take(&mut self.unsent);
        for &(index, sent) in &unsent {
            self.put_off(index, sent)?;
        }
        for &index in part {
            let slot = &mut self.outbox.slots[index];
            if !slot.is_polling {
                slot.out.clear();
            }
        }
        self.unsent = unsent;
        self.unsent.clear();
        Ok(())
    }

    /// Keeps what a send has not sent until the socket takes more.
    fn put_off(&mut self, index: usize, sent: i32) -> io::Result<()> {
        let slot = &mut self.outbox.slots[index];
        match sent {
            sent @ 0.. => drop(slot.out.drain(..sent as usize)),
            again if again == -libc::EAGAIN || again == -libc::EINTR => {}
            // The receive sees the end too.
            _ => {
                self.outbox.close(index);
                return Ok(());
            }
        }
        let poll = opcode::PollAdd::new(at(index), libc::POLLOUT as u32)
            .build()
            .user_data(user_data(index, POLL));
        slot.is_polling = true;
        // SAFETY: it has no pointer to memory.
        unsafe { self.push(&poll) }
    }

    /// Submits everything, and waits until something has come.
    fn enter(&mut self, wait: Duration) -> io::Result<()> {
        let time_max = Timespec::from(wait);
        let arguments = SubmitArgs::new().timespec(&time_max);
        loop {
            match self.ring.submitter().submit_with_args(1, &arguments) {
                Ok(_) => {}
                Err(error) if matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR)) => {}
                Err(error) => return Err(error),
            }
            // A signal comes before or after the whole submission, not within.
            if self.ring.submission().is_empty() {
                return Ok(());
            }
        }
    }

    fn take_completions(&mut self) {
        let Sockets {
            ring,
            completed,
            unsent,
            ..
        } = self;
        for completion in ring.completion() {
            if completion.user_data() & ((1 << KIND_BITS) - 1) == SEND {
                unsent.push((
                    (completion.user_data() >> KIND_BITS) as usize,
                    completion.result(),
                ));
            } else {
                completed.push_back(completion);
            }
        }
    }

    fn complete(
        &mut self,
        completion: &cqueue::Entry,
        take: &mut impl FnMut(&mut Outbox, Event<'_>),
    ) -> io::Result<()> {
        let index = (completion.user_data() >> KIND_BITS) as usize;
        let kind = completion.user_data() & ((1 << KIND_BITS) - 1);
        let result = completion.result();
        match kind {
            ACCEPT => return self.accepted(completion, take),
            POLL => {
                let slot = &mut self.outbox.slots[index];
                slot.is_polling = false;
                if slot.is_open() && !slot.out.is_empty() {
                    slot.is_listed = true;
                    self.outbox.listed.push(index);
                }
            }
            SHUTDOWN => {
                self.outbox.slots[index].is_closing = false;
                // The peer may have been faster. After anything else the connection would not end.
                if result < 0 && result != -libc::ENOTCONN {
                    return Err(io::Error::from_raw_os_error(-result));
                }
            }
            _ => {
                let slot = &mut self.outbox.slots[index];
                slot.is_receiving = cqueue::more(completion.flags());
                match (result, cqueue::buffer_select(completion.flags())) {
                    (1.., Some(buffer)) => {
                        if !slot.is_receiving {
                            self.outbox.unarmed.push(index);
                        }
                        let bytes = self.buffers.received(buffer, result as usize);
                        take(&mut self.outbox, Event::Received(index, bytes));
                        self.buffers.provide(buffer);
                    }
                    // All buffers are full; they are provided again by now.
                    (failed, _) if failed == -libc::ENOBUFS => {
                        self.outbox.unarmed.push(index);
                    }
                    (_, buffer) => {
                        if let Some(buffer) = buffer {
                            self.buffers.provide(buffer);
                        }
                        slot.is_receiving = false;
                        if slot.is_polling {
                            // The poll ends.
                            self.outbox.close(index);
                        }
                        self.outbox.slots[index].has_ended = true;
                        take(&mut self.outbox, Event::Ended(index));
                    }
                }
            }
        }
        self.release(index)
    }

    /// Frees the place of a connection that has ended, once no operation is in flight.
    fn release(&mut self, index: usize) -> io::Result<()> {
        if self.outbox.release(index) {
            self.table.clear(&self.ring, index)?;
        }
        Ok(())
    }

    fn accepted(
        &mut self,
        completion: &cqueue::Entry,
        take: &mut impl FnMut(&mut Outbox, Event<'_>),
    ) -> io::Result<()> {
        if completion.result() >= 0 {
            // SAFETY: the kernel has just made this descriptor for us.
            let socket = unsafe { OwnedFd::from_raw_fd(completion.result() as RawFd) };
            // The ring ends otherwise.
            if self.listener.is_some() {
                self.insert(TcpStream::from(socket))?;
                take(&mut self.outbox, Event::Accepted);
            }
        }
        if !cqueue::more(completion.flags())
            && let Some(listener) = &self.listener
        {
            let fd = Fd(listener.as_raw_fd());
            self.push_accept(fd)?;
        }
        Ok(())
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        // With the ring's other operations over, the accept is the only one, and it has no memory.
        self.listener = None;
        for index in 0..self.outbox.slots.len() {
            self.outbox.close(index);
        }
        let began = Instant::now();
        while began.elapsed() < CLOSING_TIME_MAX {
            let is_receiving = self.outbox.slots.iter().any(|slot| slot.is_receiving);
            if !is_receiving {
                let _ = self.ring.submitter().unregister_buf_ring(GROUP);
                // SAFETY: no receive is in flight, and the ring takes no operation after this.
                unsafe { self.buffers.free() };
                let _ = self.table.unregister(&self.ring);
                return;
            }
            if self.turn(CLOSING_TURN, |_, _| {}).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
