//! The output of the demo: its own lines, the log of the gate's application, and, dimmed, the logs of the nodes.
//!
//! Only a terminal gets colours and a line that is rewritten in place.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use skyring_bench::{Event, EventKind, duration, grouped};

use super::nodes::GATE;
use super::protocol::{LoadFigures, Reply};
use crate::shared::output::escape_line;
use crate::shared::status_line::CLEAR_LINE;

/// Calls per second of one channel, by Skynet's own figures.
const SKYNET_CALLS_PER_SECOND: f64 = 10_000.0;

const OK: Style = AnsiColor::Green.on_default().bold();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Prints the heading.
pub(super) fn print_heading() -> io::Result<()> {
    line(&format!(
        "{BOLD}Skyring: a database, its backup and a gateway, three processes on this machine{BOLD:#}"
    ))
}

/// Prints a step that succeeded.
pub(super) fn print_ok(step: &str, outcome: &str) -> io::Result<()> {
    line(&format!(
        "{OK}ok{OK:#}  {BOLD}{step:<16}{BOLD:#}{}",
        escape_line(outcome)
    ))
}

/// Prints a line of a process, unless it is a reply of the gate to its parent.
pub(super) fn print_event(event: &Event) {
    let EventKind::Line(text) = &event.kind else {
        return;
    };
    if event.name == GATE && Reply::parse(text).is_some() {
        return;
    }
    // On the gate the application is the only service that logs; `:00000000` is the node.
    let of_application = event.name == GATE && text.starts_with("[:") && !text.starts_with("[:00000000]");
    let style = if of_application { BOLD } else { DIM };
    // A closed output is reported by the next line of the scenario.
    let _ = line(&format!(
        "    {DIM}{:>9} |{DIM:#} {style}{}{style:#}",
        event.name,
        escape_line(text)
    ));
}

/// Prints the current rate: in place on a terminal; elsewhere only if `is_line`.
pub(super) fn print_rate(calls_per_second: f64, is_line: bool) -> io::Result<()> {
    let text = format!("    load against db: {} calls/s", grouped(calls_per_second));
    if io::stdout().is_terminal() {
        let mut out = anstream::stdout();
        write!(out, "{CLEAR_LINE}{text}")?;
        out.flush()
    } else if is_line {
        line(&text)
    } else {
        Ok(())
    }
}

/// Prints the figures of the load.
pub(super) fn print_table(load: &LoadFigures) -> io::Result<()> {
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
    let clear = if io::stdout().is_terminal() {
        CLEAR_LINE
    } else {
        ""
    };
    writeln!(anstream::stdout(), "{clear}{text}")
}
