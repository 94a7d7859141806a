//! The logs of the messages of single services, which the command `LOGON` opens in the folder `logpath`, one file a
//! service, in Skynet's format.
//!
//! A message that nobody logs costs a look at one counter. Files are written by the shard of the service, a line at a
//! time: a disk that hangs stops that shard, as a worker thread of Skynet.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::{FxHashMap, FxHashSet};
use skyring::Handle;

use crate::host::Host;
use crate::kind;
use crate::library::events;
use crate::raw::clock;

/// Most services of a node whose messages are logged at a time.
pub const MESSAGE_LOGS_MAX: usize = 1_024;

/// The logs of one node.
#[derive(Default)]
pub(crate) struct MessageLogs {
    open: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The services in Lua, which are those whose messages can be logged.
    services: FxHashSet<u32>,
    files: FxHashMap<u32, File>,
}

/// What happened to a message, for its line.
pub(crate) struct Record<'a> {
    pub(crate) source: u32,
    pub(crate) kind: u8,
    pub(crate) session: u32,
    pub(crate) bytes: &'a [u8],
}

impl MessageLogs {
    /// A service starts.
    pub(crate) fn add_service(&self, handle: Handle) {
        self.state().services.insert(handle.0);
    }

    /// A service has ended. Its file is closed.
    pub(crate) fn remove_service(&self, handle: Handle) {
        let mut state = self.state();
        state.services.remove(&handle.0);
        if state.files.remove(&handle.0).is_some() {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Writes the line of a message, if the messages of the service are logged.
    #[inline]
    pub(crate) fn record(&self, host: &Host, record: &Record<'_>) {
        if self.open.load(Ordering::Relaxed) > 0 {
            self.record_line(host, record);
        }
    }

    #[cold]
    fn record_line(&self, host: &Host, record: &Record<'_>) {
        let handle = host.caller.handle();
        let mut state = self.state();
        let Some(file) = state.files.get_mut(&handle.0) else {
            return;
        };
        if let Err(error) = file.write_all(line(record, host.node.now()).as_bytes()) {
            state.files.remove(&handle.0);
            self.open.fetch_sub(1, Ordering::Relaxed);
            drop(state);
            host.caller.log(format!("Close log file {handle}: {error}"));
        }
    }

    /// Opens the log of a service, by the command of another. The outcome is a line in the log.
    pub(crate) fn switch_on(&self, host: &Host, handle: Handle) {
        let Some(folder) = host
            .node
            .environment(&host.caller, b"logpath")
            .filter(|path| !path.is_empty())
        else {
            return host.caller.log(format!(
                "the messages of {handle} are not logged: the config has no logpath"
            ));
        };
        let mut state = self.state();
        let refusal = if !state.services.contains(&handle.0) {
            Some("it is no service in Lua")
        } else if state.files.len() >= MESSAGE_LOGS_MAX {
            Some("too many log files are open")
        } else {
            None
        };
        if let Some(refusal) = refusal {
            drop(state);
            return host
                .caller
                .log(format!("the messages of {handle} are not logged: {refusal}"));
        }
        if state.files.contains_key(&handle.0) {
            return;
        }
        let path = PathBuf::from(std::ffi::OsString::from_vec(folder)).join(format!("{:08x}.log", handle.0));
        let opened = open(&path, host.node.now(), host.node.start_time());
        let name = path.display();
        let line = match opened {
            Ok(file) => {
                state.files.insert(handle.0, file);
                self.open.fetch_add(1, Ordering::Relaxed);
                format!("Open log file {name}")
            }
            Err(error) => format!("Open log file {name} fail: {error}"),
        };
        drop(state);
        host.caller.log(line);
    }

    /// Closes the log of a service.
    pub(crate) fn switch_off(&self, host: &Host, handle: Handle) {
        let Some(mut file) = self.state().files.remove(&handle.0) else {
            return;
        };
        self.open.fetch_sub(1, Ordering::Relaxed);
        // A last line that does not fit the disk is missed by nobody.
        let _ = file.write_all(format!("close time: {}\n", host.node.now()).as_bytes());
        host.caller.log(format!("Close log file {handle}"));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a file with Skynet's first line: hundredths of a second since the start, and the time of day.
fn open(path: &std::path::Path, now: i64, start_time: u64) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let time = clock::local_time_text(start_time as i64 + now / 100);
    file.write_all(format!("open time: {now} {time}\n").as_bytes())?;
    Ok(file)
}

/// The line of a message.
fn line(record: &Record<'_>, now: i64) -> String {
    let mut line = String::with_capacity(64 + 2 * record.bytes.len());
    // Writing to a String does not fail.
    if record.kind == kind::SOCKET
        && let Some((kind, socket, number, body)) = events::parts(record.bytes)
    {
        let _ = write!(line, "[socket] {kind} {socket} {number} ");
        if events::is_text(kind) {
            let _ = write!(line, "[{}]", String::from_utf8_lossy(&body));
        } else {
            append_hex(&mut line, &body);
        }
    } else {
        let Record {
            source,
            kind,
            session,
            ..
        } = record;
        let _ = write!(line, ":{source:08x} {kind} {session} {now} ");
        append_hex(&mut line, record.bytes);
    }
    line.push('\n');
    line
}

fn append_hex(line: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(line, "{byte:02x}");
    }
}
