//! The io_uring of one thread, as a teller of readiness: which sockets have something to read, which take
//! bytes again, whether the doorbell was rung, and whether it is time to wake up.
//!
//! Only polls are given to the ring, so the kernel never holds memory of ours, and a socket that is idle costs
//! none. Reading and writing are plain non-blocking system calls, made when the ring has said that they
//! succeed. A source's readable side is one poll that stays armed and speaks at each arrival; its writable
//! side is armed when somebody waits for it.
//!
//! A wait that has an end sets no timer of its own: setting one and taking it back costs more than the rest of a
//! short sleep. One timer, a descriptor that is polled as well, stands at the earliest end that was asked for, and is set
//! anew when it has gone off or an earlier one comes; so a wait may end before its time, with nothing to show.
//!
//! Invariants: a completion of a source that is gone wakes nobody, because its number was given a new
//! generation; whoever finds nothing to read says so before it waits, and every arrival after that is told.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use io_uring::{IoUring, cqueue};
use rustix::time::Timespec;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use super::operations;

/// Slots of the submission queue. When it is full it is submitted, so no operation is refused.
const SUBMISSIONS_MAX: u32 = 256;

/// Slots of the completion queue; the kernel keeps what does not fit until there is room.
const COMPLETIONS_MAX: u32 = 4096;

/// What the doorbell's completions say they are for.
const DOORBELL: u64 = u64::MAX - 1;

/// The shortest time that the timer is set to.
const TIMER_MIN: Duration = Duration::from_nanos(1);

/// What the timer's completions say they are for.
const TIMER: u64 = u64::MAX - 2;

/// Set in what completions of removed polls say they are for, beside the poll's own mark. Slots stay below 2^31.
const REMOVED: u64 = 1 << 63;

/// Events that make a source readable: bytes, or an end.
const READABLE: u32 = (libc::POLLIN | libc::POLLRDHUP) as u32;

/// After one of these reads go on until the end is seen, because nothing will be told any more.
const ENDED: u32 = (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) as u32;

/// One side of a source.
#[derive(Default)]
struct Side {
    is_armed: bool,
    is_ready: bool,
    waker: Option<Waker>,
}

struct Source {
    fd: RawFd,
    /// Tells this source from others that have used the slot.
    generation: u32,
    is_used: bool,
    /// The other end, or the connection, has ended: it stays readable.
    is_ended: bool,
    read: Side,
    write: Side,
}

impl Source {
    fn side(&mut self, side: Direction) -> &mut Side {
        match side {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }
}

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the source to here.
    Read = 0,
    /// From here to the source.
    Write = 1,
}

/// Names a source at its ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SourceKey {
    slot: u32,
    generation: u32,
}

/// Generations are this many bits, so that one bit of a completion's mark is left for the direction.
const GENERATION_BITS: u32 = 31;

impl SourceKey {
    fn mark(self, direction: Direction) -> u64 {
        u64::from(self.slot) << 32 | u64::from(self.generation) << 1 | direction as u64
    }

    fn from_mark(mark: u64) -> (SourceKey, Direction) {
        let key = SourceKey {
            slot: (mark >> 32) as u32,
            generation: (mark as u32) >> 1,
        };
        let direction = if mark & 1 == 0 {
            Direction::Read
        } else {
            Direction::Write
        };
        (key, direction)
    }
}

/// The ring of one thread, which alone may use it.
pub(super) struct Ring {
    uring: RefCell<IoUring>,
    sources: RefCell<Vec<Source>>,
    free: RefCell<Vec<u32>>,
    doorbell: RawFd,
    timer: OwnedFd,
    /// When the timer goes off, unless it has.
    timer_set: Cell<Option<Instant>>,
    /// Operations that wait to be submitted.
    unsubmitted: Cell<bool>,
    arrived: RefCell<Vec<(u64, i32, u32)>>,
}

/// Sets up a ring with everything that this kernel offers of what makes it fast: one thread submits, and
/// completions are worked out when that thread asks for them (Linux 6.1).
fn set_up() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_cqsize(COMPLETIONS_MAX)
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .build(SUBMISSIONS_MAX)
        .or_else(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => set_up_plain(),
            _ => Err(error),
        })
}

/// The same for older kernels.
fn set_up_plain() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_cqsize(COMPLETIONS_MAX)
        .build(SUBMISSIONS_MAX)
}

