//! The io_uring of one thread: it reports what was received, sends what is to be written, and reports which other descriptors
//! have something to read, whether the doorbell was rung, and whether it is time to wake up.
//!
//! What has to do with [receiving](super::receiving) and [sending](super::sending) stands in files of its own. Here is
//! how the kernel is entered, and the readiness of what is no stream: a source's readable side is one poll that
//! stays armed and completes at each arrival; its writable side is armed when a task waits for it.
//!
//! A wait that has an end sets no timer of its own: setting one and taking it back costs more than the rest of a
//! short sleep. One timer is set to the earliest end that was requested, and is set anew when it has gone off or an
//! earlier one comes; so a wait may end before its time, with nothing to show.
//!
//! Invariants: a completion of a source that is closing wakes no task; a reader that finds nothing
//! to read clears the readiness before it waits, and every arrival after that is reported; a ring that is dropped first waits for its receives to end.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

pub(super) use super::marks::SourceKey;
use super::marks::{Kind, Mark};
use super::operations::{Completion, Descriptor, Operation, READABLE, Uring, WRITABLE};
use super::provided::Consumption;
use super::receiving::Received;
use super::sending::Write;
use super::sources::Sources;

/// What the doorbell's completions say they are for.
const DOORBELL: Mark = Mark::numbered(Kind::Own, 0);

/// What the timer's completions say they are for.
const TIMER: Mark = Mark::numbered(Kind::Own, 1);

/// After one of these reads go on until the end is seen, because no further event is reported.
const ENDED: u32 = (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) as u32;

/// Entries into the kernel in which the receives of a ring that is dropped must end.
const CLOSING_TURNS_MAX: usize = 64;

/// How long each of them may take.
const CLOSING_TURN_TIME_MAX: Duration = Duration::from_millis(100);

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the source to here.
    Read,
    /// From here to the source.
    Write,
}

impl Direction {
    fn kind(self) -> Kind {
        match self {
            Direction::Read => Kind::ReadPoll,
            Direction::Write => Kind::WritePoll,
        }
    }
}

/// The ring of one thread, which alone may use it.
pub(super) struct Ring {
    pub(super) uring: Uring,
    pub(super) sources: RefCell<Sources>,
    pub(super) received: RefCell<Received>,
    /// Streams that have something to write.
    pub(super) listed: RefCell<Vec<SourceKey>>,
    /// The writes of one entry; here so that its memory is used again.
    pub(super) writes: RefCell<Vec<Write>>,
    /// What has completed and was not looked at yet.
    pub(super) completed: RefCell<Vec<Completion>>,
    /// Slots of its table of direct descriptors; `None`: it was not asked for.
    pub(super) direct_slots: Cell<Option<u32>>,
    doorbell: RawFd,
    /// When the timer goes off, unless it has.
    timer_set: Cell<Option<Instant>>,
}

/// Asks the kernel for a ring and gives it back at once: an error says why there is none. A kernel that has
/// io_uring, but not all of what is needed here, is [`io::ErrorKind::Unsupported`].
pub(super) fn probe() -> io::Result<()> {
    match Uring::new(Consumption::Incremental) {
        Ok(uring) if uring.can_skip_success() => Ok(()),
        Ok(_) => Err(io::ErrorKind::Unsupported.into()),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Err(io::ErrorKind::Unsupported.into()),
        Err(error) => Err(error),
    }
}

impl Ring {
    /// A ring for this thread that also listens to the doorbell, a descriptor that outlives it.
    pub(super) fn new(doorbell: &impl AsFd) -> io::Result<Ring> {
        Ring::with_buffers(Consumption::Incremental, doorbell)
    }

