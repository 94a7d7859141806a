//! Many connections on one io_uring, with a safe interface.
//!
//! Every connection has one receive that stays armed and takes its memory from provided buffers. A turn is one
//! `io_uring_enter`, or a few when it has much to send: it sends what was queued, as far as the sockets take it at once,
//! and waits for something to have come.
//!
//! What makes the unsafe blocks sound: the kernel gets pointers to two kinds of memory only. The buffers and their ring
//! belong to [`Buffers`], which is freed after the last receive has ended, or never. The bytes of a send are those of
//! [`Slot::out`]; a send does not wait (`MSG_DONTWAIT`), so it is over when the entry that submits it returns, and nothing
//! touches `out` between the two, which [`Sockets::submit_sends`] holds together.
#![expect(
    unsafe_code,
    reason = "the io-uring crate leaves it to its user that memory outlives the operations on it"
)]

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::buffers::Buffers;

/// Slots of the submission queue.
const SUBMISSIONS: u32 = 1_024;

/// Slots of the completion queue, as many as there may be. Each connection has at most one completion that is not of a buffer, so as many
/// connections as [`SOCKETS_MAX`] fit.
const COMPLETIONS: u32 = 65_536;

/// Most connections of one ring.
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
const KIND_BITS: u32 = 2;

/// Turns that the end of a ring may take.
const CLOSING_TURNS_MAX: usize = 1_024;

/// How long one of them may take.
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

/// One connection.
#[derive(Default)]
struct Slot {
    /// `None`: free.
    socket: Option<TcpStream>,
    /// Bytes that wait to be sent.
    out: Vec<u8>,
    is_receiving: bool,
    /// The socket takes no more, and is polled.
    is_polling: bool,
    is_listed: bool,
    /// It has ended, and is free once no operation is in flight.
    has_ended: bool,
}

/// What is to be sent. Every connection that has something is listed once.
#[derive(Default)]
pub(crate) struct Outbox {
    slots: Vec<Slot>,
    listed: Vec<usize>,
    /// Connections whose receive is to be armed.
    unarmed: Vec<usize>,
    free: Vec<usize>,
}

impl Outbox {
    /// The bytes that wait to be sent over a connection, to append to. Those of one that has ended are never sent.
    pub(crate) fn queue(&mut self, index: usize) -> &mut Vec<u8> {
        let slot = &mut self.slots[index];
        if !slot.is_listed && !slot.is_polling && !slot.has_ended {
            slot.is_listed = true;
            self.listed.push(index);
        }
        &mut slot.out
    }

    /// Ends a connection. [`Event::Ended`] follows.
    pub(crate) fn close(&self, index: usize) {
        if let Some(socket) = self.slots.get(index).and_then(|slot| slot.socket.as_ref()) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn insert(&mut self, socket: TcpStream) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        self.slots[index] = Slot {
            socket: Some(socket),
            ..Slot::default()
        };
        self.unarmed.push(index);
        index
    }

    /// Frees the slot of a connection that has ended, once no operation is in flight.
    fn release(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let is_over = slot.has_ended
            && !slot.is_receiving
            && !slot.is_polling
            && !slot.is_listed
            && slot.socket.is_some();
        if is_over {
            *slot = Slot {
                has_ended: true,
                ..Slot::default()
            };
            self.free.push(index);
        }
    }
}

