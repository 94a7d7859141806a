//! A part of the measurement in a process of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::Outcome;
use crate::processors::processor_time;

/// A child process with lines in both directions. Drop ends it.
pub(crate) struct Part {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Part {
    /// This program again, in another part; started by another program, if that is given with its arguments.
    pub(crate) fn start(by: &[&str], arguments: &[&str]) -> Outcome<Part> {
        let own = std::env::current_exe()?;
        let mut command = match by.split_first() {
            None => Command::new(own),
            Some((program, options)) => {
                let mut command = Command::new(program);
                command.args(options).arg(own);
                command
            }
        };
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        Ok(Part {
            stdin: stdin.ok_or("no standard input")?,
            stdout: BufReader::new(stdout.ok_or("no standard output")?),
            child,
        })
    }

    pub(crate) fn tell(&mut self, line: &str) -> Outcome<()> {
        writeln!(self.stdin, "{line}")?;
        Ok(self.stdin.flush()?)
    }

    pub(crate) fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line)? {
            0 => Err("a part has ended".into()),
            _ => Ok(line.trim().to_owned()),
        }
    }

    pub(crate) fn processor_time(&self) -> Outcome<Duration> {
        processor_time(self.child.id())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Both fail only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