    /// The same with buffers that are consumed in this way.
    pub(super) fn with_buffers(consumption: Consumption, doorbell: &impl AsFd) -> io::Result<Ring> {
        let ring = Ring {
            uring: Uring::new(consumption)?,
            sources: RefCell::default(),
            received: RefCell::default(),
            listed: RefCell::default(),
            writes: RefCell::default(),
            completed: RefCell::default(),
            direct_slots: Cell::new(None),
            doorbell: doorbell.as_fd().as_raw_fd(),
            timer_set: Cell::new(None),
        };
        ring.listen_to_doorbell()?;
        Ok(ring)
    }

    fn listen_to_doorbell(&self) -> io::Result<()> {
        self.push(Operation::Poll {
            descriptor: Descriptor::Process(self.doorbell),
            events: READABLE,
            stays_armed: true,
            mark: DOORBELL,
        })
    }

    /// Has the timer go off at that moment, or before.
    fn set_timer(&self, until: Instant) -> io::Result<()> {
        let mark = TIMER;
        let set = self.timer_set.get();
        if set.is_some_and(|set| set <= until) {
            return Ok(());
        }
        let after = until.saturating_duration_since(Instant::now());
        self.push(match set {
            None => Operation::Timer { after, mark },
            // When it has gone off meanwhile its completion says so.
            Some(_) => Operation::MoveTimer { after, mark },
        })?;
        self.timer_set.set(Some(until));
        Ok(())
    }

    /// Has an operation submitted with the next entry, or makes one when there is no room.
    pub(super) fn push(&self, operation: Operation) -> io::Result<()> {
        if self.uring.push(operation) {
            return Ok(());
        }
        self.enter_bare(0)?;
        if self.uring.push(operation) {
            return Ok(());
        }
        Err(io::Error::other("the submission queue does not empty"))
    }

    // ---- sources ----

    /// Takes in a descriptor, which must stay open until [`remove`](Self::remove); a socket is kept open as long as
    /// an operation on it is in flight.
    pub(super) fn insert(&self, fd: RawFd, socket: Option<Rc<TcpStream>>) -> SourceKey {
        self.sources.borrow_mut().insert(Descriptor::Process(fd), socket)
    }

    /// Removes a source; no task is woken for it any more.
    pub(super) fn remove(&self, key: SourceKey) {
        let (reads, writes) = {
            let mut sources = self.sources.borrow_mut();
            let Some(source) = sources.close(key) else { return };
            (source.read.is_armed, source.write.is_armed)
        };
        self.stop_writing(key);
        self.close_receiving(key);
        // As long as it is armed a poll holds its file open. Fails only with the ring itself.
        if reads {
            let _ = self.push(Operation::RemovePoll(Mark::new(key, Kind::ReadPoll)));
        }
        if writes {
            let _ = self.push(Operation::RemovePoll(Mark::new(key, Kind::WritePoll)));
        }
        let direct = self.sources.borrow_mut().release(key);
        self.clear_direct(direct);
    }

