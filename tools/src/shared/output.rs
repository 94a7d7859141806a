//! What all commands print alike: errors with their exit codes, styles, and text from outside with its control
//! characters escaped.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::builder::Styles;

/// Headings and names in `--help`; clap drops the colours where no terminal shows them.
pub(crate) const STYLES: Styles = Styles::styled()
    .header(Style::new().bold())
    .usage(Style::new().bold())
    .literal(AnsiColor::Cyan.on_default())
    .error(AnsiColor::Red.on_default().bold())
    .valid(AnsiColor::Green.on_default())
    .invalid(AnsiColor::Yellow.on_default());

/// Exit code when the command did not succeed.
pub(crate) const EXIT_FAILURE: u8 = 1;

/// Exit code when the arguments or a file are invalid.
pub(crate) const EXIT_USAGE: u8 = 2;

/// Exit code after a signal asked the program to end, as shells have it for SIGINT.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

/// Prints one line with the cause on the standard error, and returns the exit code.
///
/// Control characters in the cause, which may quote a file or a peer, are escaped, so that the output is one
/// line and cannot control the terminal.
pub(crate) fn fail(code: u8, cause: impl fmt::Display) -> ExitCode {
    let error = STYLES.get_error();
    let cause = escape_line(&cause.to_string());
    // Without a standard error only the exit code can report the failure.
    let _ = writeln!(anstream::stderr(), "{error}error:{error:#} {cause}");
    ExitCode::from(code)
}

/// The result of writing to the standard output, without the error of a reader that has closed it.
pub(crate) fn ignore_broken_pipe(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Escapes all control characters, so that the text is one line.
pub(crate) fn escape_line(text: &str) -> String {
    escape(text, |_| false)
}

/// Escapes all control characters but line breaks and tabs, so that text from a peer cannot control the terminal.
pub(crate) fn escape_text(text: &str) -> String {
    escape(text, |character| matches!(character, '\n' | '\t'))
}

fn escape(text: &str, is_exempt: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && !is_exempt(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escape_text("a\tb\nc\x1b[2J\r"), "a\tb\nc\\u{1b}[2J\\r");
        assert_eq!(escape_line("a\tb\nc\x1b[2J"), "a\\tb\\nc\\u{1b}[2J");
    }
}
