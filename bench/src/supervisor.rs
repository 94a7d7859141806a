//! Starts processes and receives the events of all of them in one place.

use std::io;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::interrupt::Interrupt;
use crate::process::{Event, EventKind, Process};

/// Events that wait to be received; further ones block their processes.
const EVENTS_MAX: usize = 1_024;

/// Time between two checks of the interrupt.
const INTERRUPT_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Why a wait ended without its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WaitError {
    /// The user interrupted the program.
    #[error("interrupted")]
    Interrupted,
    /// The time is over.
    #[error("nothing within {0:?}")]
    TimedOut(Duration),
}

/// Why a process that was started did not get ready.
#[derive(Debug)]
pub(crate) enum ReadyError {
    /// It ended.
    Ended {
        /// The last line that it wrote, if any.
        last_line: Option<String>,
    },
    /// The wait ended.
    Wait(WaitError),
}

/// Starts processes and receives their events.
pub struct Supervisor {
    sender: SyncSender<Event>,
    receiver: Receiver<Event>,
    interrupt: Interrupt,
    show: fn(&Event),
}

impl Supervisor {
    /// `show` is called with every event that a wait receives.
    pub fn new(interrupt: Interrupt, show: fn(&Event)) -> Supervisor {
        let (sender, receiver) = sync_channel(EVENTS_MAX);
        Supervisor {
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

    /// Waits until `find` returns a value for an event, for `time_max` at most.
    ///
    /// # Errors
    /// [`WaitError`].
    pub fn wait<T>(
        &mut self,
        time_max: Duration,
        mut find: impl FnMut(&Event) -> Option<T>,
    ) -> Result<T, WaitError> {
        let started = Instant::now();
        loop {
            if self.interrupt.requested() {
                return Err(WaitError::Interrupted);
            }
            let Some(left) = time_max.checked_sub(started.elapsed()) else {
                return Err(WaitError::TimedOut(time_max));
            };
            match self.receiver.recv_timeout(left.min(INTERRUPT_POLL_INTERVAL)) {
                Ok(event) => {
                    (self.show)(&event);
                    if let Some(found) = find(&event) {
                        return Ok(found);
                    }
                }
                // Never disconnected: this value has a sender.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    /// Waits until `find` returns a value for a line of a process, for `time_max` at most.
    ///
    /// # Errors
    /// [`ReadyError`].
    pub(crate) fn wait_until_ready<T>(
        &mut self,
        process: &Process,
        time_max: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ReadyError> {
        let mut last_line = None;
        let found = self.wait(time_max, |event| match &event.kind {
            _ if event.id != process.id() => None,
            EventKind::Line(line) => {
                let found = find(line);
                if found.is_none() {
                    last_line = Some(line.clone());
                }
                found.map(Some)
            }
            EventKind::Closed => Some(None),
        });
        match found {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(ReadyError::Ended { last_line }),
            Err(error) => Err(ReadyError::Wait(error)),
        }
    }

    /// Waits for the next result that a process writes, a line of JSON, for `time_max` at most. `Ok(Err(_))`: the process
    /// ended without one; the text is what it said of the cause.
    ///
    /// # Errors
    /// [`WaitError`].
    pub(crate) fn wait_for_result(
        &mut self,
        process: u32,
        time_max: Duration,
    ) -> Result<Result<String, String>, WaitError> {
        let mut cause = "it ended and wrote nothing".to_owned();
        let line = self.wait(time_max, |event| match &event.kind {
            _ if event.id != process => None,
            EventKind::Line(line) if line.starts_with('{') => Some(Some(line.clone())),
            EventKind::Line(line) => {
                // The first line that reports an error names the cause; advice may follow.
                if !line.trim().is_empty() && !cause.starts_with("error: ") {
                    cause.clone_from(line);
                }
                None
            }
            EventKind::Closed => Some(None),
        })?;
        Ok(line.ok_or_else(|| cause.trim_start_matches("error: ").to_owned()))
    }
}
