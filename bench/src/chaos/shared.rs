//! The state that a proxy's thread and its value share.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use super::faults::Faults;

/// The counts of a proxy so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChaosCounts {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were cut on purpose.
    pub cut: u64,
    /// Connections that were closed because the target was not reached, or there were too many.
    pub refused: u64,
    /// Bytes that were forwarded in both directions.
    pub bytes: u64,
}

/// The state that the proxy's thread and its value share.
pub(super) struct Shared {
    pub(super) faults: Mutex<Faults>,
    /// Cuts of all connections that were requested.
    pub(super) cuts_requested: AtomicU64,
    pub(super) ended: AtomicBool,
    /// Ends the thread's poll, so that it reads the other fields.
    pub(super) bell: OwnedFd,
    pub(super) accepted: AtomicU64,
    pub(super) cut: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) bytes: AtomicU64,
}

impl Shared {
    pub(super) fn new(faults: Faults) -> io::Result<Shared> {
        Ok(Shared {
            faults: Mutex::new(faults),
            cuts_requested: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            bell: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            accepted: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        })
    }

    pub(super) fn ring(&self) {
        // Fails only when it has been rung 2^64 - 2 times without a read.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    pub(super) fn faults(&self) -> Faults {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> ChaosCounts {
        ChaosCounts {
            accepted: self.accepted.load(Ordering::Relaxed),
            cut: self.cut.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}
