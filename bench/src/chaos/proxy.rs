//! The value of a running proxy.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};

use super::faults::Faults;
use super::relay;
use super::shared::{ChaosCounts, Shared};

/// A running proxy. Dropping it closes its connections.
pub struct ChaosProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl ChaosProxy {
    /// Listens on `listen` (port 0 = any free one) and forwards every connection to `target`.
    ///
    /// # Errors
    /// When the port is taken, or the system refuses descriptors or a thread.
    pub fn start(listen: SocketAddr, target: SocketAddr, faults: Faults) -> io::Result<ChaosProxy> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(faults)?);
        let there = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("chaos".to_owned())
            .spawn(move || relay::run(&listener, target, &there))?;
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

    /// Has these faults from now on.
    pub fn set(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
        self.shared.ring();
    }

    /// Cuts every connection once.
    pub fn cut(&self) {
        self.shared.cuts_requested.fetch_add(1, Ordering::AcqRel);
        self.shared.ring();
    }

    /// The counts so far.
    pub fn counts(&self) -> ChaosCounts {
        self.shared.counts()
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
