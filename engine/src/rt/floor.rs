//! The bare call loop on another executor, glommio: what any engine on it can reach at best, to be measured beside
//! Skyring.
//!
//! It does what a call between two processes cannot do without, and nothing else. At the client: a task
//! per caller, which puts its request into the one out-buffer of the connection, leaves its waker in a
//! slab, and looks at the answer; one write for all that one pass over the tasks has put. At the server:
//! every read is taken apart, the callee of each request is looked up in a hash map, and the answers to
//! one read leave with one write. There are no names, no deadlines, no lost connections and no mailboxes.
//!
//! A frame is [`HEADER_BYTES`] of little-endian numbers (length of the payload, session, target), then the
//! payload. The same frames, and the same answering, serve the loop without an executor that the rig
//! compares this one with; hence both are public here.
//!
//! Invariants: one connection a loop; a value is at most [`PAYLOAD_BYTES_MAX`] long; a client that hears
//! nothing for [`SILENCE_MAX`] ends with an error. Only built with the feature `floor`.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream as StdTcpStream};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use glommio::timer::Timer;
use glommio::{LocalExecutorBuilder, Placement, TaskQueueHandle};
use rustc_hash::FxHashMap;
use socket2::SockRef;

use super::notify::Notify;
use super::{guard, sys};

/// Length of what stands before every payload.
pub const HEADER_BYTES: usize = 12;

/// Longest payload.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// A client that has heard nothing for this long gives up.
pub const SILENCE_MAX: Duration = Duration::from_secs(5);

/// The callee that clients of a floor ask.
pub const TARGET: u32 = 17;

/// Callees of a floor's server, so that the look-up has something to look among.
const TARGETS: u32 = 64;

/// Size of the buffers that are read into; they grow to the longest frame.
const READ_BYTES: usize = 256 << 10;

/// Memory that the executor registers for file I/O, which is not used here.
const IO_MEMORY_BYTES: usize = 64 << 10;

/// Slots of each submission queue: as the engine's executors have.
const RING_DEPTH: usize = 256;

/// One frame that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Which call it belongs to.
    pub session: u32,
    /// Whom it is for.
    pub target: u32,
    /// What it carries.
    pub payload: &'a [u8],
}

/// Appends a frame.
pub fn put_frame(out: &mut Vec<u8>, session: u32, target: u32, payload: &[u8]) {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    header[4..8].copy_from_slice(&session.to_le_bytes());
    header[8..].copy_from_slice(&target.to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
}

/// The first frame of `received` and what comes after it; `None` when it is not complete.
///
/// # Errors
/// When the frame says that it is longer than any frame.
pub fn next_frame(received: &[u8]) -> io::Result<Option<(Frame<'_>, &[u8])>> {
    let Some((header, rest)) = received.split_first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let [l0, l1, l2, l3, s0, s1, s2, s3, t0, t1, t2, t3] = *header;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length > PAYLOAD_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long"));
    }
    Ok(rest.split_at_checked(length).map(|(payload, rest)| {
        let (session, target) = (
            u32::from_le_bytes([s0, s1, s2, s3]),
            u32::from_le_bytes([t0, t1, t2, t3]),
        );
        (
            Frame {
                session,
                target,
                payload,
            },
            rest,
        )
    }))
}

/// Answers a payload, for a session, into the out-buffer.
type Callee = fn(&[u8], u32, &mut Vec<u8>);

/// The callees of a floor's server, found by their numbers.
pub struct Callees(FxHashMap<u32, Callee>);

impl Default for Callees {
    fn default() -> Callees {
        fn echo(payload: &[u8], session: u32, out: &mut Vec<u8>) {
            put_frame(out, session, 0, payload);
        }
        Callees((0..TARGETS).map(|target| (target, echo as Callee)).collect())
    }
}

impl Callees {
    /// Answers every complete request of `received` into `out`, and says how many bytes those were.
    ///
    /// # Errors
    /// When a request is too long, or for nobody.
    pub fn answer(&self, received: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        let mut left = received;
        while let Some((request, rest)) = next_frame(left)? {
            let Some(callee) = self.0.get(&request.target) else {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a request is for nobody",
                ));
            };
            callee(request.payload, request.session, out);
            left = rest;
        }
        Ok(received.len() - left.len())
    }
}

/// What was read and not yet used, in memory that is used again.
pub struct Received {
    bytes: Vec<u8>,
    filled: usize,
}

impl Default for Received {
    fn default() -> Received {
        Received {
            bytes: vec![0; READ_BYTES],
            filled: 0,
        }
    }
}

