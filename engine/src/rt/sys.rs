//! The few system calls that neither std nor a library wraps safely, each behind a safe function.
//!
//! What makes each block of `unsafe` sound stands above it. The other file that has some is `uring/operations.rs`.
#![expect(
    unsafe_code,
    reason = "thin wrappers of system calls; every block states why it is sound"
)]

use std::io;
use std::mem;

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

/// Pins the calling thread to a processor.
pub(crate) fn pin_thread(cpu: usize) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    if cpu >= rustix::thread::CpuSet::MAX_CPU {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    set.set(cpu);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
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

/// How far local time is ahead of UTC at a time, in seconds; the time is in seconds since 1970. 0 where the zone is not
/// known.
pub(crate) fn local_offset(seconds: i64) -> i64 {
    // SAFETY: tm is plain bits and a pointer, for which all zeroes is a valid value.
    let mut local: libc::tm = unsafe { mem::zeroed() };
    // SAFETY: both pointers are to live values; the call writes only to the second, and reads the zone under its own
    // lock.
    let converted = unsafe { libc::localtime_r(&seconds, &mut local) };
    if converted.is_null() { 0 } else { local.tm_gmtoff }
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

/// Registers the process for the memory barriers that glommio's executors need, before any of them starts: left to an
/// executor's first sleep it takes 30 to 50 ms. On a kernel without it that sleep is late, which is no error.
#[cfg(feature = "glommio")]
pub(super) fn register_membarrier() {
    // SAFETY: membarrier takes three integers and touches no memory of ours.
    let _ = unsafe {
        libc::syscall(
            libc::SYS_membarrier,
            libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
            0,
            0,
        )
    };
}

/// Hands a TCP socket to glommio's executor of this thread, which closes it when dropped.
#[cfg(feature = "glommio")]
pub(super) fn glommio_tcp_stream(socket: impl Into<std::os::fd::OwnedFd>) -> glommio::net::TcpStream {
    use std::os::fd::{FromRawFd, IntoRawFd};
    // SAFETY: into_raw_fd gives up our ownership, so the stream is the descriptor's only owner.
    unsafe { glommio::net::TcpStream::from_raw_fd(socket.into().into_raw_fd()) }
}

/// The same for one end of a Unix socket pair.
#[cfg(feature = "glommio")]
pub(super) fn glommio_unix_stream(socket: std::os::fd::OwnedFd) -> glommio::net::UnixStream {
    use std::os::fd::{FromRawFd, IntoRawFd};
    // SAFETY: as above.
    unsafe { glommio::net::UnixStream::from_raw_fd(socket.into_raw_fd()) }
}

/// Borrows the descriptor of what owns one but offers only its number.
#[cfg(feature = "glommio")]
pub(super) fn borrow(owner: &impl std::os::fd::AsRawFd) -> std::os::fd::BorrowedFd<'_> {
    // SAFETY: the owner's descriptor is open as long as the owner lives, and the borrow cannot outlive it.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(owner.as_raw_fd()) }
}

/// Receives what is there, at most `bytes_max` and what the buffer has capacity for in one piece; does not block. Says
/// how many bytes it was, and whether there was no room for more.
#[cfg(feature = "glommio")]
pub(super) fn receive(
    socket: &impl std::os::fd::AsFd,
    buffer: &mut impl bytes::BufMut,
    bytes_max: usize,
) -> io::Result<(usize, bool)> {
    let chunk = buffer.chunk_mut();
    let length = chunk.len().min(bytes_max);
    // SAFETY: recv only writes initialised bytes into the slice.
    let room = unsafe { &mut chunk.as_uninit_slice_mut()[..length] };
    let count = socket2::SockRef::from(socket).recv_with_flags(room, libc::MSG_DONTWAIT)?;
    // SAFETY: recv has written that many bytes at the beginning of the chunk.
    unsafe { buffer.advance_mut(count) };
    Ok((count, count == length))
}
