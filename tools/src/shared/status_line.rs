//! A status line on the standard error, rewritten in place. Without a terminal there is none.
//!
//! Errors are ignored: a status that nobody can see is no loss.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

/// Moves to the start of the line and clears it.
pub(crate) const CLEAR_LINE: &str = "\r\x1b[K";

/// The status line; it is cleared when it is dropped.
pub(crate) struct StatusLine {
    is_terminal: bool,
}

impl StatusLine {
    pub(crate) fn new() -> StatusLine {
        StatusLine {
            is_terminal: io::stderr().is_terminal(),
        }
    }

    /// Whether a terminal shows it.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Replaces the line.
    pub(crate) fn show(&self, status: impl fmt::Display) {
        if self.is_terminal {
            let _ = write!(io::stderr(), "{CLEAR_LINE}{status}");
        }
    }

    /// Prints a line that stays, in place of the status line.
    pub(crate) fn print_line(&self, line: impl fmt::Display) {
        let clear = if self.is_terminal { CLEAR_LINE } else { "" };
        let _ = writeln!(io::stderr(), "{clear}{line}");
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.show("");
    }
}
