//! A thread of its own for one side of a measurement, pinned to a processor.

use std::io;
use std::thread::{self, JoinHandle};

use crate::cpu::pin_this_thread;

/// A running thread whose function returns a result.
pub(crate) struct PinnedThread<T, E> {
    name: &'static str,
    handle: JoinHandle<Result<T, E>>,
}

impl<T: Send + 'static, E: From<io::Error> + Send + 'static> PinnedThread<T, E> {
    /// Runs a function on a new thread, pinned to the allowed processor with the number `cpu`, counted round from 0.
    ///
    /// # Errors
    /// When the system refuses the thread.
    pub(crate) fn start(
        name: &'static str,
        cpu: usize,
        function: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> io::Result<PinnedThread<T, E>> {
        let handle = thread::Builder::new().name(name.to_owned()).spawn(move || {
            pin_this_thread(cpu)?;
            function()
        })?;
        Ok(PinnedThread { name, handle })
    }

    /// Waits for the function's result.
    ///
    /// # Errors
    /// Those of the function, of pinning, and a panic.
    pub(crate) fn join(self) -> Result<T, E> {
        let name = self.name;
        self.handle
            .join()
            // The panic has been printed.
            .unwrap_or_else(|_| Err(io::Error::other(format!("the thread {name} panicked")).into()))
    }
}
