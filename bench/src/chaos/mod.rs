//! A TCP proxy that misbehaves on purpose: it cuts, delays, trickles and stalls what passes through it, so that
//! tests and measurements meet the faults of real networks on one machine.
//!
//! One thread with one poll loop serves all connections. A cut drops what the proxy holds: bytes that one
//! side has written and the other has not got are lost, as when a cable is cut.
//!
//! Invariants: what is passed on is passed on unchanged and in order; connections and the bytes they hold are
//! bounded; the thread ends with the value that stands for it.

mod connection;
mod pump;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

/// Most connections that pass through a proxy at a time; further ones are closed at once.
pub const CHAOS_CONNECTIONS_MAX: usize = 1_024;

/// Most bytes that wait in one direction of a connection; past them the proxy stops reading from that side.
pub const CHAOS_HELD_BYTES_MAX: usize = 256 << 10;

/// How a [`ChaosProxy`] misbehaves. The default passes everything on at once.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Faults {
    /// All connections are cut so many times a second, at even distances; 0 = never.
    pub cuts_per_second: f64,
    /// Connections are cut with a reset (RST) instead of an orderly end (FIN).
    pub reset: bool,
    /// What is read is passed on no sooner than this after it was read.
    pub delay: Duration,
    /// At most so many bytes are passed on in a piece, one piece a millisecond in each direction.
    pub trickle_bytes: Option<usize>,
    /// Nothing is passed on and nothing is cut, but connections are accepted: a half-open peer. What is read
    /// before stays where it is until the stall is over.
    pub stalled: bool,
}

/// What has happened to a proxy's connections so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChaosCounts {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were cut on purpose.
    pub cut: u64,
    /// Connections that were closed because their target was not reached, or they were too many.
    pub refused: u64,
    /// Bytes that were passed on, both directions together.
    pub bytes: u64,
}

/// What the proxy's thread and the value that stands for it share.
struct Shared {
    faults: Mutex<Faults>,
    /// Cuts of all connections that were asked for one by one.
    cuts_wanted: AtomicU64,
    ended: AtomicBool,
    /// Ends the thread's poll, so that it looks at the rest.
    bell: OwnedFd,
    accepted: AtomicU64,
    cut: AtomicU64,
    refused: AtomicU64,
    bytes: AtomicU64,
}

impl Shared {
    fn ring(&self) {
        // Fails only when it has been rung 2^64 - 2 times without a look.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    fn faults(&self) -> Faults {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running proxy. Dropping it closes its connections.
pub struct ChaosProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl ChaosProxy {
    /// Listens on `listen` (port 0 = any free one) and passes every connection on to `target`.
    ///
    /// # Errors
    /// When the port is taken, or the system refuses descriptors or a thread.
    pub fn start(listen: SocketAddr, target: SocketAddr, faults: Faults) -> io::Result<ChaosProxy> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            faults: Mutex::new(faults),
            cuts_wanted: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            bell: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            accepted: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let there = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("chaos".to_owned())
            .spawn(move || pump::run(&listener, target, &there))?;
        Ok(ChaosProxy {
            address,
            shared,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Misbehaves like this from now on.
    pub fn set(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
        self.shared.ring();
    }

    /// Cuts every connection once.
    pub fn cut(&self) {
        self.shared.cuts_wanted.fetch_add(1, Ordering::AcqRel);
        self.shared.ring();
    }

    /// What has happened so far.
    pub fn counts(&self) -> ChaosCounts {
        ChaosCounts {
            accepted: self.shared.accepted.load(Ordering::Relaxed),
            cut: self.shared.cut.load(Ordering::Relaxed),
            refused: self.shared.refused.load(Ordering::Relaxed),
            bytes: self.shared.bytes.load(Ordering::Relaxed),
        }
    }
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.shared.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
