//! The bare call loop on glommio: what any engine on that executor can reach at best.
//!
//! At the client there is a task for each caller, which puts its request into the one out-buffer of the connection,
//! leaves its waker in its slot, and compares the reply; a task of its own writes, once for all requests of one pass
//! over the tasks. Frames, callees and buffers are those of [`call_loop`](super::call_loop).

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use futures_lite::future;
use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::{TcpListener, TcpStream};
use glommio::timer::Timer;
use glommio::{LocalExecutorBuilder, Placement, TaskQueueHandle};

use super::call_loop::{Callees, Frame, Received, SILENCE_MAX, TARGET, put_frame, take_frames};
use super::client::{self, value};
use super::launcher::Launcher;
use super::measurement::{PeerError, PeerResult, Settings};
use super::meter::Meter;
use super::peer::Peer;
use crate::cpu::kernel_cpu;
use crate::interrupt::Interrupt;

/// Memory that the executor registers for file I/O, which is not used here.
const IO_MEMORY_BYTES: usize = 64 << 10;

/// Slots of each submission queue.
const RING_DEPTH: usize = 256;

/// Time between two checks whether the connection is silent. Its timer also ends a sleep with tasks to run.
const SILENCE_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Listens on a free loopback port, calls `announce` with it, and serves the first connection until it ends.
/// Runs on this thread, pinned to the kernel's processor `cpu`, and spins for `spin` before it sleeps.
///
/// # Errors
/// When there is no executor, no connection, or the connection ends in the middle of a request.
pub(super) fn serve(
    cpu: usize,
    spin: Duration,
    announce: impl FnOnce(SocketAddr) -> io::Result<()>,
) -> io::Result<()> {
    run(cpu, spin, async move {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        announce(listener.local_addr()?)?;
        let mut stream = listener.accept().await?;
        stream.set_nodelay(true)?;
        let callees = Callees::default();
        let (mut received, mut out) = (Received::default(), Vec::new());
        loop {
            let read = poll_fn(|context| Pin::new(&mut stream).poll_read(context, received.space())).await?;
            if read == 0 {
                return if received.is_empty() {
                    Ok(())
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
            let used = callees.answer(received.add_read(read), &mut out)?;
            received.consume(used);
            let mut written = 0;
            while let Some(left @ [_, ..]) = out.get(written..) {
                written += poll_fn(|context| Pin::new(&mut stream).poll_write(context, left)).await?;
            }
            out.clear();
        }
    })
}

pub(super) fn measure(
    settings: &Settings,
    launcher: &Launcher,
    interrupt: &Interrupt,
) -> Result<PeerResult, PeerError> {
    // Looked up before the client's thread may use one only.
    let cpu = kernel_cpu(settings.client_cpu)?;
    client::measure(
        Peer::Glommio,
        settings,
        launcher,
        interrupt,
        move |address, settings, meter| {
            let client = Client::new(settings.in_flight, meter);
            call(&client, address, cpu, settings).map_err(PeerError::client)?;
            client.meter.borrow().finish()
        },
    )
}

/// Keeps calls in flight from this thread, pinned to the kernel's processor `cpu`, until the measured time is over.
///
/// # Errors
/// When there is no executor, the connection ends, or nothing is received for [`SILENCE_MAX`].
fn call(client: &Rc<Client>, address: SocketAddr, cpu: usize, settings: &Settings) -> io::Result<()> {
    run(cpu, settings.spin, async move {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream = Rc::new(RefCell::new(stream));
        let payload: Rc<[u8]> = value(settings).into();
        for session in 0..settings.in_flight as u32 {
            spawn(caller(Rc::clone(client), session, Rc::clone(&payload)));
        }
        spawn(write(Rc::clone(client), Rc::clone(&stream)));
        spawn(end_silence(Rc::clone(client)));
        let outcome = future::or(client.ended(), client.read(&stream)).await;
        client.drop_wakers();
        outcome
    })
}

/// What the tasks of a client share.
struct Client {
    /// Requests that wait for the next write.
    out: RefCell<Vec<u8>>,
    /// The task that writes, while it waits for requests.
    writer: RefCell<Option<Waker>>,
    /// One slot for each caller; its index is the session.
    slots: RefCell<Vec<Slot>>,
    replies: Cell<u64>,
    meter: RefCell<Meter>,
    /// Set when the loop is to end.
    outcome: RefCell<Option<io::Result<()>>>,
    /// The task that waits for the outcome.
    ending: RefCell<Option<Waker>>,
}

#[derive(Default)]
struct Slot {
    waker: Option<Waker>,
    reply: Vec<u8>,
    is_answered: bool,
}

impl Client {
    fn new(callers: usize, meter: Meter) -> Rc<Client> {
        Rc::new(Client {
            out: RefCell::default(),
            writer: RefCell::default(),
            slots: RefCell::new((0..callers).map(|_| Slot::default()).collect()),
            replies: Cell::new(0),
            meter: RefCell::new(meter),
            outcome: RefCell::default(),
            ending: RefCell::default(),
        })
    }

    /// Puts a request into the out-buffer, and wakes the task that writes it.
    fn request(&self, session: u32, payload: &[u8]) {
        put_frame(&mut self.out.borrow_mut(), session, TARGET, payload);
        // The task is queued behind the callers that are awake already.
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// Waits for the reply to a caller, and returns whether it is the payload.
    async fn reply(&self, session: u32, payload: &[u8]) -> bool {
        poll_fn(|context| {
            let mut slots = self.slots.borrow_mut();
            match slots.get_mut(session as usize) {
                Some(slot) if slot.is_answered => {
                    slot.is_answered = false;
                    Poll::Ready(*slot.reply == *payload)
                }
                Some(slot) => {
                    slot.waker = Some(context.waker().clone());
                    Poll::Pending
                }
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Reads replies and wakes their callers; returns when the connection ends.
    async fn read(&self, stream: &RefCell<TcpStream>) -> io::Result<()> {
        let mut received = Received::default();
        loop {
            let read =
                poll_fn(|context| Pin::new(&mut *stream.borrow_mut()).poll_read(context, received.space()))
                    .await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let used = take_frames(received.add_read(read), |reply| {
                self.wake(reply);
                Ok(())
            })?;
            received.consume(used);
        }
    }

    fn wake(&self, reply: Frame<'_>) {
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get_mut(reply.session as usize) else {
            return;
        };
        slot.reply.clear();
        slot.reply.extend_from_slice(reply.payload);
        slot.is_answered = true;
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }

    /// Ends the loop.
    fn end(&self, outcome: io::Result<()>) {
        *self.outcome.borrow_mut() = Some(outcome);
        if let Some(ending) = self.ending.take() {
            ending.wake();
        }
    }

    /// Waits until [`end`](Self::end) is called.
    async fn ended(&self) -> io::Result<()> {
        poll_fn(|context| match self.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                *self.ending.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    /// Breaks the cycle of references: a waker holds its task, which holds the client.
    fn drop_wakers(&self) {
        self.slots.borrow_mut().clear();
        drop((self.writer.take(), self.ending.take()));
    }
}

/// Calls until the measured time is over.
async fn caller(client: Rc<Client>, session: u32, payload: Rc<[u8]>) {
    let mut begun = Instant::now();
    loop {
        client.request(session, &payload);
        let is_same = client.reply(session, &payload).await;
        let ended = Instant::now();
        client.replies.set(client.replies.get() + 1);
        let outcome = client.meter.borrow_mut().answered(begun, ended, is_same);
        if let ControlFlow::Break(()) = outcome {
            client.end(Ok(()));
            return;
        }
        begun = ended;
    }
}

/// Writes the requests of the callers, all of them at once.
async fn write(client: Rc<Client>, stream: Rc<RefCell<TcpStream>>) {
    let mut taken = Vec::new();
    loop {
        poll_fn(|context| {
            let mut out = client.out.borrow_mut();
            if out.is_empty() {
                *client.writer.borrow_mut() = Some(context.waker().clone());
                return Poll::Pending;
            }
            std::mem::swap(&mut *out, &mut taken);
            Poll::Ready(())
        })
        .await;
        let mut written = 0;
        while let Some(left @ [_, ..]) = taken.get(written..) {
            let wrote = poll_fn(|context| Pin::new(&mut *stream.borrow_mut()).poll_write(context, left));
            match wrote.await {
                Ok(bytes) => written += bytes,
                // The reader finds the end of the connection too, and reports it.
                Err(_) => return,
            }
        }
        taken.clear();
    }
}

/// Ends the loop when nothing is received.
async fn end_silence(client: Rc<Client>) {
    let (mut replies, mut received) = (0, Instant::now());
    loop {
        Timer::new(SILENCE_CHECK_INTERVAL).await;
        if replies != client.replies.get() {
            (replies, received) = (client.replies.get(), Instant::now());
        }
        if received.elapsed() > SILENCE_MAX {
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
