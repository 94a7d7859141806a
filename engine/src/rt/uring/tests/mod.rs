//! What the ring promises of bytes and of what it holds, with real sockets.

mod bounds;
mod direct;
mod endings;
mod order;

use std::cell::{Cell, RefCell};
use std::io::{IoSlice, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::provided::{BUFFERS, Consumption};
use super::ring::{Ring, SourceKey};
use crate::rt::Runtime;
use crate::rt::doorbell::Bell;
use crate::rt::stream::{Writer, Wrote};

/// How long something may take that happens at once on a machine with nothing else to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Both ways in which the kernel consumes buffers.
const CONSUMPTIONS: [Consumption; 2] = [Consumption::Incremental, Consumption::Whole];

/// Counts wake-ups.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    here.set_nonblocking(true).unwrap();
    (here, listener.accept().unwrap().0)
}

/// A ring with its doorbell.
struct Fixture {
    ring: Ring,
    wakes: Arc<Count>,
    _bell: Arc<Bell>,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture::with_buffers(Consumption::Incremental)
    }

    fn with_buffers(consumption: Consumption) -> Fixture {
        let bell = Bell::new(Runtime::Uring).unwrap();
        Fixture {
            ring: Ring::with_buffers(consumption, &bell).unwrap(),
            wakes: Arc::default(),
            _bell: bell,
        }
    }

    /// A stream of the ring, and the socket at its other end.
    fn stream(&self) -> (SourceKey, TcpStream) {
        let (here, there) = pair();
        (self.adopt(here), there)
    }

    /// The same, and the stream has no descriptor of the process.
    fn direct_stream(&self) -> (SourceKey, TcpStream) {
        let (here, there) = pair();
        let fd = here.as_raw_fd();
        let key = self.adopt(here);
        assert!(self.ring.make_direct(key, fd));
        (key, there)
    }

    fn adopt(&self, socket: TcpStream) -> SourceKey {
        socket.set_nonblocking(true).unwrap();
        let socket = Rc::new(socket);
        self.ring.insert(socket.as_raw_fd(), Some(Rc::clone(&socket)))
    }

    /// One round of an executor, which does not wait for long.
    fn turn(&self) {
        self.ring.poll(true).unwrap();
        self.ring
            .wait(Some(Instant::now() + Duration::from_millis(2)))
            .unwrap();
    }

    /// Turns until it is so.
    fn turn_until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < PATIENCE, "{what} did not happen");
            self.turn();
        }
    }

    /// Asks for bytes of a stream, as its reader does that waits.
    fn asks(&self, key: SourceKey) -> bool {
        let waker = Waker::from(Arc::clone(&self.wakes));
        match self.ring.poll_received(key, &mut Context::from_waker(&waker)) {
            Poll::Ready(ready) => {
                ready.unwrap();
                true
            }
            Poll::Pending => false,
        }
    }

    /// Reads what is there, at most so much, if anything is.
    fn read(&self, key: SourceKey, bytes_max: usize, into: &mut Vec<u8>) -> std::io::Result<usize> {
        self.ring
            .read(key, bytes_max, |bytes| into.extend_from_slice(bytes))
    }

    /// Asserts that no operation is in flight and that no memory is held.
    fn assert_nothing_is_left(&self) {
        // The key of a stream that is removed while it is listed goes at the next entry: even if no operation is in
        // flight then, that entry is still to come.
        self.turn_until("the end of all operations", || {
            self.ring.sources.borrow().used() == 0
                && self.ring.uring.receiving() == 0
                && !self.ring.has_listed()
        });
        assert!(self.ring.uring.provided().are_recycled());
        assert_eq!(self.ring.aside(), 0);
    }
}

/// Has bytes, and notes what becomes of them.
#[derive(Default)]
struct Text {
    bytes: RefCell<Vec<u8>>,
    sent: Cell<usize>,
    /// Bytes of one slice.
    slice: Cell<usize>,
    /// How often the socket took no more.
    full: Cell<usize>,
    failed: Cell<Option<i32>>,
    is_awaited: Cell<bool>,
}

impl Text {
    fn new(bytes: Vec<u8>, slice: usize) -> Rc<Text> {
        let text = Text::default();
        text.bytes.replace(bytes);
        text.slice.set(slice);
        Rc::new(text)
    }

    fn writer(self: &Rc<Self>) -> Rc<dyn Writer> {
        Rc::clone(self) as Rc<dyn Writer>
    }

    fn is_sent(&self) -> bool {
        self.sent.get() == self.bytes.borrow().len()
    }
}

impl Writer for Text {
    fn gather(&self, write: &mut dyn FnMut(&[IoSlice<'_>])) {
        let bytes = self.bytes.borrow();
        let slices: Vec<IoSlice<'_>> = bytes[self.sent.get()..]
            .chunks(self.slice.get())
            .take(Wrote::SLICES_MAX)
            .map(IoSlice::new)
            .collect();
        write(&slices);
    }

    fn wrote(&self, outcome: Wrote) {
        match outcome {
            Wrote::Some { bytes, is_full } => {
                self.sent.set(self.sent.get() + bytes);
                self.full.set(self.full.get() + usize::from(is_full));
            }
            Wrote::Failed(error) => self.failed.set(error.raw_os_error()),
        }
    }

    fn is_awaited(&self) -> bool {
        self.is_awaited.get()
    }
}

/// Numbers that look like none, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

/// Writes as much as the socket takes.
fn fill(socket: &TcpStream, bytes: &[u8]) -> usize {
    socket.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while let Ok(count) = (&*socket).write(&bytes[sent..]) {
        sent += count;
        if sent == bytes.len() {
            break;
        }
    }
    sent
}
