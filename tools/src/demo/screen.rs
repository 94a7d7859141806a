//! What the demo prints: its own lines, what the gate's application says, and, dimmed, the nodes' logs.
//!
//! Colours and the line that is rewritten in place are for terminals; elsewhere every line is plain.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use skyring_bench::{Event, EventKind, duration, grouped};

use super::GATE;
use super::steps::{LoadFigures, Reply};
use crate::say::one_line;

/// Calls a second of one channel that Skynet's own figures promise.
const SKYNET_CALLS_PER_SECOND: f64 = 10_000.0;

const OK: Style = AnsiColor::Green.on_default().bold();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Back to the start of the line, and empty it.
const CLEAR: &str = "\r\x1b[K";

/// The first words.
pub(super) fn begin() -> io::Result<()> {
    line(&format!(
        "{BOLD}Skyring: a database, its backup and a gateway, three processes on this machine{BOLD:#}"
    ))
}

/// A step that did what it should.
pub(super) fn done(what: &str, text: &str) -> io::Result<()> {
    line(&format!(
        "{OK}ok{OK:#}  {BOLD}{what:<16}{BOLD:#}{}",
        one_line(text)
    ))
}

/// A line of a process, unless it is the gate's word to its parent.
pub(super) fn show(event: &Event) {
    let EventKind::Line(text) = &event.kind else {
        return;
    };
    if event.name == GATE && Reply::read(text).is_some() {
        return;
    }
    // On the gate the application is all that speaks in the name of a service; `:00000000` is the node.
    let of_application = event.name == GATE && text.starts_with("[:") && !text.starts_with("[:00000000]");
    let style = if of_application { BOLD } else { DIM };
    // A closed output is noticed at the next line of the story.
    let _ = line(&format!(
        "    {DIM}{:>9} |{DIM:#} {style}{}{style:#}",
        event.name,
        one_line(text)
    ));
}

/// The live rate: in place on a terminal; elsewhere it is printed only where `is_line`.
pub(super) fn rate(calls_per_second: f64, is_line: bool) -> io::Result<()> {
    let text = format!("    load against db: {} calls/s", grouped(calls_per_second));
    if io::stdout().is_terminal() {
        let mut out = anstream::stdout();
        write!(out, "{CLEAR}{text}")?;
        out.flush()
    } else if is_line {
        line(&text)
    } else {
        Ok(())
    }
}

/// The figures of the load.
pub(super) fn table(load: &LoadFigures) -> io::Result<()> {
    let times = load.calls_per_second / SKYNET_CALLS_PER_SECOND;
    line("")?;
    line(&format!(
        "{BOLD}{:<24}{:>12}{:>10}{:>10}{:>10}   x Skynet's 10K+ a channel{BOLD:#}",
        "", "calls/s", "p50", "p99", "p99.9"
    ))?;
    line(&format!(
        "{:<24}{:>12}{:>10}{:>10}{:>10}   {OK}{times:.0}{OK:#}",
        "Skyring, one channel",
        grouped(load.calls_per_second),
        duration(load.p50_us),
        duration(load.p99_us),
        duration(load.p999_us),
    ))?;
    line(&format!(
        "{:<24}{:>12}{:>10}{:>10}{:>10}   1",
        "Skynet, one channel",
        grouped(SKYNET_CALLS_PER_SECOND),
        "",
        "",
        ""
    ))
}

fn line(text: &str) -> io::Result<()> {
    let clear = if io::stdout().is_terminal() { CLEAR } else { "" };
    writeln!(anstream::stdout(), "{clear}{text}")
}