impl Received {
    /// Where the next read goes; never empty.
    pub fn room(&mut self) -> &mut [u8] {
        if self.filled == self.bytes.len() {
            // Full of one frame that is not complete, whose length was checked.
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
        &mut self.bytes[self.filled..]
    }

    /// Counts what was read into the [`room`](Self::room), and gives all that is there.
    pub fn filled(&mut self, read: usize) -> &[u8] {
        self.filled += read;
        &self.bytes[..self.filled]
    }

    /// Appends a copy of what was read elsewhere, and gives all that is there.
    pub fn append(&mut self, read: &[u8]) -> &[u8] {
        let end = self.filled + read.len();
        if end > self.bytes.len() {
            self.bytes.resize(end.next_power_of_two(), 0);
        }
        self.bytes[self.filled..end].copy_from_slice(read);
        self.filled(read.len())
    }

    /// Whether nothing waits for its rest.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Forgets the first bytes.
    pub fn consume(&mut self, used: usize) {
        self.bytes.copy_within(used..self.filled, 0);
        self.filled -= used;
    }
}

/// Serves the one connection that comes first on this thread, pinned to the kernel's processor `cpu`, until
/// the connection ends. Waits for I/O spinning this long before it sleeps.
///
/// # Errors
/// When there is no executor, no connection, or it breaks off in the middle of a request.
pub fn serve(listener: &TcpListener, cpu: usize, spin: Duration) -> io::Result<()> {
    let (socket, _) = listener.accept()?;
    run(cpu, spin, async move {
        let mut stream = adopt(socket)?;
        let callees = Callees::default();
        let (mut received, mut out) = (Received::default(), Vec::new());
        loop {
            let read = poll_fn(|context| Pin::new(&mut stream).poll_read(context, received.room())).await?;
            if read == 0 {
                return if received.is_empty() {
                    Ok(())
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
            let used = callees.answer(received.filled(read), &mut out)?;
            received.consume(used);
            let mut written = 0;
            while let Some(left @ [_, ..]) = out.get(written..) {
                written += poll_fn(|context| Pin::new(&mut stream).poll_write(context, left)).await?;
            }
            out.clear();
        }
    })
}

/// What the tasks of a client share.
struct Client<F> {
    stream: RefCell<TcpStream>,
    /// Requests that wait for the next write.
    out: RefCell<Vec<u8>>,
    written_to: Notify,
    /// One slot for each caller; its index is the session.
    slots: RefCell<Vec<Slot>>,
    answers: Cell<u64>,
    answered: RefCell<F>,
    /// What the end of the connection means; until somebody here wants it, it is a fault.
    ending: RefCell<io::Result<()>>,
}

#[derive(Default)]
struct Slot {
    waker: Option<Waker>,
    answer: Vec<u8>,
    is_answered: bool,
}

/// Keeps `callers` calls of `payload` in flight over `socket`, from this thread, pinned to the kernel's
/// processor `cpu`. `answered` is told when each call began, when it ended, and whether the payload came
/// back as it was, and says when it is enough. Waits for I/O spinning this long before it sleeps.
///
/// # Errors
/// When there is no executor, the connection breaks, or nothing is heard for [`SILENCE_MAX`].
pub fn call<F>(
    socket: StdTcpStream,
    (cpu, spin): (usize, Duration),
    callers: usize,
    payload: Vec<u8>,
    answered: F,
) -> io::Result<()>
where
    F: FnMut(Instant, Instant, bool) -> ControlFlow<()> + 'static,
{
    run(cpu, spin, async move {
        let client = Rc::new(Client {
            stream: RefCell::new(adopt(socket)?),
            out: RefCell::default(),
            written_to: Notify::default(),
            slots: RefCell::new((0..callers).map(|_| Slot::default()).collect()),
            answers: Cell::new(0),
            answered: RefCell::new(answered),
            ending: RefCell::new(Err(io::ErrorKind::UnexpectedEof.into())),
        });
        let payload: Rc<[u8]> = payload.into();
        for session in 0..callers as u32 {
            spawn(caller(Rc::clone(&client), session, Rc::clone(&payload)));
        }
        spawn(write(Rc::clone(&client)));
        spawn(end_silence(Rc::clone(&client)));
        let outcome = client.read().await;
        // The wakers hold the tasks, which hold the slab: the circle is cut here.
        client.slots.borrow_mut().clear();
        outcome
    })
}

impl<F> Client<F> {
    /// Reads until the socket is shut down from here, and wakes the callers.
    async fn read(&self) -> io::Result<()> {
        let mut received = Received::default();
        loop {
            let read = poll_fn(|context| {
                Pin::new(&mut *self.stream.borrow_mut()).poll_read(context, received.room())
            })
            .await?;
            if read == 0 {
                return self.ending.replace(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            let all = received.filled(read);
            let mut left = all;
            while let Some((answer, rest)) = next_frame(left)? {
                self.wake(answer);
                left = rest;
            }
            let used = all.len() - left.len();
            received.consume(used);
        }
    }

    fn wake(&self, answer: Frame<'_>) {
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get_mut(answer.session as usize) else {
            return;
        };
        slot.answer.clear();
        slot.answer.extend_from_slice(answer.payload);
        slot.is_answered = true;
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }

    /// Ends the connection from here, and with it the loop.
    fn end(&self, outcome: io::Result<()>) {
        let _ = self.ending.replace(outcome);
        let _ = SockRef::from(&sys::borrow_glommio_stream(&self.stream.borrow())).shutdown(Shutdown::Both);
    }
}

/// Calls again and again. A future that is never ready stands for the end.
async fn caller<F>(client: Rc<Client<F>>, session: u32, payload: Rc<[u8]>)
where
    F: FnMut(Instant, Instant, bool) -> ControlFlow<()>,
{
    let mut begun = Instant::now();
    loop {
        {
            let mut out = client.out.borrow_mut();
            if out.is_empty() {
                // The task that writes is put behind the callers that are awake already.
                client.written_to.wake();
            }
            put_frame(&mut out, session, TARGET, &payload);
        }
        let is_same = poll_fn(|context| {
            let mut slots = client.slots.borrow_mut();
            match slots.get_mut(session as usize) {
                Some(slot) if slot.is_answered => {
                    slot.is_answered = false;
                    Poll::Ready(*slot.answer == *payload)
                }
                Some(slot) => {
                    slot.waker = Some(context.waker().clone());
                    Poll::Pending
                }
                None => Poll::Pending,
            }
        })
        .await;
        let ended = Instant::now();
        client.answers.set(client.answers.get() + 1);
        if (client.answered.borrow_mut())(begun, ended, is_same).is_break() {
            client.end(Ok(()));
            return;
        }
        begun = ended;
    }
}

/// Writes what the callers have put, all of it at once.
async fn write<F>(client: Rc<Client<F>>) {
    let mut taken = Vec::new();
    loop {
        client.written_to.wait().await;
        std::mem::swap(&mut *client.out.borrow_mut(), &mut taken);
        let mut written = 0;
        while let Some(left @ [_, ..]) = taken.get(written..) {
            let wrote =
                poll_fn(|context| Pin::new(&mut *client.stream.borrow_mut()).poll_write(context, left));
            match wrote.await {
                Ok(bytes) => written += bytes,
                // The reader sees the end of the connection too, and tells it.
                Err(_) => return,
            }
        }
        taken.clear();
    }
}

/// Ends the connection when nothing is heard. Its timer is also what ends a sleep that should not have been.
async fn end_silence<F>(client: Rc<Client<F>>) {
    let (mut answers, mut heard) = (0, Instant::now());
    loop {
        Timer::new(guard::GUARD_TICK).await;
        if answers != client.answers.get() {
            (answers, heard) = (client.answers.get(), Instant::now());
        }
        if heard.elapsed() > SILENCE_MAX {
            client.end(Err(io::ErrorKind::TimedOut.into()));
            return;
        }
    }
}

/// Runs a task after those that are runnable now.
fn spawn(task: impl Future<Output = ()> + 'static) {
    // `spawn_local` would poll it in here at once. The default queue is always there.
    if let Ok(task) = glommio::spawn_local_into(task, TaskQueueHandle::default()) {
        task.detach();
    }
}

fn adopt(socket: StdTcpStream) -> io::Result<TcpStream> {
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(sys::glommio_stream(socket))
}

/// Runs a future on an executor of this thread.
fn run(cpu: usize, spin: Duration, main: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    LocalExecutorBuilder::new(Placement::Fixed(cpu))
        .spin_before_park(spin)
        .io_memory(IO_MEMORY_BYTES)
        .ring_depth(RING_DEPTH)
        .make()
        .map_err(|error| io::Error::other(format!("executor on processor {cpu}: {error}")))?
        .run(main)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_wherever_they_are_cut() {
        let mut bytes = Vec::new();
        let payloads: [&[u8]; 3] = [b"first", b"", &[7; 1_000]];
        for (session, payload) in (0..).zip(payloads) {
            put_frame(&mut bytes, session, TARGET, payload);
        }
        for cut in 0..=bytes.len() {
            let mut received = Received::default();
            let mut found = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                let mut left = received.append(part);
                let all = left.len();
                while let Some((frame, rest)) = next_frame(left).unwrap() {
                    found.push((frame.session, frame.target, frame.payload.to_vec()));
                    left = rest;
                }
                let used = all - left.len();
                received.consume(used);
            }
            assert!(received.is_empty());
            let expected = (0..)
                .zip(payloads)
                .map(|(session, payload)| (session, TARGET, payload.to_vec()));
            assert_eq!(found, expected.collect::<Vec<_>>(), "cut at {cut}");
        }
    }

    #[test]
    fn a_frame_that_says_it_is_too_long_is_an_error() {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&(PAYLOAD_BYTES_MAX as u32 + 1).to_le_bytes());
        assert!(next_frame(&bytes).is_err());
        bytes[..4].copy_from_slice(&(PAYLOAD_BYTES_MAX as u32).to_le_bytes());
        assert_eq!(next_frame(&bytes).unwrap(), None);
    }

    #[test]
    fn a_request_for_nobody_is_an_error() {
        let mut bytes = Vec::new();
        put_frame(&mut bytes, 1, TARGETS, b"value");
        assert!(Callees::default().answer(&bytes, &mut Vec::new()).is_err());
    }

    #[test]
    fn received_bytes_grow_to_the_longest_frame() {
        let mut received = Received::default();
        let mut read = 0;
        while read < READ_BYTES * 3 {
            let room = received.room().len();
            assert!(room > 0);
            read += room;
            assert_eq!(received.filled(room).len(), read);
        }
        received.consume(read);
        assert!(received.is_empty());
    }
}