/// Asks the kernel for a ring and gives it back at once: an error says why there is none. A kernel that has
/// io_uring, but not all of what is needed here, is [`io::ErrorKind::Unsupported`].
pub(super) fn probe() -> io::Result<()> {
    let uring = set_up()?;
    let parameters = uring.params();
    // Both came before polls that stay armed; the second came with them.
    if parameters.is_feature_ext_arg() && parameters.is_feature_resource_tagging() {
        Ok(())
    } else {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Ring {
    /// A ring for this thread that also listens to the doorbell, a descriptor that outlives it.
    pub(super) fn new(doorbell: RawFd) -> io::Result<Ring> {
        Ring::with(set_up()?, doorbell)
    }

    fn with(uring: IoUring, doorbell: RawFd) -> io::Result<Ring> {
        let ring = Ring {
            uring: RefCell::new(uring),
            sources: RefCell::default(),
            free: RefCell::default(),
            doorbell,
            timer: timerfd_create(
                TimerfdClockId::Monotonic,
                TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
            )?,
            timer_set: Cell::new(None),
            unsubmitted: Cell::new(false),
            arrived: RefCell::default(),
        };
        ring.arm(ring.doorbell, DOORBELL)?;
        ring.arm(ring.timer.as_raw_fd(), TIMER)?;
        Ok(ring)
    }

    fn arm(&self, fd: RawFd, mark: u64) -> io::Result<()> {
        self.push(operations::Operation::Poll {
            fd,
            events: READABLE,
            stays_armed: true,
            mark,
        })
    }

    /// Has the timer go off at that moment, or before.
    fn set_timer(&self, until: Instant) -> io::Result<()> {
        if self.timer_set.get().is_some_and(|set| set <= until) {
            return Ok(());
        }
        // 0 would switch it off. What it had to say before is gone.
        let left = until.saturating_duration_since(Instant::now()).max(TIMER_MIN);
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            },
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        self.timer_set.set(Some(until));
        Ok(())
    }

    fn push(&self, operation: operations::Operation) -> io::Result<()> {
        let mut uring = self.uring.borrow_mut();
        self.unsubmitted.set(true);
        if operations::push(&mut uring, operation) {
            return Ok(());
        }
        uring.submit()?;
        if operations::push(&mut uring, operation) {
            return Ok(());
        }
        Err(io::Error::other("the submission queue does not empty"))
    }

    // ---- sources ----

    /// Takes in a socket, which must stay open until [`remove`](Self::remove).
    pub(super) fn insert(&self, fd: RawFd) -> SourceKey {
        let mut sources = self.sources.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            sources.push(Source {
                fd,
                generation: 0,
                is_used: false,
                is_ended: false,
                read: Side::default(),
                write: Side::default(),
            });
            sources.len() as u32 - 1
        });
        let source = &mut sources[slot as usize];
        source.fd = fd;
        source.is_used = true;
        source.is_ended = false;
        // Whether there is something to read or room to write is found out by trying.
        source.read = Side {
            is_ready: true,
            ..Side::default()
        };
        source.write = Side::default();
        SourceKey {
            slot,
            generation: source.generation,
        }
    }

    /// Lets go of a source; nobody is told of it any more.
    pub(super) fn remove(&self, key: SourceKey) {
        let armed = {
            let mut sources = self.sources.borrow_mut();
            let Some(source) = find(&mut sources, key) else {
                return;
            };
            source.is_used = false;
            source.generation = (source.generation + 1) & ((1 << GENERATION_BITS) - 1);
            source.read.waker = None;
            source.write.waker = None;
            [
                (Direction::Read, source.read.is_armed),
                (Direction::Write, source.write.is_armed),
            ]
        };
        self.free.borrow_mut().push(key.slot);
        for (direction, is_armed) in armed {
            if is_armed {
                self.remove_poll(key.mark(direction));
            }
        }
    }

    /// Disarms a poll. As long as it is armed it holds its file open, whoever has closed the descriptor.
    fn remove_poll(&self, armed: u64) {
        // Fails only with the ring itself.
        let _ = self.push(operations::Operation::Remove {
            armed,
            mark: armed | REMOVED,
        });
    }

    /// Ready when it is worth trying; otherwise whoever asks is woken when it is.
    pub(super) fn poll_ready(
        &self,
        key: SourceKey,
        direction: Direction,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let fd = {
            let mut sources = self.sources.borrow_mut();
            let Some(source) = find(&mut sources, key) else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            let fd = source.fd;
            let side = source.side(direction);
            if side.is_ready {
                return Poll::Ready(Ok(()));
            }
            if !side
                .waker
                .as_ref()
                .is_some_and(|waker| waker.will_wake(context.waker()))
            {
                side.waker = Some(context.waker().clone());
            }
            if side.is_armed {
                return Poll::Pending;
            }
            side.is_armed = true;
            fd
        };
        let armed = self.push(operations::Operation::Poll {
            fd,
            events: match direction {
                Direction::Read => READABLE,
                Direction::Write => libc::POLLOUT as u32,
            },
            stays_armed: direction == Direction::Read,
            mark: key.mark(direction),
        });
        match armed {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Says that all that could be read was read, or that the socket takes nothing now. One that has ended
    /// stays ready, until its end was seen.
    pub(super) fn is_exhausted(&self, key: SourceKey, direction: Direction) {
        let mut sources = self.sources.borrow_mut();
        if let Some(source) = find(&mut sources, key) {
            source.side(direction).is_ready = direction == Direction::Read && source.is_ended;
        }
    }

    // ---- the kernel ----

    /// Whether a look at the kernel's side would bring something, without a system call.
    pub(super) fn has_news(&self) -> bool {
        let mut uring = self.uring.borrow_mut();
        !uring.completion().is_empty() || uring.submission().taskrun()
    }

    /// Submits what waits, if anything does, and takes what has completed.
    pub(super) fn look(&self) -> io::Result<()> {
        let is_asked = self.unsubmitted.get() || self.uring.borrow_mut().submission().taskrun();
        if is_asked {
            self.unsubmitted.set(false);
            ignore_interruption(self.uring.borrow().submit())?;
        }
        self.take()
    }

    /// Submits what waits, sleeps until something completes or that moment has come, and takes what has completed.
    /// May return before, with nothing to show.
    pub(super) fn wait(&self, until: Option<Instant>) -> io::Result<()> {
        if let Some(until) = until {
            self.set_timer(until)?;
        }
        self.unsubmitted.set(false);
        let waited = self.uring.borrow().submit_and_wait(1);
        ignore_interruption(waited)?;
        self.take()
    }

    /// Takes what has completed, and wakes whoever waits for it.
    fn take(&self) -> io::Result<()> {
        let mut arrived = self.arrived.take();
        arrived.extend(
            self.uring
                .borrow_mut()
                .completion()
                .map(|completion| (completion.user_data(), completion.result(), completion.flags())),
        );
        for (mark, result, flags) in arrived.drain(..) {
            match mark {
                DOORBELL => {
                    if !cqueue::more(flags) {
                        self.arm(self.doorbell, DOORBELL)?;
                    }
                }
                TIMER => {
                    self.timer_set.set(None);
                    if !cqueue::more(flags) {
                        self.arm(self.timer.as_raw_fd(), TIMER)?;
                    }
                }
                _ if mark & REMOVED != 0 => {
                    // It was about to speak, and was left armed for that: once more.
                    if result == -libc::EALREADY {
                        self.remove_poll(mark & !REMOVED);
                    }
                }
                _ => self.arrive(mark, result, flags),
            }
        }
        *self.arrived.borrow_mut() = arrived;
        Ok(())
    }

    fn arrive(&self, mark: u64, result: i32, flags: u32) {
        let (key, direction) = SourceKey::from_mark(mark);
        let waker = {
            let mut sources = self.sources.borrow_mut();
            let Some(source) = find(&mut sources, key) else {
                return;
            };
            // A poll that failed is an end too: the next try tells what it is.
            source.is_ended |= result < 0 || result as u32 & ENDED != 0;
            let side = source.side(direction);
            side.is_ready = true;
            side.is_armed = cqueue::more(flags);
            side.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn find(sources: &mut [Source], key: SourceKey) -> Option<&mut Source> {
    sources
        .get_mut(key.slot as usize)
        .filter(|source| source.is_used && source.generation == key.generation)
}

/// A signal and the end of the time are no failures; nor is a completion queue that is full, which is emptied
/// next.
fn ignore_interruption(entered: io::Result<usize>) -> io::Result<()> {
    match entered {
        Ok(_) => Ok(()),
        Err(error) => match error.raw_os_error() {
            Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN) => Ok(()),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::rt::doorbell::Bell;

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

    fn rings(bell: &Bell) -> [Ring; 2] {
        [
            Ring::new(bell.as_raw_fd()).unwrap(),
            Ring::with(set_up_plain().unwrap(), bell.as_raw_fd()).unwrap(),
        ]
    }

    #[test]
    fn every_arrival_is_told_and_so_is_the_end() {
        let bell = Bell::new().unwrap();
        for ring in rings(&bell) {
            let (mut here, mut there) = pair();
            let key = ring.insert(here.as_raw_fd());
            let count = Arc::new(Count::default());
            let waker = Waker::from(Arc::clone(&count));
            let mut context = Context::from_waker(&waker);
            ring.is_exhausted(key, Direction::Read);
            for round in 1..=3 {
                assert!(ring.poll_ready(key, Direction::Read, &mut context).is_pending());
                ring.look().unwrap();
                there.write_all(b"hello").unwrap();
                ring.wait(None).unwrap();
                assert_eq!(count.0.load(Ordering::Relaxed), round);
                assert!(ring.poll_ready(key, Direction::Read, &mut context).is_ready());
                assert_eq!(here.read(&mut [0; 64]).unwrap(), 5);
                ring.is_exhausted(key, Direction::Read);
            }
            // Bytes and the end at once: after the bytes it is still ready.
            there.write_all(b"last").unwrap();
            drop(there);
            ring.wait(Some(Instant::now() + Duration::from_secs(5))).unwrap();
            assert_eq!(here.read(&mut [0; 64]).unwrap(), 4);
            ring.is_exhausted(key, Direction::Read);
            while ring.poll_ready(key, Direction::Read, &mut context).is_pending() {
                ring.wait(Some(Instant::now() + Duration::from_secs(5))).unwrap();
            }
            assert_eq!(here.read(&mut [0; 64]).unwrap(), 0);
            ring.remove(key);
        }
    }

    #[test]
    fn a_removed_source_wakes_nobody_and_its_slot_is_used_again() {
        let bell = Bell::new().unwrap();
        for ring in rings(&bell) {
            let (here, mut there) = pair();
            let key = ring.insert(here.as_raw_fd());
            let count = Arc::new(Count::default());
            let waker = Waker::from(Arc::clone(&count));
            let mut context = Context::from_waker(&waker);
            ring.is_exhausted(key, Direction::Read);
            assert!(ring.poll_ready(key, Direction::Read, &mut context).is_pending());
            ring.look().unwrap();
            ring.remove(key);
            let next = ring.insert(here.as_raw_fd());
            assert_eq!(next.slot, key.slot);
            assert_ne!(next, key);
            there.write_all(b"hello").unwrap();
            ring.wait(Some(Instant::now() + Duration::from_millis(20)))
                .unwrap();
            assert_eq!(count.0.load(Ordering::Relaxed), 0);
            assert!(matches!(
                ring.poll_ready(key, Direction::Read, &mut context),
                Poll::Ready(Err(_))
            ));
        }
    }

    #[test]
    fn more_sources_than_slots_of_the_submission_queue_are_all_armed() {
        let bell = Bell::new().unwrap();
        for ring in rings(&bell) {
            let (here, mut there) = pair();
            let count = Arc::new(Count::default());
            let waker = Waker::from(Arc::clone(&count));
            let mut context = Context::from_waker(&waker);
            let sources = SUBMISSIONS_MAX as usize * 2 + 1;
            for _ in 0..sources {
                let key = ring.insert(here.as_raw_fd());
                ring.is_exhausted(key, Direction::Read);
                assert!(ring.poll_ready(key, Direction::Read, &mut context).is_pending());
            }
            ring.look().unwrap();
            there.write_all(b"hello").unwrap();
            while count.0.load(Ordering::Relaxed) < sources {
                ring.wait(None).unwrap();
            }
        }
    }

    #[test]
    fn a_wait_ends_with_its_time_and_with_the_doorbell() {
        let bell = Bell::new().unwrap();
        for ring in rings(&bell) {
            ring.wait(Some(Instant::now() + Duration::from_millis(5)))
                .unwrap();
            for _ in 0..3 {
                bell.announce();
                let ringing = Arc::clone(&bell);
                let thread = std::thread::spawn(move || ringing.ring());
                ring.wait(None).unwrap();
                thread.join().unwrap();
            }
        }
    }
}
