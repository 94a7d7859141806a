//! The log: lines as Skynet prints them, `[:00000008] text`, written by one thread.
//!
//! Invariants:
//!
//! - Logging never waits. A line that finds the queue full is dropped and counted, and the log reports the number of
//!   dropped lines as soon as the queue has space.
//! - Memory is bounded: [`LINES_QUEUED_MAX`] lines of at most [`LINE_BYTES_MAX`] bytes of text.
//! - One message cannot look like two. Control characters are escaped, and the further lines of a text (a traceback)
//!   are indented, so that only a real message begins with `[:`.
//! - A service may take the lines instead of a file or the standard output; its own lines, and all lines once it has
//!   ended, go to the standard output.
//! - A destination that fails (disk full, closed pipe) loses lines, which are counted, and has no other effect.
//! - Lines of one thread keep their order.

mod format;
mod level;
mod line;
mod receiver;
mod throttle;
mod time;
mod writer;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Sender};
use rustix::fs::OFlags;

pub use format::Format;
pub use level::{Level, Levels, Origin};
pub use line::LINE_BYTES_MAX;
pub(crate) use receiver::{End, Line, Receiver};
pub use throttle::Throttle;
pub(crate) use time::time_text;
pub use time::{LocalOffset, Stamp};

use line::{cut, cut_bytes};
use time::now_ms;
use writer::{Entry, Reopen, Writer};

/// Most lines that wait to be written; further ones are dropped.
pub const LINES_QUEUED_MAX: usize = 8192;

/// How long [`Logger::shutdown`] waits for a destination that does not accept the queued lines.
pub const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(2);

/// The destination of the lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The standard output of the process.
    Stdout,
    /// A file; it is created if it does not exist, and lines are appended.
    File(PathBuf),
}

/// The form of the lines, and which are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) stamp: Stamp,
    pub(crate) format: Format,
    pub(crate) levels: Levels,
}

impl Default for Style {
    /// Skynet's lines without a time.
    fn default() -> Style {
        Style {
            stamp: Stamp::None,
            format: Format::default(),
            levels: Levels::default(),
        }
    }
}

/// A handle to the log, cheap to clone and usable from every thread.
///
/// When the last clone is dropped, the log thread writes the queued lines and ends; [`Logger::shutdown`] does so and
/// waits for it.
#[derive(Clone)]
pub struct Logger {
    shared: Arc<Shared>,
}

struct Shared {
    entries: Sender<Entry>,
    dropped: Arc<AtomicU64>,
    /// Whether lines get a time when they are logged.
    is_timed: bool,
    levels: Levels,
    /// Taken by the first shutdown: the thread, and a channel that closes when the thread is done.
    thread: Mutex<Option<(JoinHandle<()>, channel::Receiver<()>)>>,
}

/// The lines of a log that a test reads.
#[cfg(feature = "testing")]
pub(crate) struct Captured(channel::Receiver<Entry>);

#[cfg(feature = "testing")]
impl Captured {
    /// Takes the next line: the service's handle, 0 for the node itself, and its text.
    pub(crate) fn pop(&self) -> Option<(u32, String)> {
        loop {
            if let Entry::Line(line) = self.0.try_recv().ok()? {
                return Some((line.source, String::from_utf8_lossy(&line.text).into_owned()));
            }
        }
    }
}

