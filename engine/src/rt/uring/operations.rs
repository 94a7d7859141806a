//! What is asked of the kernel, and whose memory it may touch meanwhile. Only this file and [`provided`](super::provided)
//! have `unsafe` code.
//!
//! The argument, for each operation that has to do with memory:
//!
//! - A *receive* writes into [provided buffers](Provided), nowhere else. They belong to the [`Uring`],
//!   which frees them only when every receive has ended, and else never.
//! - A *send* reads bytes that the writer owns, and is over when the entry into the kernel that submits it returns:
//!   without a submission thread the kernel carries an operation out while it submits it, and one with `MSG_DONTWAIT` is
//!   never deferred; it completes then and there, with whatever it has done. So the bytes
//!   are borrowed for as long as [`Uring::send_within`] lasts, within which the entry happens. A ring that did not
//!   submit all it has is never entered again.
//! - A *timer* has its time read when it is submitted; the place belongs to the [`Uring`].
//! - Polls, cancellations and the rest have no memory.
//!
//! A descriptor that the kernel [installs](Uring::install_descriptor) belongs to whoever asked for it, and to nobody else.
#![expect(
    unsafe_code,
    reason = "the io-uring crate leaves it to its user that memory outlives the operations on it"
)]

use std::cell::{Cell, RefCell, UnsafeCell};
use std::io::{self, IoSlice};
use std::mem;
use std::net::Shutdown;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use io_uring::types::{Fd, Fixed, Timespec};
use io_uring::{IoUring, Probe, cqueue, opcode, squeue};

use super::marks::{Kind, Mark};
use super::provided::{BUFFER_BYTES, Consumption, Filled, GROUP, Provided};

/// Slots of the submission queue. When it is full it is submitted, so no operation is refused.
pub(super) const SUBMISSIONS_MAX: u32 = 256;

/// Slots of the completion queue; the kernel keeps what does not fit until there is room.
const COMPLETIONS_MAX: u32 = 4096;

/// Entries into the kernel that may be needed to submit what waits.
const SUBMIT_TRIES_MAX: usize = 1000;

/// Events that make a source readable: bytes, or an end.
pub(super) const READABLE: u32 = (libc::POLLIN | libc::POLLRDHUP) as u32;

/// The event that makes it writable.
pub(super) const WRITABLE: u32 = libc::POLLOUT as u32;

/// What an operation is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Descriptor {
    /// A descriptor of the process.
    Process(RawFd),
    /// A slot of the ring's own table.
    Direct(u32),
}

impl Descriptor {
    /// Its number, whichever it is; [`flags`](Self::flags) says which.
    fn number(self) -> Fd {
        match self {
            Descriptor::Process(fd) => Fd(fd),
            Descriptor::Direct(slot) => Fd(slot as RawFd),
        }
    }

    fn flags(self) -> squeue::Flags {
        match self {
            Descriptor::Process(_) => squeue::Flags::empty(),
            Descriptor::Direct(_) => squeue::Flags::FIXED_FILE,
        }
    }
}

/// What is asked of the kernel, beside sends.
#[derive(Clone, Copy)]
pub(super) enum Operation {
    /// Complete when one of these events is there, or each time when it stays armed.
    Poll {
        descriptor: Descriptor,
        events: u32,
        stays_armed: bool,
        mark: Mark,
    },
    /// Disarm the poll of this mark.
    RemovePoll(Mark),
    /// Complete when something was received, or the connection has ended; or each time when it stays armed.
    Receive {
        descriptor: Descriptor,
        stays_armed: bool,
        mark: Mark,
    },
    /// Shut a connection down in this direction, later: the kernel has another thread do it.
    ShutDown {
        descriptor: Descriptor,
        how: Shutdown,
        mark: Mark,
    },
    /// Have a descriptor of the process for a slot of the ring's table.
    Install { slot: u32, mark: Mark },
    /// End the receive of this mark.
    Cancel(Mark),
    /// Complete once after this time.
    Timer { after: Duration, mark: Mark },
    /// Have the timer of this mark, which is set, complete after this time.
    MoveTimer { after: Duration, mark: Mark },
}

