//! The few system calls that neither std nor glommio wraps, each behind a safe function.
//!
//! All `unsafe` of the engine lives here. What makes each block sound stands above it.
#![expect(
    unsafe_code,
    reason = "thin wrappers of system calls; every block states why it is sound"
)]

use std::io;
use std::mem;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use glommio::net::{TcpStream, UnixStream};

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

/// Asks the kernel for an io_uring and gives it back at once: an error says why there is none.
pub(crate) fn probe_io_uring() -> io::Result<()> {
    // struct io_uring_params is 120 bytes of plain integers; zeroes ask for no feature.
    let mut parameters = [0u64; 15];
    // SAFETY: the kernel writes at most sizeof(struct io_uring_params) = 120 bytes, which the array has.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1u32, parameters.as_mut_ptr()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    drop(unsafe { OwnedFd::from_raw_fd(fd as RawFd) });
    Ok(())
}

/// Registers the process for expedited memory barriers, before any shard thread exists. Left to the
/// executor's first sleep it can take 30-50 ms. A kernel without it is no error: that sleep is just late.
pub(crate) fn register_membarrier() {
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
    // SAFETY: membarrier takes two integers and touches no memory of ours.
    let _ = unsafe { libc::syscall(libc::SYS_membarrier, REGISTER_PRIVATE_EXPEDITED, 0) };
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

/// Hands a connected (or connecting) TCP socket to this thread's executor, which closes it when dropped.
pub(crate) fn executor_tcp_stream(socket: impl Into<OwnedFd>) -> TcpStream {
    // SAFETY: into_raw_fd gives up our ownership, so the stream is the descriptor's only owner.
    unsafe { TcpStream::from_raw_fd(socket.into().into_raw_fd()) }
}

/// The same for one end of a Unix socket pair.
pub(crate) fn executor_unix_stream(socket: impl Into<OwnedFd>) -> UnixStream {
    // SAFETY: as above.
    unsafe { UnixStream::from_raw_fd(socket.into().into_raw_fd()) }
}

/// Borrows the descriptor of a stream that the executor owns.
pub(crate) fn borrow_stream(stream: &TcpStream) -> BorrowedFd<'_> {
    use std::os::fd::AsRawFd;
    // SAFETY: the stream owns the open descriptor, and the borrow cannot outlive the stream.
    unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) }
}
