//! Sends: to a registered file, and without copying.

use std::cell::RefCell;
use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::thread;

use io_uring::types::{Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use crate::comparison::{compare as row, timed};
use crate::ring;

/// Small sends of a round, all with one entry.
const SMALL_SENDS: u32 = 256;

/// Bytes of a round of large sends.
const LARGE_ROUND_BYTES: usize = 16 << 20;

/// Longest wait for a send.
const TIME_MAX: Timespec = Timespec::new().sec(10);

pub(crate) fn compare() -> io::Result<()> {
    compare_files()?;
    for bytes in [16 << 10, 64 << 10, 1 << 20] {
        compare_zero_copy(bytes)?;
    }
    Ok(())
}

fn compare_files() -> io::Result<()> {
    let (here, mut there) = ring::connection()?;
    let ring = RefCell::new(ring::new()?);
    ring.borrow().submitter().register_files(&[here.as_raw_fd()])?;
    let bytes = [0u8; 64];
    let there = RefCell::new(&mut there);
    let round = |is_registered: bool| {
        let mut ring = ring.borrow_mut();
        for _ in 0..SMALL_SENDS {
            let send = if is_registered {
                opcode::Send::new(Fixed(0), bytes.as_ptr(), 64).build()
            } else {
                opcode::Send::new(Fd(here.as_raw_fd()), bytes.as_ptr(), 64).build()
            };
            // SAFETY: the bytes outlive the round, at the end of which every send has completed.
            unsafe { ring::push(&mut ring, &send)? };
        }
        let elapsed = timed(|| ring.submit_and_wait(SMALL_SENDS as usize).map(drop));
        check(&mut ring)?;
        let mut received = [0; 64 * SMALL_SENDS as usize];
        there.borrow_mut().read_exact(&mut received)?;
        elapsed
    };
    row(
        "send of 64 bytes: registered file",
        SMALL_SENDS,
        || round(false),
        || round(true),
    );
    Ok(())
}

/// Takes all completions; the first that failed is an error.
fn check(ring: &mut IoUring) -> io::Result<()> {
    let mut failed = 0;
    for completion in ring.completion() {
        failed = failed.min(completion.result());
    }
    if failed < 0 {
        return Err(io::Error::from_raw_os_error(-failed));
    }
    Ok(())
}

fn compare_zero_copy(bytes: usize) -> io::Result<()> {
    let (here, there) = ring::connection()?;
    thread::spawn(move || drain(there));
    let ring = RefCell::new(ring::new()?);
    let payload = vec![0u8; bytes];
    let count = LARGE_ROUND_BYTES / bytes;
    let round = |is_copied: bool| {
        let mut ring = ring.borrow_mut();
        timed(|| {
            for _ in 0..count {
                send_all(&mut ring, &here, &payload, is_copied)?;
            }
            Ok(())
        })
    };
    row(
        &format!("send of {} KiB: zero copy", bytes >> 10),
        count as u32,
        || round(true),
        || round(false),
    );
    Ok(())
}

fn drain(mut stream: TcpStream) {
    let mut bytes = vec![0; 1 << 20];
    while matches!(stream.read(&mut bytes), Ok(1..)) {}
}

/// Sends a payload, and waits until its memory is free again.
fn send_all(ring: &mut IoUring, socket: &TcpStream, payload: &[u8], is_copied: bool) -> io::Result<()> {
    let (fd, length) = (Fd(socket.as_raw_fd()), payload.len() as u32);
    let entry: squeue::Entry = if is_copied {
        opcode::Send::new(fd, payload.as_ptr(), length)
            .flags(libc::MSG_WAITALL)
            .build()
    } else {
        opcode::SendZc::new(fd, payload.as_ptr(), length)
            .flags(libc::MSG_WAITALL)
            .build()
    };
    // SAFETY: the payload outlives this, and this waits for the last completion.
    unsafe { ring::push(ring, &entry)? };
    let mut is_over = false;
    while !is_over {
        ring.submitter()
            .submit_with_args(1, &SubmitArgs::new().timespec(&TIME_MAX))?;
        for completion in ring.completion() {
            if completion.result() < 0 {
                return Err(io::Error::from_raw_os_error(-completion.result()));
            }
            // A send without copying completes twice: it is done, and its memory is free.
            is_over = !cqueue::more(completion.flags());
        }
    }
    Ok(())
}
