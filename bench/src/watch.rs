//! One place where everything that the started processes say comes in.

use std::io;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::interrupt::Interrupt;
use crate::process::{Event, Process};

/// Events that wait to be looked at; further ones wait in their processes.
const EVENTS_MAX: usize = 1_024;

/// Time between two looks at whether the program is to end.
const INTERRUPT_POLL: Duration = Duration::from_millis(50);

/// Why nothing came of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WatchError {
    /// Somebody wants the program to end.
    #[error("interrupted")]
    Interrupted,
    /// It took too long.
    #[error("nothing within {0:?}")]
    TimedOut(Duration),
}

/// Starts processes and hears what they say.
pub struct Watch {
    sender: SyncSender<Event>,
    receiver: Receiver<Event>,
    interrupt: Interrupt,
    show: fn(&Event),
}

impl Watch {
    /// `show` is shown every event, whoever waits for it.
    pub fn new(interrupt: Interrupt, show: fn(&Event)) -> Watch {
        let (sender, receiver) = sync_channel(EVENTS_MAX);
        Watch {
            sender,
            receiver,
            interrupt,
            show,
        }
    }

    /// Starts a process under a name.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn start(&self, name: &'static str, command: Command) -> io::Result<Process> {
        Process::start(name, command, self.sender.clone())
    }

    /// Waits until `look` makes something of an event, for `time_max` at most.
    ///
    /// # Errors
    /// [`WatchError`] when it does not, or the program is to end.
    pub fn wait<T>(
        &mut self,
        time_max: Duration,
        mut look: impl FnMut(&Event) -> Option<T>,
    ) -> Result<T, WatchError> {
        let started = Instant::now();
        loop {
            if self.interrupt.requested() {
                return Err(WatchError::Interrupted);
            }
            let Some(left) = time_max.checked_sub(started.elapsed()) else {
                return Err(WatchError::TimedOut(time_max));
            };
            match self.receiver.recv_timeout(left.min(INTERRUPT_POLL)) {
                Ok(event) => {
                    (self.show)(&event);
                    if let Some(found) = look(&event) {
                        return Ok(found);
                    }
                }
                // Never disconnected: a sender is kept here.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }
}
