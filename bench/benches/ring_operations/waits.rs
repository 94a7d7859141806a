//! Entries into the kernel: with a registered ring, and with a time-out of the wait.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::thread;

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode};

use crate::comparison::{compare as row, timed};
use crate::ring;

/// Entries of a round.
const ENTRIES: u32 = 2_000;

pub(crate) fn compare() -> io::Result<()> {
    compare_ring_descriptors()?;
    compare_timeouts()
}

/// An entry that submits one operation which does nothing.
fn compare_ring_descriptors() -> io::Result<()> {
    let ring = RefCell::new(ring::new()?);
    let enter = |is_registered: bool| {
        let mut ring = ring.borrow_mut();
        let (mut submitter, mut submission, mut completion) = ring.split();
        if is_registered {
            submitter.register_ring_fd()?;
        }
        let elapsed = timed(|| {
            for _ in 0..ENTRIES {
                // SAFETY: the operation has no memory.
                let pushed = unsafe { submission.push(&opcode::Nop::new().build()) };
                pushed.map_err(|_| io::Error::other("the submission queue is full"))?;
                submission.sync();
                submitter.submit_and_wait(1)?;
                completion.sync();
                completion.by_ref().for_each(drop);
            }
            Ok(())
        });
        if is_registered {
            submitter.unregister_ring_fd()?;
        }
        elapsed
    };
    row(
        "entry that submits and waits: registered ring descriptor",
        ENTRIES,
        || enter(false),
        || enter(true),
    );
    Ok(())
}

/// A round trip to a thread that sleeps in between.
fn compare_timeouts() -> io::Result<()> {
    let (here, there) = ring::connection()?;
    thread::spawn(move || echo(there));
    let ring = RefCell::new(ring::new()?);
    let round = |has_timeout: bool| {
        let mut ring = ring.borrow_mut();
        timed(|| {
            for _ in 0..ENTRIES / 10 {
                round_trip(&mut ring, &here, has_timeout)?;
            }
            Ok(())
        })
    };
    row(
        "round trip with a sleep: the wait's own time-out",
        ENTRIES / 10,
        || round(false),
        || round(true),
    );
    Ok(())
}

fn echo(mut stream: TcpStream) {
    let mut bytes = [0; 64];
    while stream.read_exact(&mut bytes).is_ok() && stream.write_all(&bytes).is_ok() {}
}

fn round_trip(ring: &mut IoUring, socket: &TcpStream, has_timeout: bool) -> io::Result<()> {
    let mut bytes = [0u8; 64];
    let fd = Fd(socket.as_raw_fd());
    let send = opcode::Send::new(fd, bytes.as_ptr(), 64).build();
    let receive = opcode::Recv::new(fd, bytes.as_mut_ptr(), 64).build();
    let timeout = Timespec::new().sec(10);
    let arguments = SubmitArgs::new().timespec(&timeout);
    // SAFETY: both have completed when this returns; after an error the process ends.
    unsafe {
        ring::push(ring, &send.flags(io_uring::squeue::Flags::IO_LINK))?;
        ring::push(ring, &receive)?;
    }
    let mut completions = 0;
    while completions < 2 {
        let wanted = 2 - completions;
        if has_timeout {
            ring.submitter().submit_with_args(wanted, &arguments)?;
        } else {
            ring.submit_and_wait(wanted)?;
        }
        completions += ring.completion().count();
    }
    Ok(())
}
