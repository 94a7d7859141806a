//! A child process: the lines that it writes, and its end.

use std::io::{self, BufRead, BufReader, PipeReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

/// Longer lines of a process are passed in parts of this size.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// Time between two checks whether a process has ended.
const END_POLL_INTERVAL: Duration = Duration::from_millis(2);

/// What happened to a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// It wrote a line, to its standard output or error.
    Line(String),
    /// Both are closed: it has ended, or will in a moment.
    Closed,
}

/// An event of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The name that it was started under.
    pub name: &'static str,
    /// Its process id, which distinguishes two processes of one name.
    pub id: u32,
    /// What happened.
    pub kind: EventKind,
}

/// Makes the kernel kill this process when the thread that started it ends, even with SIGKILL, when no value is
/// dropped any more. The setting lasts across `exec`.
///
/// # Errors
/// When the system refuses.
pub fn end_with_parent() -> io::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// A child process. Dropping it kills it and waits for its end.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Process {
    /// Starts it. Every line that it writes goes to `events`, which blocks the process while it is full.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        events: SyncSender<Event>,
    ) -> io::Result<Process> {
        // One pipe for both: its order is the order in which the process wrote.
        let (reader, writer) = io::pipe()?;
        command.stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn()?;
        // The command has writing ends, which would keep the pipe open.
        drop(command);
        let stdin = child.stdin.take();
        let process = Process { child, stdin };
        let id = process.id();
        thread::Builder::new()
            .name(format!("read-{name}"))
            .spawn(move || forward_lines(name, id, reader, &events))?;
        Ok(process)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its standard input, if the command that started it piped that.
    ///
    /// # Errors
    /// When its standard input is closed.
    pub fn write_line(&mut self, line: &str) -> io::Result<()> {
        let Some(stdin) = self.stdin.as_mut() else {
            return Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "its standard input is closed",
            ));
        };
        stdin.write_all(format!("{line}\n").as_bytes())
    }

    /// Stops it with SIGSTOP: it does nothing until [`resume`](Self::resume), and its connections stay open.
    ///
    /// # Errors
    /// When it has ended, or the system refuses.
    pub fn pause(&self) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::STOP)?)
    }

    /// Lets it continue.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub fn resume(&self) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::CONT)?)
    }

    /// Ends it with SIGKILL, and waits for its end.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Ends it by closing its standard input and with SIGTERM; with SIGKILL when it takes longer than
    /// `time_max`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn end(&mut self, time_max: Duration) -> io::Result<ExitStatus> {
        self.stdin = None;
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        // No one has waited for it yet, so the id is still its own.
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let started = Instant::now();
        while started.elapsed() < time_max {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(END_POLL_INTERVAL);
        }
        self.kill()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.kill();
    }
}

/// Forwards the lines that a process writes, until it ends or the receiver is gone.
fn forward_lines(name: &'static str, id: u32, pipe: PipeReader, events: &SyncSender<Event>) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader)
            .take(LINE_BYTES_MAX as u64)
            .read_until(b'\n', &mut line);
        let kind = match read {
            Ok(0) | Err(_) => EventKind::Closed,
            Ok(_) => EventKind::Line(String::from_utf8_lossy(&line).trim_end().to_owned()),
        };
        let is_closed = kind == EventKind::Closed;
        if events.send(Event { name, id, kind }).is_err() || is_closed {
            return;
        }
    }
}
