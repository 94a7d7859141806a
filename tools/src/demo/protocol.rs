//! The protocol between the parent and the gate: commands to the standard input of the gate, replies from its standard
//! output, one line each. All other lines from the gate are its log.

use std::fmt;

/// A command to the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GateCommand {
    /// SET and GET on the database.
    Call,
    /// A send, and a call that proves its arrival.
    Send,
    /// A call that the database answers with an error.
    RemoteError,
    /// A call to a node that is not in the map yet, and the reload that adds it with this address.
    AddNode(String),
    /// A reload that disables that node, and one that enables it again.
    TurnOff,
    /// Start the application, which uses the database and fails over to its backup.
    StartApplication,
    /// Stop the application, and load the database for so many seconds.
    Load(u64),
}

/// A reply of the gate.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    /// The command succeeded, with this outcome.
    Done(String),
    /// The command failed, or had another outcome than expected.
    Failed(String),
    /// The current calls per second, during a load.
    Rate(f64),
    /// The load has ended.
    Loaded(LoadFigures),
}

/// The figures of a load.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LoadFigures {
    pub(super) calls_per_second: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
}

impl fmt::Display for GateCommand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GateCommand::Call => formatter.write_str("call"),
            GateCommand::Send => formatter.write_str("send"),
            GateCommand::RemoteError => formatter.write_str("remote-error"),
            GateCommand::AddNode(address) => write!(formatter, "add-node {address}"),
            GateCommand::TurnOff => formatter.write_str("turn-off"),
            GateCommand::StartApplication => formatter.write_str("start-application"),
            GateCommand::Load(seconds) => write!(formatter, "load {seconds}"),
        }
    }
}

impl GateCommand {
    /// Parses a command.
    pub(super) fn parse(line: &str) -> Option<GateCommand> {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match name {
            "call" => GateCommand::Call,
            "send" => GateCommand::Send,
            "remote-error" => GateCommand::RemoteError,
            "add-node" => GateCommand::AddNode(rest.to_owned()),
            "turn-off" => GateCommand::TurnOff,
            "start-application" => GateCommand::StartApplication,
            "load" => GateCommand::Load(rest.parse().ok()?),
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
    /// Parses a reply; `None` for a line of the log.
    pub(super) fn parse(line: &str) -> Option<Reply> {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match name {
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
    fn a_command_survives_its_line() {
        for command in [
            GateCommand::Call,
            GateCommand::Send,
            GateCommand::RemoteError,
            GateCommand::AddNode("127.0.0.1:7000".to_owned()),
            GateCommand::TurnOff,
            GateCommand::StartApplication,
            GateCommand::Load(3),
        ] {
            assert_eq!(GateCommand::parse(&command.to_string()), Some(command));
        }
    }

    #[test]
    fn a_reply_survives_its_line() {
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
            assert_eq!(Reply::parse(&reply.to_string()), Some(reply));
        }
    }

    #[test]
    fn a_line_of_the_log_is_not_a_reply() {
        for line in ["[:00000000] done for", "", "loaded 1 2 3", "rate fast"] {
            assert_eq!(Reply::parse(line), None, "{line}");
        }
    }
}
