//! A child process: what it says, line by line, and its end.

use std::io::{self, BufRead, BufReader, PipeReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

/// Longer lines of a process are given in pieces of this size.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// Time between two looks at whether a process has ended.
const END_POLL: Duration = Duration::from_millis(2);

/// What a process did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// It wrote a line, to its standard output or error.
    Line(String),
    /// Both are closed: it has ended, or will in a moment.
    Closed,
}

/// What was heard of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The name that it was started under.
    pub name: &'static str,
    /// Its process id, which tells two lives of one name apart.
    pub id: u32,
    /// What it did.
    pub happening: Happening,
}

/// For a process that must not outlive the one that started it: the kernel kills it when the thread that
/// started it ends, be it with SIGKILL, when no value is dropped any more. It lasts across `exec`.
///
/// # Errors
/// When the system refuses.
pub fn end_with_parent() -> io::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// A child process. Dropping it kills it, and waits for its end.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Process {
    /// Starts it. Every line that it writes goes to `events`, which holds the process up when it is full.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        events: SyncSender<Event>,
    ) -> io::Result<Process> {
        // One pipe for both: its order is the order in which the process wrote.
        let (reader, writer) = io::pipe()?;
        command.stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn()?;
        // The command holds writing ends, and with them the pipe open.
        drop(command);
        let stdin = child.stdin.take();
        let process = Process { child, stdin };
        let id = process.id();
        thread::Builder::new()
            .name(format!("hear-{name}"))
            .spawn(move || hear(name, id, reader, &events))?;
        Ok(process)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its standard input, if the command that started it piped that.
    ///
    /// # Errors
    /// When it does not listen, or not any more.
    pub fn tell(&mut self, line: &str) -> io::Result<()> {
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
    /// When it is gone, or the system refuses.
    pub fn pause(&self) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::STOP)?)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub fn resume(&self) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::CONT)?)
    }

    /// Ends it with SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Ends it by closing its standard input and with SIGTERM; with SIGKILL when it takes longer than
    /// `patience`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn end(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        self.stdin = None;
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        // It is not waited for yet, so the id is still its own.
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let started = Instant::now();
        while started.elapsed() < patience {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(END_POLL);
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

/// Passes on what a process writes, until it writes no more or nobody listens.
fn hear(name: &'static str, id: u32, pipe: PipeReader, events: &SyncSender<Event>) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader)
            .take(LINE_BYTES_MAX as u64)
            .read_until(b'\n', &mut line);
        let happening = match read {
            Ok(0) | Err(_) => Happening::Closed,
            Ok(_) => Happening::Line(String::from_utf8_lossy(&line).trim_end().to_owned()),
        };
        let closed = happening == Happening::Closed;
        if events.send(Event { name, id, happening }).is_err() || closed {
            return;
        }
    }
}