/// What the kernel has to say of an operation.
pub(super) struct Completion {
    pub(super) mark: Mark,
    /// What it brought, or an error's number below zero.
    pub(super) result: i32,
    /// The operation goes on.
    pub(super) has_more: bool,
    /// The buffer that it has filled.
    pub(super) filled: Option<Filled>,
}

/// One io_uring with its provided buffers. Only the thread that made it may use it.
pub(super) struct Uring {
    ring: RefCell<IoUring>,
    provided: Provided,
    /// Where the kernel finds the time of a timer that is submitted.
    time: Box<UnsafeCell<Timespec>>,
    /// Receives that have not ended.
    receiving: Cell<usize>,
    /// It could not be submitted once: what waits in it must never be.
    is_broken: Cell<bool>,
}

impl Uring {
    /// Asks for a ring that one thread submits to, and whose completions are posted when that thread asks for them
    /// (Linux 6.1).
    pub(super) fn new(consumption: Consumption) -> io::Result<Uring> {
        let ring = IoUring::builder()
            .setup_cqsize(COMPLETIONS_MAX)
            .setup_submit_all()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .build(SUBMISSIONS_MAX)?;
        // SAFETY: they live until `Drop`, which unregisters them first or keeps them for ever.
        let provided = unsafe { Provided::register(&ring, consumption)? };
        Ok(Uring {
            ring: RefCell::new(ring),
            provided,
            time: Box::new(UnsafeCell::new(Timespec::new())),
            receiving: Cell::new(0),
            is_broken: Cell::new(false),
        })
    }

    /// Whether its kernel answers nothing to a send that has done all it should.
    pub(super) fn can_skip_success(&self) -> bool {
        self.ring.borrow().params().is_feature_skip_cqe_on_success()
    }

    /// The buffers that receives fill.
    pub(super) fn provided(&self) -> &Provided {
        &self.provided
    }

    /// Receives that have not ended.
    pub(super) fn receiving(&self) -> usize {
        self.receiving.get()
    }

    /// Operations that wait to be submitted.
    pub(super) fn unsubmitted(&self) -> usize {
        self.ring.borrow_mut().submission().len()
    }

    /// Whether the kernel has something to hand over, and whether it must be entered for that.
    pub(super) fn has_completions(&self) -> (bool, bool) {
        let mut ring = self.ring.borrow_mut();
        let (submitter, submission, completion) = ring.split();
        let _ = submitter;
        let is_asking = submission.taskrun() || submission.cq_overflow();
        (!completion.is_empty() || is_asking, is_asking)
    }

