//! What is asked of the kernel, and whose memory it may touch meanwhile. The only file of this runtime that has
//! `unsafe` code.
//!
//! The argument, for each operation that has to do with memory:
//!
//! - A *receive* writes into [provided buffers](Provided), nowhere else. They belong to the [`Uring`],
//!   which frees them only when every receive has ended, and else never. A buffer is the kernel's from
//!   [`Provided::give`] until the completion that hands it back as a [`Filled`]; there is one `Filled` for
//!   each hand-over, and giving the buffer again takes it.
//! - A *send* reads bytes that the writer owns, and is over when the entry into the kernel that submits it returns:
//!   without a submission thread the kernel carries an operation out while it submits it, and one with `MSG_DONTWAIT` is
//!   never deferred; it completes then and there, with whatever it has done. So the bytes
//!   are borrowed for as long as [`Uring::send_within`] lasts, within which the entry happens. A ring that did not
//!   submit all it has is never entered again.
//! - A *timer* has its time read when it is submitted; the place belongs to the [`Uring`].
//! - Polls, cancellations and accepts have no memory.
#![expect(
    unsafe_code,
    reason = "the io-uring crate leaves it to its user that memory outlives the operations on it"
)]

use std::cell::{Cell, RefCell, UnsafeCell};
use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::RawFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::types::{BufRingEntry, Fd, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::marks::{Kind, Mark};

/// Slots of the submission queue. When it is full it is submitted, so no operation is refused.
pub(super) const SUBMISSIONS_MAX: u32 = 256;

/// Slots of the completion queue; the kernel keeps what does not fit until there is room.
const COMPLETIONS_MAX: u32 = 4096;

/// Provided buffers of one ring: a power of two.
pub(super) const BUFFERS: u16 = 16;

/// Bytes of one provided buffer.
pub(super) const BUFFER_BYTES: usize = 16 << 10;

/// From one buffer to the next. Not the size alone: the first lines of all buffers, which small messages use, would
/// fall on the same places of the processor's cache.
const BUFFER_STRIDE: usize = BUFFER_BYTES + 320;

/// Bytes that the provided buffers of one ring take.
pub(super) const PROVIDED_BYTES: usize = BUFFERS as usize * BUFFER_STRIDE;

/// The group that the provided buffers have at their ring.
const GROUP: u16 = 0;

/// Entries into the kernel that may be needed to submit what waits.
const SUBMIT_TRIES_MAX: usize = 1000;

/// Events that make a source readable: bytes, or an end.
pub(super) const READABLE: u32 = (libc::POLLIN | libc::POLLRDHUP) as u32;

/// The event that makes it writable.
pub(super) const WRITABLE: u32 = libc::POLLOUT as u32;

/// What is asked of the kernel, beside sends.
#[derive(Clone, Copy)]
pub(super) enum Operation {
    /// Complete when one of these events is there, or each time when it stays armed.
    Poll {
        fd: RawFd,
        events: u32,
        stays_armed: bool,
        mark: Mark,
    },
    /// Disarm the poll of this mark.
    RemovePoll(Mark),
    /// Complete when something was received, or the connection has ended; or each time when it stays armed.
    Receive {
        fd: RawFd,
        stays_armed: bool,
        mark: Mark,
    },
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

/// A provided buffer that the kernel has handed back, until it is given again.
#[must_use = "a buffer that is not given again is lost"]
pub(super) struct Filled {
    buffer: u16,
    length: usize,
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
    pub(super) fn new() -> io::Result<Uring> {
        let ring = IoUring::builder()
            .setup_cqsize(COMPLETIONS_MAX)
            .setup_submit_all()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .build(SUBMISSIONS_MAX)?;
        let provided = Provided::new();
        // SAFETY: the entries live until `Drop`, which unregisters them first or keeps them for ever.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(provided.address(), BUFFERS, GROUP, 0)?;
        }
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
                fd,
                events,
                stays_armed,
                mark,
            } => opcode::PollAdd::new(Fd(fd), events)
                .multi(stays_armed)
                .build()
                .user_data(mark.0),
            Operation::RemovePoll(mark) => opcode::PollRemove::new(mark.0).build().user_data(mark.cancel().0),
            Operation::Receive {
                fd,
                stays_armed,
                mark,
            } => {
                debug_assert_eq!(mark.kind(), Some(Kind::Receive));
                let entry = if stays_armed {
                    opcode::RecvMulti::new(Fd(fd), GROUP).build()
                } else {
                    opcode::Recv::new(Fd(fd), ptr::null_mut(), BUFFER_BYTES as u32)
                        .buf_group(GROUP)
                        .build()
                        .flags(squeue::Flags::BUFFER_SELECT)
                };
                entry.user_data(mark.0)
            }
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
        fd: RawFd,
        slices: &[IoSlice<'_>],
        mark: Mark,
        enter: impl FnOnce() -> T,
    ) -> Option<T> {
        const FLAGS: libc::c_int = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_WAITALL;
        // SAFETY: plain integers and pointers, for which all zeroes is a valid value.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        let entry = match slices {
            [slice] => u32::try_from(slice.len()).ok().map(|length| {
                opcode::Send::new(Fd(fd), slice.as_ptr(), length)
                    .flags(FLAGS)
                    .build()
            }),
            _ => None,
        };
        let entry = entry.unwrap_or_else(|| {
            // An `IoSlice` is an iovec, of which a send changes nothing.
            message.msg_iov = slices.as_ptr().cast_mut().cast();
            message.msg_iovlen = slices.len();
            opcode::SendMsg::new(Fd(fd), &raw const message)
                .flags(FLAGS as u32)
                .build()
        });
        let entry = entry.flags(squeue::Flags::SKIP_SUCCESS).user_data(mark.0);
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
            let filled = cqueue::buffer_select(flags).map(|buffer| {
                self.provided.taken.set(self.provided.taken.get() + 1);
                let length = usize::try_from(result).unwrap_or(0);
                assert!(
                    buffer < BUFFERS && length <= BUFFER_BYTES,
                    "a completion names memory that is not ours"
                );
                Filled { buffer, length }
            });
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

/// Memory that the kernel receives into, and the ring that announces it to the kernel.
pub(super) struct Provided {
    entries: NonNull<Entries>,
    bytes: NonNull<u8>,
    tail: Cell<u16>,
    /// Buffers that the kernel has handed back and not been given again.
    taken: Cell<u16>,
}

/// Aligned as the kernel wants a ring of buffers.
#[repr(C, align(4096))]
struct Entries([BufRingEntry; BUFFERS as usize]);

impl Provided {
    fn new() -> Provided {
        // SAFETY: plain integers, for which all zeroes is a valid value.
        let entries: Box<Entries> = Box::new(unsafe { mem::zeroed() });
        let bytes = vec![0; PROVIDED_BYTES].into_boxed_slice();
        let provided = Provided {
            entries: NonNull::from(Box::leak(entries)),
            bytes: NonNull::from(Box::leak(bytes)).cast(),
            tail: Cell::new(0),
            taken: Cell::new(BUFFERS),
        };
        for buffer in 0..BUFFERS {
            provided.recycle(Filled { buffer, length: 0 });
        }
        provided
    }

    fn address(&self) -> u64 {
        self.entries.as_ptr() as u64
    }

    /// Buffers that the kernel has.
    #[cfg(test)]
    pub(super) fn available(&self) -> usize {
        usize::from(BUFFERS - self.taken.get())
    }

    /// What was received into a buffer.
    pub(super) fn bytes<'a>(&'a self, filled: &'a Filled) -> &'a [u8] {
        // SAFETY: within the allocation, which lives as long as this; the kernel does not write to a buffer that it
        // has handed back until `give`, which takes the `Filled` that is borrowed here.
        unsafe {
            let start = self
                .bytes
                .as_ptr()
                .add(usize::from(filled.buffer) * BUFFER_STRIDE);
            std::slice::from_raw_parts(start, filled.length)
        }
    }

    /// Gives the kernel a buffer again.
    pub(super) fn recycle(&self, filled: Filled) {
        let first = self.entries.cast::<BufRingEntry>().as_ptr();
        let tail = self.tail.get();
        // SAFETY: the index is below the number of entries, and the kernel, which only reads entries, does
        // not look at this one before the tail has passed it. The tail is where the kernel's interface puts
        // it, in a field of the first entry that the three setters do not write to.
        unsafe {
            let entry = &mut *first.add(usize::from(tail % BUFFERS));
            let start = self
                .bytes
                .as_ptr()
                .add(usize::from(filled.buffer) * BUFFER_STRIDE);
            entry.set_addr(start as u64);
            entry.set_len(BUFFER_BYTES as u32);
            entry.set_bid(filled.buffer);
            AtomicU16::from_ptr(BufRingEntry::tail(first).cast_mut())
                .store(tail.wrapping_add(1), Ordering::Release);
        }
        self.tail.set(tail.wrapping_add(1));
        self.taken.set(self.taken.get() - 1);
    }

    /// Frees the memory.
    ///
    /// # Safety
    /// The kernel must have no operation in flight that may use it, and get none afterwards.
    unsafe fn free(&self) {
        // SAFETY: both came from boxes in `new`; the rest is the caller's promise.
        unsafe {
            drop(Box::from_raw(self.entries.as_ptr()));
            drop(Box::from_raw(ptr::slice_from_raw_parts_mut(
                self.bytes.as_ptr(),
                PROVIDED_BYTES,
            )));
        }
    }
}
