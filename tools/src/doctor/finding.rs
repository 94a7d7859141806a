//! What was found, and how it is printed.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::shared::output::escape_line;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// For information.
    Note,
    /// A node starts, and is slower than it could be, or runs against a limit.
    Warning,
    /// A node does not start.
    Failure,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Failure => "failure",
        }
    }

    fn style(self) -> Style {
        match self {
            Level::Ok => AnsiColor::Green.on_default(),
            Level::Note => Style::new(),
            Level::Warning => AnsiColor::Yellow.on_default(),
            Level::Failure => AnsiColor::Red.on_default().bold(),
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// How bad it is.
    pub(super) level: Level,
    /// What was looked at.
    pub(super) what: String,
    /// What was found, and what to do about it.
    pub(super) text: String,
}

impl Finding {
    pub(super) fn new(level: Level, what: impl Into<String>, text: impl Into<String>) -> Finding {
        Finding {
            level,
            what: what.into(),
            text: text.into(),
        }
    }
}

/// Lines of a level, a name and a text, and a last line with the numbers of warnings and failures.
pub(super) fn report(findings: &[Finding]) -> String {
    let names: Vec<String> = findings
        .iter()
        .map(|finding| escape_line(&finding.what))
        .collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (finding, name) in findings.iter().zip(names) {
        let (style, level) = (finding.level.style(), finding.level.name());
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{style}{level:7}{style:#}  {name:width$}  {}",
            escape_line(&finding.text)
        );
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let _ = writeln!(
        text,
        "{}, {}",
        counted(count(Level::Warning), "warning"),
        counted(count(Level::Failure), "failure")
    );
    text
}

/// A number of things.
pub(super) fn counted(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_padded_and_warnings_and_failures_are_counted() {
        let findings = [
            Finding::new(Level::Ok, "kernel", "6.18"),
            Finding::new(Level::Warning, "open files", "4: more\nof them"),
        ];
        let text = anstream::adapter::strip_str(&report(&findings)).to_string();
        let expected = "\
ok       kernel      6.18
warning  open files  4: more\\nof them
1 warning, 0 failures
";
        assert_eq!(text, expected);
    }
}