    /// Has an operation submitted with the next entry; false when there is no room before one.
    pub(super) fn push(&self, operation: Operation) -> bool {
        let entry = match operation {
            Operation::Poll {
                descriptor,
                events,
                stays_armed,
                mark,
            } => opcode::PollAdd::new(descriptor.number(), events)
                .multi(stays_armed)
                .build()
                .flags(descriptor.flags())
                .user_data(mark.0),
            Operation::RemovePoll(mark) => opcode::PollRemove::new(mark.0).build().user_data(mark.cancel().0),
            Operation::Receive {
                descriptor,
                stays_armed,
                mark,
            } => {
                debug_assert_eq!(mark.kind(), Some(Kind::Receive));
                let entry = if stays_armed {
                    opcode::RecvMulti::new(descriptor.number(), GROUP).build()
                } else {
                    opcode::Recv::new(descriptor.number(), ptr::null_mut(), BUFFER_BYTES as u32)
                        .buf_group(GROUP)
                        .build()
                        .flags(squeue::Flags::BUFFER_SELECT)
                };
                entry.flags(descriptor.flags()).user_data(mark.0)
            }
            Operation::ShutDown {
                descriptor,
                how,
                mark,
            } => {
                let how = match how {
                    Shutdown::Read => libc::SHUT_RD,
                    Shutdown::Write => libc::SHUT_WR,
                    Shutdown::Both => libc::SHUT_RDWR,
                };
                opcode::Shutdown::new(descriptor.number(), how)
                    .build()
                    .flags(descriptor.flags())
                    .user_data(mark.0)
            }
            Operation::Install { slot, mark } => opcode::FixedFdInstall::new(Fixed(slot), 0)
                .build()
                .user_data(mark.0),
            Operation::Cancel(mark) => opcode::AsyncCancel::new(mark.0)
                .build()
                .user_data(mark.cancel().0),
            Operation::Timer { after, mark } => {
                self.set_time(after);
                opcode::Timeout::new(self.time.get()).build().user_data(mark.0)
            }
            Operation::MoveTimer { after, mark } => {
                self.set_time(after);
                opcode::TimeoutUpdate::new(mark.0, self.time.get())
                    .build()
                    .flags(squeue::Flags::SKIP_SUCCESS)
                    .user_data(mark.cancel().0)
            }
        };
        // SAFETY: a receive writes to provided buffers only, which outlive it; the place of a timer's time lives as
        // long as the ring; the others have no pointer to memory.
        let is_taken = unsafe { self.ring.borrow_mut().submission().push(&entry) }.is_ok();
        if is_taken && matches!(operation, Operation::Receive { .. }) {
            self.receiving.set(self.receiving.get() + 1);
        }
        is_taken
    }

    fn set_time(&self, after: Duration) {
        // SAFETY: no reference to the time exists, only this pointer and those that the kernel reads within an entry.
        unsafe { *self.time.get() = Timespec::from(after) };
    }

    /// Has the kernel send these slices at the entry that `enter` makes, as far as the socket takes them at once.
    /// A completion comes only of a send that has not sent everything. `None`, and nothing done, when the queue is full.
    pub(super) fn send_within<T>(
        &self,
        descriptor: Descriptor,
        slices: &[IoSlice<'_>],
        mark: Mark,
        enter: impl FnOnce() -> T,
    ) -> Option<T> {
        const FLAGS: libc::c_int = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_WAITALL;
        // SAFETY: plain integers and pointers, for which all zeroes is a valid value.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        let entry = match slices {
            [slice] => u32::try_from(slice.len()).ok().map(|length| {
                opcode::Send::new(descriptor.number(), slice.as_ptr(), length)
                    .flags(FLAGS)
                    .build()
            }),
            _ => None,
        };
        let entry = entry.unwrap_or_else(|| {
            // An `IoSlice` is an iovec, of which a send changes nothing.
            message.msg_iov = slices.as_ptr().cast_mut().cast();
            message.msg_iovlen = slices.len();
            opcode::SendMsg::new(descriptor.number(), &raw const message)
                .flags(FLAGS as u32)
                .build()
        });
        let entry = entry
            .flags(squeue::Flags::SKIP_SUCCESS | descriptor.flags())
            .user_data(mark.0);
        // SAFETY: the bytes, the slices and the message live until this returns. Until then the operation was either
        // submitted, and so is over (see the module), or will never be, because the ring is broken.
        unsafe { self.ring.borrow_mut().submission().push(&entry) }.ok()?;
        let entered = {
            // What unwinds from here must not leave the operation behind to be submitted.
            let unsubmitted = Unsubmitted(self);
            let entered = enter();
            drop(unsubmitted);
            entered
        };
        Some(entered)
    }