/// Connections on an io_uring of their own.
pub(crate) struct Sockets {
    ring: IoUring,
    buffers: Buffers,
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
    /// None yet.
    pub(crate) fn new() -> io::Result<Sockets> {
        let ring = IoUring::builder()
            .setup_cqsize(COMPLETIONS)
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .build(SUBMISSIONS)?;
        let buffers = Buffers::new(BUFFERS, BUFFER_BYTES);
        buffers.register(&ring, GROUP)?;
        Ok(Sockets {
            ring,
            buffers,
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

    /// Takes over a connected socket, and returns its number.
    pub(crate) fn insert(&mut self, socket: TcpStream) -> io::Result<usize> {
        // Late acknowledgements of single packets would be measured otherwise.
        socket.set_nodelay(true)?;
        if self.outbox.slots.len() - self.outbox.free.len() >= SOCKETS_MAX {
            return Err(io::Error::other(format!(
                "{SOCKETS_MAX} connections are the most"
            )));
        }
        Ok(self.outbox.insert(socket))
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
        let Some(socket) = slot.socket.as_ref().filter(|_| !slot.has_ended) else {
            return Ok(());
        };
        let receive = opcode::RecvMulti::new(Fd(socket.as_raw_fd()), GROUP)
            .build()
            .user_data(user_data(index, RECEIVE));
        slot.is_receiving = true;
        // SAFETY: it writes to provided buffers only.
        unsafe { self.push(&receive) }
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
            let Some(socket) = slot
                .socket
                .as_ref()
                .filter(|_| !slot.has_ended && !slot.out.is_empty())
            else {
                slot.out.clear();
                self.outbox.release(index);
                continue;
            };
            let send = opcode::Send::new(Fd(socket.as_raw_fd()), slot.out.as_ptr(), slot.out.len() as u32)
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
                if let Some(socket) = &slot.socket {
                    let _ = socket.shutdown(Shutdown::Both);
                }
                return Ok(());
            }
        }
        let Some(socket) = &slot.socket else { return Ok(()) };
        let poll = opcode::PollAdd::new(Fd(socket.as_raw_fd()), libc::POLLOUT as u32)
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
                if !slot.has_ended && !slot.out.is_empty() {
                    slot.is_listed = true;
                    self.outbox.listed.push(index);
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
                        slot.has_ended = true;
                        slot.is_receiving = false;
                        if let Some(socket) = &slot.socket {
                            // What is polled ends.
                            let _ = socket.shutdown(Shutdown::Both);
                        }
                        take(&mut self.outbox, Event::Ended(index));
                    }
                }
            }
        }
        self.outbox.release(index);
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
            self.insert(TcpStream::from(socket))?;
            take(&mut self.outbox, Event::Accepted);
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
        for slot in &self.outbox.slots {
            if let Some(socket) = &slot.socket {
                let _ = socket.shutdown(Shutdown::Both);
            }
        }
        for _ in 0..CLOSING_TURNS_MAX {
            let is_receiving = self.outbox.slots.iter().any(|slot| slot.is_receiving);
            if !is_receiving {
                let _ = self.ring.submitter().unregister_buf_ring(GROUP);
                // SAFETY: no receive is in flight, and the ring takes no operation after this.
                unsafe { self.buffers.free() };
                return;
            }
            if self.turn(CLOSING_TURN, |_, _| {}).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::Ipv4Addr;
    use std::thread;
    use std::time::Instant;

    use super::*;

    const TURN: Duration = Duration::from_millis(100);
    const TIME_MAX: Duration = Duration::from_secs(60);

    fn listening() -> (Sockets, std::net::SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut sockets = Sockets::new().unwrap();
        sockets.listen(listener).unwrap();
        (sockets, address)
    }

    /// Turns until `is_over`, and sends back what comes.
    fn echo(sockets: &mut Sockets, mut is_over: impl FnMut(&Event<'_>) -> bool) {
        let began = Instant::now();
        let mut over = false;
        while !over {
            assert!(began.elapsed() < TIME_MAX);
            let turned = sockets.turn(TURN, |outbox, event| {
                over |= is_over(&event);
                if let Event::Received(index, bytes) = event {
                    outbox.queue(index).extend_from_slice(bytes);
                }
            });
            turned.unwrap();
        }
    }

    #[test]
    fn many_connections_get_back_what_they_send_and_their_ends_are_seen() {
        let (mut sockets, address) = listening();
        let clients = 300;
        let talking = thread::spawn(move || {
            let mut all: Vec<TcpStream> = (0..clients)
                .map(|_| TcpStream::connect(address).unwrap())
                .collect();
            for round in 0..3u8 {
                for (number, client) in all.iter_mut().enumerate() {
                    client.write_all(&[number as u8, round, 7]).unwrap();
                }
                for (number, client) in all.iter_mut().enumerate() {
                    let mut back = [0; 3];
                    client.read_exact(&mut back).unwrap();
                    assert_eq!(back, [number as u8, round, 7]);
                }
            }
        });
        let mut ended = 0;
        echo(&mut sockets, |event| {
            ended += usize::from(matches!(event, Event::Ended(_)));
            ended == clients
        });
        talking.join().unwrap();
        // Their places are used again.
        let mut again = TcpStream::connect(address).unwrap();
        again.write_all(b"again").unwrap();
        let mut received = Vec::new();
        echo(&mut sockets, |event| {
            if let Event::Received(index, bytes) = event {
                assert!(*index < clients);
                received.extend_from_slice(bytes);
            }
            received == b"again"
        });
    }

    #[test]
    fn what_a_socket_does_not_take_at_once_is_sent_later_in_order() {
        let (mut sockets, address) = listening();
        let sent: Vec<u8> = (0..16u32 << 20).map(|place| (place % 251) as u8).collect();
        let expected = sent.clone();
        let reader = thread::spawn(move || {
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(b"x").unwrap();
            thread::sleep(Duration::from_millis(50));
            let mut received = vec![0; expected.len()];
            client.read_exact(&mut received).unwrap();
            assert!(received == expected);
        });
        // In pieces, so that some come while the socket is full.
        let mut pieces = sent.chunks(1 << 20);
        let mut client = None;
        let (began, mut has_ended) = (Instant::now(), false);
        while !has_ended {
            assert!(began.elapsed() < TIME_MAX);
            let turned = sockets.turn(TURN, |_, event| match event {
                Event::Received(index, _) => client = Some(index),
                Event::Ended(_) => has_ended = true,
                Event::Accepted => {}
            });
            turned.unwrap();
            if let (Some(index), false) = (client, has_ended) {
                let queued = sockets.outbox.queue(index);
                queued.extend_from_slice(pieces.next().unwrap_or_default());
            }
        }
        reader.join().unwrap();
    }
}