/// Opens a log file. A pipe without a reader is an error, as opening it would wait for one.
fn open_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .append(true)
        .create(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = options.open(path)?;
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

impl Logger {
    /// Opens the destination and starts the log thread.
    ///
    /// # Errors
    /// When the destination cannot be opened or the thread cannot be started.
    pub fn start(destination: Destination) -> io::Result<Logger> {
        Logger::start_with(destination, Style::default(), false)
    }

    /// The same with a form of the lines, and a choice among them. With `holds` the lines wait for [`Logger::set_receiver`].
    ///
    /// # Errors
    /// As for [`Logger::start`].
    pub(crate) fn start_with(destination: Destination, style: Style, holds: bool) -> io::Result<Logger> {
        let (file, reopen) = match destination {
            // A separate descriptor, without the buffer of `std`'s standard output.
            Destination::Stdout => (File::from(io::stdout().as_fd().try_clone_to_owned()?), None),
            Destination::File(path) => {
                let file = open_file(&path)?;
                let reopen: Reopen<File> = Box::new(move || open_file(&path));
                (file, Some(reopen))
            }
        };
        let (entries, queue) = channel::bounded(LINES_QUEUED_MAX);
        let (done, closed_when_done) = channel::bounded::<()>(0);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer::new(queue, file, style.stamp, Arc::clone(&dropped))
            .formatting(style.format)
            .reopening(reopen)
            .holding(holds);
        let thread = thread::Builder::new()
            .name("skyring-log".to_owned())
            .spawn(move || {
                writer.run();
                drop(done);
            })?;
        let thread = Mutex::new(Some((thread, closed_when_done)));
        Ok(Logger {
            shared: Arc::new(Shared {
                entries,
                dropped,
                is_timed: style.stamp.needs_time() || style.format == Format::Json,
                levels: style.levels,
                thread,
            }),
        })
    }

    /// A log without a thread, and its lines.
    #[cfg(feature = "testing")]
    pub(crate) fn captured() -> (Logger, Captured) {
        let (entries, queue) = channel::bounded(LINES_QUEUED_MAX);
        let logger = Logger {
            shared: Arc::new(Shared {
                entries,
                dropped: Arc::default(),
                is_timed: false,
                levels: Levels::default(),
                thread: Mutex::new(None),
            }),
        };
        (logger, Captured(queue))
    }

    /// A log without a thread, whose lines are dropped once its queue is full.
    #[cfg(test)]
    pub(crate) fn disabled() -> Logger {
        let (entries, _) = channel::bounded(1);
        Logger {
            shared: Arc::new(Shared {
                entries,
                dropped: Arc::default(),
                is_timed: false,
                levels: Levels::default(),
                thread: Mutex::new(None),
            }),
        }
    }

    /// Queues a line of the service with this handle; 0 is the node itself. Never waits.
    ///
    /// `text` is anything that prints: a `&str`, a `String`, or `format_args!(…)`, which saves a copy. A text of more
    /// than [`LINE_BYTES_MAX`] bytes is cut, with a mark that counts the rest.
    pub fn log(&self, source: u32, text: impl fmt::Display) {
        self.write(Origin::of(source), Level::Info, source, text);
    }

    /// The same with where the line is from, and how much it matters. A line that nobody wants costs nothing: its text is
    /// not even formatted.
    pub fn write(&self, origin: Origin, level: Level, source: u32, text: impl fmt::Display) {
        self.queue(origin, level, source, || cut(text).into_bytes());
    }

    /// Like [`Logger::log`], with a text in any encoding, which is written as it is.
    pub fn log_bytes(&self, source: u32, text: &[u8]) {
        self.queue(Origin::of(source), Level::Info, source, || cut_bytes(text));
    }

    /// Opens the log file again by its name, after it was moved away; a service that takes the lines is told. Has no
    /// effect on the standard output.
    pub fn reopen(&self) {
        // A log that is so far behind is asked again by whoever moves its file.
        let _ = self.shared.entries.try_send(Entry::Reopen);
    }

    /// Hands the lines to a service from now on.
    pub(crate) fn set_receiver(&self, receiver: Box<dyn Receiver>) {
        // The log thread takes it as soon as it has written what is queued; without that thread nothing is written.
        let _ = self.shared.entries.send(Entry::Receiver(receiver));
    }

    fn queue(&self, origin: Origin, level: Level, source: u32, text: impl FnOnce() -> Vec<u8>) {
        if !self.shared.levels.allows(origin, level) {
            return;
        }
        // Checked first, so that dropped lines are not even formatted.
        let queued = !self.shared.entries.is_full()
            && self
                .shared
                .entries
                .try_send(Entry::Line(Line {
                    source,
                    origin,
                    level,
                    text: text(),
                    at_ms: if self.shared.is_timed { now_ms() } else { 0 },
                }))
                .is_ok();
        if !queued {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            // If the queue has become empty, the log thread sleeps and would not report this line before the next
            // one; otherwise the report follows anyway.
            let _ = self.shared.entries.try_send(Entry::Report);
        }
    }

    /// Waits until every line logged before this call is written, or lost to a failing destination. Returns `false`
    /// if that takes longer than `timeout` or the log is shut down.
    ///
    /// Unlike [`Logger::log`] it waits: do not call it on threads that run services.
    pub fn flush(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let (done, closed_when_done) = channel::bounded::<()>(1);
        if self
            .shared
            .entries
            .send_deadline(Entry::Flush(done), deadline)
            .is_err()
        {
            return false;
        }
        closed_when_done.recv_deadline(deadline).is_ok()
    }

    /// Writes the queued lines and ends the log thread; waits for it, but no longer than [`SHUTDOWN_TIME_MAX`] for a
    /// destination that is stuck. Later lines are dropped and counted. A second call does nothing.
    pub fn shutdown(&self) {
        let taken = self
            .shared
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some((thread, closed_when_done)) = taken else {
            return;
        };
        let deadline = Instant::now() + SHUTDOWN_TIME_MAX;
        if self
            .shared
            .entries
            .send_deadline(Entry::Shutdown, deadline)
            .is_err()
        {
            return;
        }
        // Nothing is ever sent on it: its closing ends the wait.
        let ended = closed_when_done.recv_deadline(deadline);
        if ended == Err(channel::RecvTimeoutError::Disconnected) {
            // A log thread that panicked has reported that on the standard error; there is no log to report it to.
            let _ = thread.join();
        }
    }

    /// The number of lines lost since the start: to a full queue, to a failing destination, or after shutdown.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Logger")
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}