    /// Ready when it is worth trying; otherwise the task is woken when it is.
    pub(super) fn poll_ready(
        &self,
        key: SourceKey,
        direction: Direction,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let kind = direction.kind();
        let descriptor = {
            let mut sources = self.sources.borrow_mut();
            let Some(source) = sources.open(key) else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            let descriptor = source.descriptor;
            let side = source.side(kind);
            if side.is_ready {
                return Poll::Ready(Ok(()));
            }
            side.wait(context);
            if std::mem::replace(&mut side.is_armed, true) {
                return Poll::Pending;
            }
            descriptor
        };
        let armed = self.push(Operation::Poll {
            descriptor,
            events: match direction {
                Direction::Read => READABLE,
                Direction::Write => WRITABLE,
            },
            stays_armed: direction == Direction::Read,
            mark: Mark::new(key, kind),
        });
        match armed {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Says that all that could be read was read. A source that has ended stays ready, until its end was seen.
    pub(super) fn clear_readable(&self, key: SourceKey) {
        if let Some(source) = self.sources.borrow_mut().open(key) {
            source.read.is_ready = source.is_ended;
        }
    }

    // ---- the kernel ----

    /// Whether a look at the kernel's side would bring something, without a system call.
    pub(super) fn has_completions(&self) -> bool {
        self.uring.has_completions().0 || !self.completed.borrow().is_empty()
    }

    /// Submits what waits, if anything does.
    pub(super) fn submit(&self) -> io::Result<()> {
        if self.has_listed() || self.uring.unsubmitted() > 0 {
            self.enter(0)?;
        }
        Ok(())
    }

    /// Takes what has completed. Enters the kernel only if that may bring something and there is `work`
    /// to go on with: otherwise the wait that comes next does it.
    pub(super) fn poll(&self, has_work: bool) -> io::Result<()> {
        self.set_aside()?;
        if has_work && (self.uring.has_completions().1 || self.has_listed() || self.uring.unsubmitted() > 0) {
            self.enter(0)?;
        } else {
            self.uring.take(&mut self.completed.borrow_mut());
        }
        self.dispatch()
    }

    /// Submits what waits, sleeps until something completes or that moment has come, and takes what has completed.
    /// May return before, with nothing to show.
    pub(super) fn wait(&self, until: Option<Instant>) -> io::Result<()> {
        if let Some(until) = until {
            self.set_timer(until)?;
        }
        self.set_aside()?;
        self.enter(usize::from(!self.has_starved()))?;
        self.dispatch()
    }

    /// Enters the kernel without writes.
    pub(super) fn enter_bare(&self, wanted: usize) -> io::Result<()> {
        self.uring.enter(wanted, &mut self.completed.borrow_mut())
    }

    /// Handles completions, and wakes the tasks that wait for them.
    fn dispatch(&self) -> io::Result<()> {
        let mut completed = self.completed.take();
        for completion in completed.drain(..) {
            self.complete(completion)?;
        }
        // Whatever came while these were looked at is left for the next time, which comes at once.
        let mut later = self.completed.borrow_mut();
        if later.is_empty() {
            *later = completed;
        }
        Ok(())
    }

    fn complete(&self, completion: Completion) -> io::Result<()> {
        let mark = completion.mark;
        if mark.is_cancel() {
            return self.cancel_again(mark.of_operation(), completion.result);
        }
        match mark.kind() {
            Some(Kind::Receive) => self.complete_receive(completion),
            Some(Kind::ReadPoll | Kind::WritePoll) => {
                self.complete_poll(mark, completion.result, completion.has_more);
                Ok(())
            }
            Some(Kind::Own) if mark == DOORBELL && !completion.has_more => self.listen_to_doorbell(),
            Some(Kind::Own) if mark == TIMER => {
                self.timer_set.set(None);
                Ok(())
            }
            Some(Kind::ShutDown) => {
                self.complete_shutdown(mark.key());
                Ok(())
            }
            Some(Kind::Own | Kind::Send) | None => Ok(()),
        }
    }

    /// An operation that was about to complete was left armed for that: once more.
    fn cancel_again(&self, operation: Mark, result: i32) -> io::Result<()> {
        if result != -libc::EALREADY {
            return Ok(());
        }
        match operation.kind() {
            Some(Kind::Receive) => self.push(Operation::Cancel(operation)),
            Some(Kind::ReadPoll | Kind::WritePoll) => self.push(Operation::RemovePoll(operation)),
            _ => Ok(()),
        }
    }

    /// A poll says that its side is ready, or has ended.
    fn complete_poll(&self, mark: Mark, result: i32, has_more: bool) {
        let (key, kind) = (mark.key(), mark.kind().unwrap_or(Kind::ReadPoll));
        let waker = {
            let mut sources = self.sources.borrow_mut();
            let Some(source) = sources.live(key) else { return };
            // A poll that failed is an end too: the next attempt reports it.
            let has_ended = result < 0 || result as u32 & ENDED != 0;
            source.is_ended |= has_ended && kind == Kind::ReadPoll;
            let side = source.side(kind);
            side.is_ready = true;
            side.is_armed = has_more;
            let waker = side.waker.take();
            let direct = sources.release(key);
            drop(sources);
            self.clear_direct(direct);
            waker
        };
        if kind == Kind::WritePoll {
            self.resume_writing(key);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let open: Vec<SourceKey> = self.sources.borrow().all_open().map(|(key, _)| key).collect();
        for key in open {
            self.remove(key);
        }
        for _ in 0..CLOSING_TURNS_MAX {
            if self.uring.receiving() == 0 && self.uring.unsubmitted() == 0 {
                return;
            }
            if self.wait(Some(Instant::now() + CLOSING_TURN_TIME_MAX)).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::super::operations::SUBMISSIONS_MAX;
    use super::*;
    use crate::rt::Runtime;
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

    #[test]
    fn every_arrival_and_the_end_are_reported() {
        let bell = Bell::new(Runtime::Uring).unwrap();
        let ring = Ring::new(&bell).unwrap();
        let (mut here, mut there) = pair();
        let key = ring.insert(here.as_raw_fd(), None);
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        ring.clear_readable(key);
        for round in 1..=3 {
            assert!(ring.poll_ready(key, Direction::Read, &mut context).is_pending());
            ring.poll(true).unwrap();
            there.write_all(b"hello").unwrap();
            ring.wait(None).unwrap();
            assert_eq!(count.0.load(Ordering::Relaxed), round);
            assert!(ring.poll_ready(key, Direction::Read, &mut context).is_ready());
            assert_eq!(here.read(&mut [0; 64]).unwrap(), 5);
            ring.clear_readable(key);
        }
        // Bytes and the end at once: after the bytes it is still ready.
        there.write_all(b"last").unwrap();
        drop(there);
        ring.wait(Some(Instant::now() + Duration::from_secs(5))).unwrap();
        assert_eq!(here.read(&mut [0; 64]).unwrap(), 4);
        ring.clear_readable(key);
        while ring.poll_ready(key, Direction::Read, &mut context).is_pending() {
            ring.wait(Some(Instant::now() + Duration::from_secs(5))).unwrap();
        }
        assert_eq!(here.read(&mut [0; 64]).unwrap(), 0);
        ring.remove(key);
    }

    #[test]
    fn a_removed_source_wakes_nobody_and_its_slot_is_used_again() {
        let bell = Bell::new(Runtime::Uring).unwrap();
        let ring = Ring::new(&bell).unwrap();
        let (here, mut there) = pair();
        let key = ring.insert(here.as_raw_fd(), None);
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        ring.clear_readable(key);
        assert!(ring.poll_ready(key, Direction::Read, &mut context).is_pending());
        ring.poll(true).unwrap();
        ring.remove(key);
        // Its poll has not ended, so its slot is not free.
        let other = ring.insert(here.as_raw_fd(), None);
        assert_ne!(other.slot, key.slot);
        ring.remove(other);
        while ring.sources.borrow().used() > 0 {
            ring.wait(None).unwrap();
        }
        let next = ring.insert(here.as_raw_fd(), None);
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

    #[test]
    fn more_sources_than_slots_of_the_submission_queue_are_all_armed() {
        let bell = Bell::new(Runtime::Uring).unwrap();
        let ring = Ring::new(&bell).unwrap();
        let (here, mut there) = pair();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        let sources = SUBMISSIONS_MAX as usize * 2 + 1;
        for _ in 0..sources {
            let key = ring.insert(here.as_raw_fd(), None);
            ring.clear_readable(key);
            assert!(ring.poll_ready(key, Direction::Read, &mut context).is_pending());
        }
        ring.poll(true).unwrap();
        there.write_all(b"hello").unwrap();
        while count.0.load(Ordering::Relaxed) < sources {
            ring.wait(None).unwrap();
        }
    }

    #[test]
    fn a_wait_ends_with_its_time_and_with_the_doorbell() {
        let bell = Bell::new(Runtime::Uring).unwrap();
        let ring = Ring::new(&bell).unwrap();
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
