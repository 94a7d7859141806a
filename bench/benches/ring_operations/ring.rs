//! A ring as the engine sets it up, and TCP connections on this machine.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use io_uring::{IoUring, squeue};

/// Slots of the submission queue.
pub(crate) const SUBMISSIONS: u32 = 512;

pub(crate) fn new() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_cqsize(4096)
        .setup_submit_all()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .build(SUBMISSIONS)
}

/// Has an operation submitted with the next entry.
///
/// # Safety
/// Its memory must be valid until its completion was taken.
pub(crate) unsafe fn push(ring: &mut IoUring, entry: &squeue::Entry) -> io::Result<()> {
    // SAFETY: the caller's promise.
    unsafe { ring.submission().push(entry) }.map_err(|_| io::Error::other("the submission queue is full"))
}

/// Both ends of a connection.
pub(crate) fn connection() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let here = TcpStream::connect(listener.local_addr()?)?;
    let (there, _) = listener.accept()?;
    here.set_nodelay(true)?;
    there.set_nodelay(true)?;
    Ok((here, there))
}
