//! One connection on an io_uring of its own, with a safe interface.
//!
//! The ring has a single issuer and defers its work until it is entered, one receive stays armed and takes
//! its memory from a ring of provided buffers, and one send at a time owns its bytes. A turn is one
//! `io_uring_enter`: it submits the send and waits for received bytes.
//!
//! What makes the unsafe blocks sound: the kernel gets pointers to two allocations only. The
//! buffers and their ring belong to [`Buffers`], which is freed after the receive has ended, or never. The
//! bytes of a send belong to [`Ring::sending`], which is not touched until its completion has arrived.
#![expect(
    unsafe_code,
    reason = "the io-uring crate leaves it to its user that memory outlives the operations on it"
)]

use std::io;
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use crate::floors::call_loop::SILENCE_MAX;
use crate::ring::buffers::Buffers;

/// Slots of the submission queue; at most two operations are in flight.
const RING_DEPTH: u32 = 8;

/// Provided buffers: a power of two, few, so that they stay in the processor's cache.
const BUFFERS: u16 = 8;

/// Size of each: more than 256 small calls.
const BUFFER_BYTES: usize = 64 << 10;

/// The group that the provided buffers have at this ring.
const GROUP: u16 = 0;

/// The user data of completions, by operation.
const RECEIVE: u64 = 1;
const SEND: u64 = 2;

/// Sends up to this size are taken by the socket at once, unless its peer does not read.
const AT_ONCE_BYTES_MAX: usize = 64 << 10;

/// How long it may take until one is taken not to have been. Not shorter: with a timer that is due within
/// 1 ms every round trip was measured to take 8 us longer.
const AT_ONCE_TIME_MAX: Duration = Duration::from_millis(100);

/// Turns that the end of a ring may take.
const CLOSING_TURNS_MAX: usize = 64;

/// One connection on an io_uring of its own.
pub(super) struct Ring {
    ring: IoUring,
    socket: TcpStream,
    spin: Duration,
    buffers: Buffers,
    /// The bytes of the send in flight.
    sending: Vec<u8>,
    is_sending: bool,
    /// Whether the socket is expected to have taken the send at once.
    is_at_once: bool,
    is_receiving: bool,
}

impl Ring {
    /// Takes over a connected socket. Polls for received bytes for `spin` before it sleeps.
    pub(super) fn new(socket: TcpStream, spin: Duration) -> io::Result<Ring> {
        socket.set_nodelay(true)?;
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .build(RING_DEPTH)?;
        let buffers = Buffers::new(BUFFERS, BUFFER_BYTES);
        buffers.register(&ring, GROUP)?;
        Ok(Ring {
            ring,
            socket,
            spin,
            buffers,
            sending: Vec::new(),
            is_sending: false,
            is_at_once: false,
            is_receiving: false,
        })
    }

    /// Whether a send is in flight, so that another one must wait.
    pub(super) fn is_sending(&self) -> bool {
        self.is_sending
    }

    /// Sends all of these bytes with the next turn, and swaps them for memory for the next ones.
    pub(super) fn send(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        assert!(!self.is_sending, "one send at a time");
        self.sending.clear();
        mem::swap(&mut self.sending, bytes);
        // The kernel continues short sends by itself.
        let send = opcode::Send::new(self.fd(), self.sending.as_ptr(), self.sending.len() as u32)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build()
            .user_data(SEND);
        // SAFETY: `sending` is not touched until the completion has reset `is_sending`, nor freed.
        unsafe { self.push(&send)? };
        self.is_sending = true;
        self.is_at_once = self.sending.len() <= AT_ONCE_BYTES_MAX;
        Ok(())
    }

    /// Waits for received bytes, or for a moment, and passes them to `received`; false when the connection has ended.
    pub(super) fn turn(&mut self, mut received: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<bool> {
        self.receive()?;
        self.enter()?;
        let mut is_open = true;
        while let Some(completion) = self.completion() {
            if let Some((buffer, length)) = self.complete(&completion, &mut is_open)? {
                let outcome = received(self.buffers.received(buffer, length));
                self.buffers.provide(buffer);
                outcome?;
            }
        }
        Ok(is_open)
    }

    /// Arms the receive, if it has ended.
    fn receive(&mut self) -> io::Result<()> {
        if !self.is_receiving {
            let receive = opcode::RecvMulti::new(self.fd(), GROUP)
                .build()
                .user_data(RECEIVE);
            // SAFETY: it writes to provided buffers only.
            unsafe { self.push(&receive)? };
            self.is_receiving = true;
        }
        Ok(())
    }

    fn fd(&self) -> Fd {
        Fd(self.socket.as_raw_fd())
    }

    /// # Safety
    /// The memory that the operation uses must stay as it is until its completion.
    unsafe fn push(&mut self, operation: &squeue::Entry) -> io::Result<()> {
        // SAFETY: the caller's promise.
        unsafe { self.ring.submission().push(operation) }.map_err(io::Error::other)
    }

    /// Submits, and waits until something has been received.
    fn enter(&mut self) -> io::Result<()> {
        if !self.spin.is_zero() {
            // The send is submitted at once, and completes at once unless the peer does not read.
            self.ring.submit()?;
            let began = Instant::now();
            while self.ring.completion().len() <= usize::from(self.is_sending)
                && !self.ring.submission().taskrun()
            {
                if began.elapsed() >= self.spin {
                    break;
                }
                std::hint::spin_loop();
            }
        }
        // The completion of a send that the socket takes at once is not worth a turn of its own. A send that
        // waits for buffer space continues only when this returns, so this must not wait for more than that.
        let is_at_once = self.is_sending && self.is_at_once;
        let (wanted, time_max) = if is_at_once {
            (2, Timespec::new().nsec(AT_ONCE_TIME_MAX.subsec_nanos()))
        } else {
            (1, Timespec::new().sec(SILENCE_MAX.as_secs()))
        };
        let arguments = SubmitArgs::new().timespec(&time_max);
        match self.ring.submitter().submit_with_args(wanted, &arguments) {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ETIME) && is_at_once => {
                self.is_at_once = false;
                Ok(())
            }
            Err(error) if error.raw_os_error() == Some(libc::ETIME) => Err(io::ErrorKind::TimedOut.into()),
            Err(error) => Err(error),
        }
    }

