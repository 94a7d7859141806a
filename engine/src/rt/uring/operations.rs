//! What is asked of the kernel: the operations of the ring, and the receive beside it. The only file of this runtime
//! that has `unsafe` code; what makes each block sound stands above it.
#![expect(
    unsafe_code,
    reason = "the io-uring crate leaves it to its user that memory outlives the operations on it"
)]

use std::io;
use std::os::fd::RawFd;

use bytes::BufMut;
use io_uring::types::Fd;
use io_uring::{IoUring, opcode};
use socket2::SockRef;

/// Receives what there is, at most `bytes_max`, behind what `buffer` holds, into room that it has already.
pub(super) fn receive(
    socket: &std::net::TcpStream,
    buffer: &mut impl BufMut,
    bytes_max: usize,
) -> io::Result<usize> {
    let room = buffer.chunk_mut();
    let length = room.len().min(bytes_max);
    // SAFETY: nothing uninitialised is written to the room: `recv` only writes bytes that it has received.
    let room = unsafe { &mut room.as_uninit_slice_mut()[..length] };
    let count = SockRef::from(socket).recv(room)?;
    // SAFETY: the kernel has just initialised that many bytes at the front of the room.
    unsafe { buffer.advance_mut(count) };
    Ok(count)
}

/// What is asked of an io_uring. None of it makes the kernel hold memory of ours.
#[derive(Clone, Copy)]
pub(super) enum Operation {
    /// Complete when one of these events is there, or each time when it stays armed.
    Poll {
        fd: RawFd,
        events: u32,
        stays_armed: bool,
        mark: u64,
    },
    /// Disarm the poll with the mark `armed`.
    Remove { armed: u64, mark: u64 },
}

/// Puts an operation into the submission queue; false when it is full.
pub(super) fn push(uring: &mut IoUring, operation: Operation) -> bool {
    let entry = match operation {
        Operation::Poll {
            fd,
            events,
            stays_armed,
            mark,
        } => opcode::PollAdd::new(Fd(fd), events)
            .multi(stays_armed)
            .build()
            .user_data(mark),
        Operation::Remove { armed, mark } => opcode::PollRemove::new(armed).build().user_data(mark),
    };
    // SAFETY: neither operation has a pointer to memory. A descriptor that is closed meanwhile makes it fail
    // or speak of another file, which is a wrong wake-up and no more.
    unsafe { uring.submission().push(&entry) }.is_ok()
}
