//! The signals that stop a node, and the one that makes it open its log again.
//!
//! Invariant: after the first signal the process ends within twice the config's `stop_timeout_ms` and [`STOP_TIME_MAX`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::shared::output::{EXIT_FAILURE, fail};

/// Longest time that a stop may take, in addition to its wait for calls and for services.
const STOP_TIME_MAX: Duration = Duration::from_secs(3);

/// Longest time that a stop waits for calls, in milliseconds; 0 before the node has started.
static STOP_TIMEOUT_MS: AtomicU32 = AtomicU32::new(0);

/// A signal this soon after the first is a duplicate of it: `timeout` signals its child and then its
/// group, and a terminal's Ctrl-C may be passed on by a wrapper that gets it too.
const REPEAT_TIME_MAX: Duration = Duration::from_millis(100);

/// Sets the longest time that a stop waits for calls, in milliseconds.
pub(super) fn set_stop_timeout_ms(stop_timeout_ms: u32) {
    STOP_TIMEOUT_MS.store(stop_timeout_ms, Ordering::Relaxed);
}

/// Asks for a stop, as a signal does.
pub(super) fn stop() {
    // It can only fail for a signal that does not exist.
    let _ = low_level::raise(SIGTERM);
}

/// What a signal asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// To stop the node.
    Stop,
    /// To open the log file, and to read the certificates, again.
    Reload,
}

/// The signals that were caught.
pub(super) struct Watched {
    /// Something was asked for.
    wake: Receiver<()>,
    /// The log is to be opened again.
    reopens: Arc<AtomicBool>,
    /// The node is to be stopped.
    stops: Arc<AtomicBool>,
}

impl Watched {
    /// Waits until a signal asks for something, for `time_max` at most if there is one; `None` = the time is over. A stop
    /// comes first.
    pub(super) fn wait(&self, time_max: Option<Duration>) -> Option<Request> {
        let until = time_max.map(|time| Instant::now() + time);
        loop {
            let woken = match until {
                None => self.wake.recv().map_err(RecvTimeoutError::from),
                Some(until) => self
                    .wake
                    .recv_timeout(until.saturating_duration_since(Instant::now())),
            };
            // The watching thread has ended: then no signal could stop the node any more.
            let is_watched = woken != Err(RecvTimeoutError::Disconnected);
            if self.stops.load(Ordering::Acquire) || !is_watched {
                return Some(Request::Stop);
            }
            if self.reopens.swap(false, Ordering::AcqRel) {
                return Some(Request::Reload);
            }
            if woken.is_err() {
                return None;
            }
        }
    }
}

/// The reaction to a signal.
#[derive(Debug, PartialEq, Eq)]
enum Reaction {
    Stop,
    Ignore,
    EndNow,
}

/// The reaction to a signal, by the time since the first one.
fn reaction(since_first: Option<Duration>) -> Reaction {
    match since_first {
        None => Reaction::Stop,
        Some(elapsed) if elapsed < REPEAT_TIME_MAX => Reaction::Ignore,
        Some(_) => Reaction::EndNow,
    }
}

/// Watches for signals on a thread of its own.
pub(super) fn watch() -> io::Result<Watched> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    // At a limit of the file size the node loses lines of its log, as it does on a full disk, and goes on.
    flag::register(SIGXFSZ, Arc::default())?;
    let (waker, wake) = sync_channel(1);
    let (reopens, stops) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let watched = Watched {
        wake,
        reopens: Arc::clone(&reopens),
        stops: Arc::clone(&stops),
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut first: Option<Instant> = None;
        for signal in signals.forever() {
            if signal == SIGHUP {
                reopens.store(true, Ordering::Release);
                // A full channel wakes already.
                let _ = waker.try_send(());
                continue;
            }
            match reaction(first.map(|first| first.elapsed())) {
                Reaction::Stop => {
                    first = Some(Instant::now());
                    stops.store(true, Ordering::Release);
                    let _ = waker.try_send(());
                    // Without that thread a second signal still ends the process.
                    let _ = thread::Builder::new()
                        .name("stop-limit".to_owned())
                        .spawn(end_after_stop_time);
                }
                Reaction::Ignore => {}
                // The code with which a shell reports a process that the signal killed.
                Reaction::EndNow => low_level::exit(128 + signal),
            }
        }
    })?;
    Ok(watched)
}

/// Ends a process whose stop takes too long.
fn end_after_stop_time() {
    let stop_timeout = Duration::from_millis(u64::from(STOP_TIMEOUT_MS.load(Ordering::Relaxed)));
    // Once for the calls of peers, and once for the services to stop.
    let time_max = STOP_TIME_MAX + stop_timeout * 2;
    thread::sleep(time_max);
    let _ = fail(
        EXIT_FAILURE,
        format!("not stopped within {} s, ended", time_max.as_secs_f64()),
    );
    low_level::exit(i32::from(EXIT_FAILURE));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_stops_and_a_later_one_ends_at_once() {
        assert_eq!(reaction(None), Reaction::Stop);
        assert_eq!(reaction(Some(REPEAT_TIME_MAX)), Reaction::EndNow);
        assert_eq!(reaction(Some(Duration::from_secs(2))), Reaction::EndNow);
    }

    #[test]
    fn a_duplicate_of_the_first_signal_is_ignored() {
        assert_eq!(reaction(Some(Duration::ZERO)), Reaction::Ignore);
        assert_eq!(
            reaction(Some(REPEAT_TIME_MAX - Duration::from_millis(1))),
            Reaction::Ignore
        );
    }
}