    /// Submits what waits, and waits for that many completions or less when some have come before. Hands over what has
    /// completed. May return before, with nothing to show.
    pub(super) fn enter(&self, wanted: usize, completed: &mut Vec<Completion>) -> io::Result<()> {
        for _ in 0..SUBMIT_TRIES_MAX {
            if self.is_broken.get() {
                return Err(io::Error::other("the ring could not be submitted"));
            }
            let is_waiting = completed.is_empty();
            let entered = self
                .ring
                .borrow()
                .submit_and_wait(if is_waiting { wanted } else { 0 });
            self.take(completed);
            if let Err(error) = entered {
                match error.raw_os_error() {
                    // A signal, or no memory for the moment, or a full completion queue, which was just emptied.
                    Some(libc::EINTR | libc::EAGAIN | libc::EBUSY) => {}
                    _ => {
                        self.is_broken.set(true);
                        return Err(error);
                    }
                }
            }
            let is_done = {
                let mut ring = self.ring.borrow_mut();
                let submission = ring.submission();
                submission.is_empty() && !submission.cq_overflow()
            };
            if is_done {
                return Ok(());
            }
        }
        self.is_broken.set(true);
        Err(io::Error::other("the submission queue does not empty"))
    }

    /// Asks for a table of direct descriptors; returns how many slots it has, none where the kernel is too old.
    ///
    /// Before Linux 6.13 the socket of a slot that was cleared stays open until all operations have ended that began before, on
    /// whichever slot; a receive that stays armed may last for days. The first operation that only later kernels know
    /// is of Linux 6.15.
    pub(super) fn register_direct(&self, slots: u32) -> u32 {
        let ring = self.ring.borrow();
        let submitter = ring.submitter();
        let mut probe = Probe::new();
        let closes_at_once =
            submitter.register_probe(&mut probe).is_ok() && probe.is_supported(opcode::EpollWait::CODE);
        match closes_at_once && submitter.register_files_sparse(slots).is_ok() {
            true => slots,
            false => 0,
        }
    }

    /// Has a slot of the table refer to what this descriptor does, or to nothing.
    pub(super) fn set_direct(&self, slot: u32, fd: Option<RawFd>) -> io::Result<()> {
        let ring = self.ring.borrow();
        ring.submitter()
            .register_files_update(slot, &[fd.unwrap_or(-1)])
            .map(drop)
    }

    /// A new descriptor of the process for a slot of the table. `completed` is as for [`enter`](Self::enter).
    pub(super) fn install_descriptor(
        &self,
        slot: u32,
        mark: Mark,
        completed: &mut Vec<Completion>,
    ) -> io::Result<OwnedFd> {
        let operation = Operation::Install { slot, mark };
        if !self.push(operation) {
            self.enter(0, completed)?;
            if !self.push(operation) {
                return Err(io::Error::other("the submission queue does not empty"));
            }
        }
        self.enter(0, completed)?;
        let at = completed.iter().position(|completion| completion.mark == mark);
        match at.map(|at| completed.remove(at).result) {
            // SAFETY: the kernel has just made this descriptor for this operation, and nobody else knows of it.
            Some(fd @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
            Some(error) => Err(io::Error::from_raw_os_error(-error)),
            None => Err(io::Error::other("no descriptor was installed")),
        }
    }

    /// Takes what has completed, without a system call.
    pub(super) fn take(&self, completed: &mut Vec<Completion>) {
        let mut ring = self.ring.borrow_mut();
        for completion in ring.completion() {
            let (flags, result) = (completion.flags(), completion.result());
            let mark = Mark(completion.user_data());
            let has_more = cqueue::more(flags);
            if !has_more && mark.kind() == Some(Kind::Receive) && !mark.is_cancel() {
                self.receiving.set(self.receiving.get() - 1);
            }
            let filled = self.provided.take(flags, result);
            completed.push(Completion {
                mark,
                result,
                has_more,
                filled,
            });
        }
    }
}

/// Breaks a ring that is left with something unsubmitted.
struct Unsubmitted<'a>(&'a Uring);

impl Drop for Unsubmitted<'_> {
    fn drop(&mut self) {
        if self.0.unsubmitted() > 0 {
            self.0.is_broken.set(true);
        }
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        if self.receiving.get() > 0 {
            // Receives that do not end keep their memory for ever: better than memory that is not theirs.
            return;
        }
        let _ = self.ring.get_mut().submitter().unregister_buf_ring(GROUP);
        // SAFETY: no receive is in flight, and the ring takes no operation after this.
        unsafe { self.provided.free() };
    }
}