    /// The next completion.
    fn completion(&mut self) -> Option<cqueue::Entry> {
        self.ring.completion().next()
    }

    /// The result of a completion: a buffer, and the number of bytes that were received into it.
    fn complete(
        &mut self,
        completion: &cqueue::Entry,
        is_open: &mut bool,
    ) -> io::Result<Option<(u16, usize)>> {
        let result = completion.result();
        if completion.user_data() == SEND {
            self.is_sending = false;
            return match result {
                failed if failed < 0 => Err(io::Error::from_raw_os_error(-failed)),
                sent if sent as usize == self.sending.len() => Ok(None),
                _ => Err(io::ErrorKind::WriteZero.into()),
            };
        }
        self.is_receiving = cqueue::more(completion.flags());
        match (result, cqueue::buffer_select(completion.flags())) {
            // All buffers are full; they are provided again now, and the receive is armed again.
            (failed, _) if failed == -libc::ENOBUFS => Ok(None),
            (failed, _) if failed < 0 => Err(io::Error::from_raw_os_error(-failed)),
            (1.., Some(buffer)) => Ok(Some((buffer, result as usize))),
            _ => {
                *is_open = false;
                Ok(None)
            }
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // Both operations end with the connection.
        let _ = self.socket.shutdown(Shutdown::Both);
        for _ in 0..CLOSING_TURNS_MAX {
            if !self.is_receiving && !self.is_sending {
                // SAFETY: the receive has ended, and the ring takes no operation after this.
                unsafe { self.buffers.free() };
                return;
            }
            let _ = self.ring.submit_and_wait(1);
            while let Some(completion) = self.completion() {
                let _ = self.complete(&completion, &mut false);
            }
        }
        // The memory of operations that do not end is leaked: they may still use it.
        mem::forget(mem::take(&mut self.sending));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (here, listener.accept().unwrap().0)
    }

    #[test]
    fn more_than_all_buffers_hold_comes_in_order() {
        let (here, mut there) = pair();
        let sent: Vec<u8> = (0..8u32 << 20).map(|place| (place % 251) as u8).collect();
        let expected = sent.clone();
        let sending = thread::spawn(move || there.write_all(&sent).unwrap());
        let mut ring = Ring::new(here, Duration::ZERO).unwrap();
        let mut received = Vec::new();
        while ring
            .turn(|bytes| {
                received.extend_from_slice(bytes);
                Ok(())
            })
            .unwrap()
        {}
        assert!(received == expected);
        sending.join().unwrap();
    }

    #[test]
    fn a_send_that_the_socket_does_not_take_at_once_continues() {
        let (here, mut there) = pair();
        let mut sent: Vec<u8> = (0..16u32 << 20).map(|place| (place % 251) as u8).collect();
        let expected = sent.clone();
        let receiving = thread::spawn(move || {
            let mut received = vec![0; expected.len()];
            there.read_exact(&mut received).unwrap();
            assert!(received == expected);
        });
        let mut ring = Ring::new(here, Duration::from_micros(20)).unwrap();
        ring.send(&mut sent).unwrap();
        assert!(ring.is_sending());
        while ring.turn(|_| Ok(())).unwrap() {}
        assert!(!ring.is_sending());
        receiving.join().unwrap();
    }

    #[test]
    fn a_ring_ends_with_both_operations_in_flight() {
        let (here, mut there) = pair();
        let mut ring = Ring::new(here, Duration::ZERO).unwrap();
        // More than both sockets hold, to a peer that does not read.
        ring.send(&mut vec![7; 64 << 20]).unwrap();
        ring.receive().unwrap();
        ring.ring.submit().unwrap();
        assert!(ring.is_sending() && ring.is_receiving);
        drop(ring);
        let mut received = Vec::new();
        let _ = there.read_to_end(&mut received);
        assert!(received.len() < 64 << 20 && received.iter().all(|&byte| byte == 7));
    }

    #[test]
    fn a_refused_chunk_is_an_error_and_its_buffer_is_provided_again() {
        let (here, mut there) = pair();
        let mut ring = Ring::new(here, Duration::ZERO).unwrap();
        for _ in 0..u32::from(BUFFERS) * 3 {
            there.write_all(b"no").unwrap();
            assert!(ring.turn(|_| Err(io::ErrorKind::InvalidData.into())).is_err());
        }
    }
}
