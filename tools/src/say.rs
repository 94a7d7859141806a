//! What the command says: its styles and examples, and how it prints.

use std::fmt;
use std::io::Write as _;
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

/// Shown by `skyring --help`.
pub(crate) const EXAMPLES: &str = "\
Examples:
  skyring demo                                              a cluster at work, in ten seconds
  skyring run docs/examples/cluster/config_db               a node; Ctrl-C stops it
  skyring call --addr 127.0.0.1:7102 @sdb SET name skyring  a call to it
  skyring check docs/examples/cluster/config_db             what is in a config

Exit codes: 0 done, 1 it did not work, 2 the arguments or a file are wrong.";

/// Exit code when it did not work.
pub(crate) const FAILED: u8 = 1;

/// Exit code when the arguments or a file are wrong.
pub(crate) const WRONG: u8 = 2;

/// Prints one line with the cause on the standard error, and gives the exit code.
///
/// Texts from outside (a file's, a peer's) may hold anything; line breaks and control characters are escaped
/// so that the line stays one and a terminal only shows it.
pub(crate) fn fail(code: u8, cause: impl fmt::Display) -> ExitCode {
    let error = STYLES.get_error();
    let cause = one_line(&cause.to_string());
    // With the standard error gone there is nobody left to tell; the exit code still says it.
    let _ = writeln!(anstream::stderr(), "{error}error:{error:#} {cause}");
    ExitCode::from(code)
}

/// The text with its control characters escaped.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}
