//! How a service ended.

use std::fmt;

use crate::core::payload::Payload;
use crate::error::{Error, Text};

/// How a service ended, or why it cannot be watched any longer. Its [`code`](End::code) is stable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It exited by itself, or was asked to stop and did.
    Exited,
    /// Its handler or one of its tasks panicked.
    Panicked {
        /// The text of the panic.
        text: Text,
    },
    /// It did not start: its constructor panicked, or its `start` failed.
    StartFailed {
        /// The text of the error.
        text: Text,
    },
    /// It ended itself as failed, with [`Caller::fail`](crate::Caller::fail).
    Failed {
        /// The cause that it named.
        text: Text,
    },
    /// Another service, or an operator, ended it.
    Killed,
    /// Its node is stopping.
    NodeStopping,
    /// There was no such service when the watch began.
    NoSuchService,
    /// Its node is down, or cannot be asked any more. The service may still run.
    NodeDown {
        /// Why.
        cause: Text,
    },
    /// Its node was restarted, and so lost the service.
    NodeRestarted,
}

impl End {
    /// The stable name of the kind of end, for programs to match on.
    pub fn code(&self) -> &'static str {
        match self {
            End::Exited => "exited",
            End::Panicked { .. } => "panicked",
            End::StartFailed { .. } => "start-failed",
            End::Failed { .. } => "failed",
            End::Killed => "killed",
            End::NodeStopping => "node-stopping",
            End::NoSuchService => "no-such-service",
            End::NodeDown { .. } => "node-down",
            End::NodeRestarted => "node-restarted",
        }
    }

    /// The cause in words; empty where the code says all.
    pub fn text(&self) -> &str {
        match self {
            End::Panicked { text } | End::StartFailed { text } | End::Failed { text } => text,
            End::NodeDown { cause } => cause,
            _ => "",
        }
    }

    /// Whether the service ended other than by itself or with its node.
    pub fn is_failure(&self) -> bool {
        !matches!(self, End::Exited | End::NodeStopping)
    }

    /// The end as a message: its code and its text.
    pub(crate) fn to_payload(&self) -> Result<Payload, Error> {
        Payload::pack(&(self.code(), self.text()))
    }

    /// The end in a message.
    pub(crate) fn from_payload(payload: &Payload) -> Result<End, Error> {
        let (code, text): (&str, &str) = payload.unpack()?;
        let text = || Text::from(text);
        Ok(match code {
            "exited" => End::Exited,
            "panicked" => End::Panicked { text: text() },
            "start-failed" => End::StartFailed { text: text() },
            "failed" => End::Failed { text: text() },
            "killed" => End::Killed,
            "node-stopping" => End::NodeStopping,
            "no-such-service" => End::NoSuchService,
            "node-down" => End::NodeDown { cause: text() },
            "node-restarted" => End::NodeRestarted,
            other => return Err(Error::invalid(format!("\"{other}\" is no end of a service"))),
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())?;
        match self.text() {
            "" => Ok(()),
            text => write!(formatter, ": {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_survives_its_message_and_its_text_begins_with_its_code() {
        let text = Text::from("because");
        for end in [
            End::Exited,
            End::Panicked { text: text.clone() },
            End::StartFailed { text: text.clone() },
            End::Failed { text: text.clone() },
            End::Killed,
            End::NodeStopping,
            End::NoSuchService,
            End::NodeDown { cause: text },
            End::NodeRestarted,
        ] {
            let payload = end.to_payload().unwrap();
            assert_eq!(End::from_payload(&payload), Ok(end.clone()));
            assert!(end.to_string().starts_with(end.code()));
        }
        let unknown = Payload::pack(&("vanished", "")).unwrap();
        assert!(End::from_payload(&unknown).is_err());
    }
}
