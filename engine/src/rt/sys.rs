//! The few system calls that neither std nor a library wraps safely, each behind a safe function.
//!
//! All `unsafe` of the engine lives here. What makes each block sound stands above it.
#![expect(
    unsafe_code,
    reason = "thin wrappers of system calls; every block states why it is sound"
)]

use std::io;
use std::mem;
use std::os::fd::RawFd;

use bytes::BufMut;
use io_uring::types::Fd;
use io_uring::{IoUring, opcode};
use socket2::SockRef;

/// The processors that this process may run on, by their kernel numbers.
pub(crate) fn allowed_cpus() -> io::Result<Vec<usize>> {
    // SAFETY: cpu_set_t is plain bits, for which all zeroes is a valid (empty) value.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the pointer is to a live cpu_set_t of exactly the size that is passed.
    let answer = unsafe { libc::sched_getaffinity(0, mem::size_of::<libc::cpu_set_t>(), &mut set) };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every index is below CPU_SETSIZE, the number of bits in the set.
    Ok((0..libc::CPU_SETSIZE as usize)
        .filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) })
        .collect())
}

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

/// Pins the calling thread to a processor.
pub(crate) fn pin_thread(cpu: usize) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    if cpu >= rustix::thread::CpuSet::MAX_CPU {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    set.set(cpu);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
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

/// Raises the number of files this process may open to its hard limit, and returns the limit in force.
pub(crate) fn raise_open_files_max() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live rlimit.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: as above; the call only reads it.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

/// Processor time of the calling thread, in nanoseconds.
pub(crate) fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live timespec; the clock exists on every Linux.
    let answer = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    if answer != 0 {
        return 0;
    }
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Hands a connected TCP socket to glommio's executor of this thread, which closes it when dropped.
#[cfg(feature = "floor")]
pub(super) fn glommio_stream(socket: std::net::TcpStream) -> glommio::net::TcpStream {
    use std::os::fd::{FromRawFd, IntoRawFd};
    // SAFETY: into_raw_fd gives up our ownership, so the stream is the descriptor's only owner.
    unsafe { glommio::net::TcpStream::from_raw_fd(socket.into_raw_fd()) }
}

/// Borrows the descriptor of a stream that glommio's executor owns.
#[cfg(feature = "floor")]
pub(super) fn borrow_glommio_stream(stream: &glommio::net::TcpStream) -> std::os::fd::BorrowedFd<'_> {
    use std::os::fd::AsRawFd;
    // SAFETY: the stream owns the open descriptor, and the borrow cannot outlive the stream.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(stream.as_raw_fd()) }
}
