//! What the parent and the gate say to each other: commands into the gate's standard input, replies out of
//! its standard output, a line each. All else that the gate prints is its log.

use std::fmt;

/// What the gate is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// SET and GET on the database.
    Call,
    /// A send, and proof that it arrived.
    Send,
    /// A call that the database answers with an error.
    RemoteError,
    /// A call to a node that is not in the map yet, and the reload that names it, at this address.
    AddNode(String),
    /// The reload that turns that node off, and on again.
    TurnOff,
    /// Start the application that uses the database and switches to its backup.
    StartApplication,
    /// Stop it, and load the database for so many seconds.
    Load(u64),
}

/// What the gate replies.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    /// It did that; what came of it.
    Done(String),
    /// It could not, or something else came of it.
    Failed(String),
    /// Calls a second at this moment.
    Rate(f64),
    /// The load is over.
    Loaded(LoadFigures),
}

/// What is shown of a load.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LoadFigures {
    pub(super) calls_per_second: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Call => formatter.write_str("call"),
            Step::Send => formatter.write_str("send"),
            Step::RemoteError => formatter.write_str("remote-error"),
            Step::AddNode(address) => write!(formatter, "add-node {address}"),
            Step::TurnOff => formatter.write_str("turn-off"),
            Step::StartApplication => formatter.write_str("start-application"),
            Step::Load(seconds) => write!(formatter, "load {seconds}"),
        }
    }
}

impl Step {
    /// Reads a command.
    pub(super) fn read(line: &str) -> Option<Step> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "call" => Step::Call,
            "send" => Step::Send,
            "remote-error" => Step::RemoteError,
            "add-node" => Step::AddNode(rest.to_owned()),
            "turn-off" => Step::TurnOff,
            "start-application" => Step::StartApplication,
            "load" => Step::Load(rest.parse().ok()?),
            _ => return None,
        })
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Done(text) => write!(formatter, "done {text}"),
            Reply::Failed(text) => write!(formatter, "failed {text}"),
            Reply::Rate(rate) => write!(formatter, "rate {rate}"),
            Reply::Loaded(load) => write!(
                formatter,
                "loaded {} {} {} {}",
                load.calls_per_second, load.p50_us, load.p99_us, load.p999_us
            ),
        }
    }
}

impl Reply {
    /// Reads a reply; `None` for a line of the log.
    pub(super) fn read(line: &str) -> Option<Reply> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "done" => Reply::Done(rest.to_owned()),
            "failed" => Reply::Failed(rest.to_owned()),
            "rate" => Reply::Rate(rest.parse().ok()?),
            "loaded" => {
                let mut figures = rest.split(' ').map(str::parse::<f64>);
                let mut next = || figures.next()?.ok();
                Reply::Loaded(LoadFigures {
                    calls_per_second: next()?,
                    p50_us: next()?,
                    p99_us: next()?,
                    p999_us: next()?,
                })
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_reads_what_its_parent_asked_for() {
        for step in [
            Step::Call,
            Step::Send,
            Step::RemoteError,
            Step::AddNode("127.0.0.1:7000".to_owned()),
            Step::TurnOff,
            Step::StartApplication,
            Step::Load(3),
        ] {
            assert_eq!(Step::read(&step.to_string()), Some(step));
        }
    }

    #[test]
    fn the_parent_reads_what_the_gate_replied() {
        for reply in [
            Reply::Done("GET hello gave world".to_owned()),
            Reply::Failed("timeout: no reply".to_owned()),
            Reply::Rate(1_250_000.5),
            Reply::Loaded(LoadFigures {
                calls_per_second: 1.5e6,
                p50_us: 150.25,
                p99_us: 300.5,
                p999_us: 1_000.0,
            }),
        ] {
            assert_eq!(Reply::read(&reply.to_string()), Some(reply));
        }
    }

    #[test]
    fn a_line_of_the_log_is_no_reply() {
        for line in ["[:00000000] done for", "", "loaded 1 2 3", "rate fast"] {
            assert_eq!(Reply::read(line), None, "{line}");
        }
    }
}
