//! What happens to calls to a node that is down.

use super::error::ConfigErrorKind;
use super::evaluate::Value;

/// What happens to a call to a node that is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WhenDown {
    /// It fails at once with `unreachable`, and so do calls that wait for a connection when the node goes down.
    #[default]
    Fail,
    /// It waits until the node is up again, in order, and ends with its deadline.
    Wait,
}

impl WhenDown {
    /// Its word in a config: `fail` or `wait`.
    pub fn name(self) -> &'static str {
        match self {
            WhenDown::Fail => "fail",
            WhenDown::Wait => "wait",
        }
    }

    /// Whether calls wait.
    pub(crate) fn waits(self) -> bool {
        self == WhenDown::Wait
    }

    /// Reads a value of a config or a map; `None`: it is neither word.
    pub(super) fn of_value(value: &Value) -> Option<WhenDown> {
        match value {
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The error for another word in a config.
    pub(super) fn unknown() -> ConfigErrorKind {
        ConfigErrorKind::Unsupported("not known; it is \"fail\" or \"wait\"")
    }
}

/// A text that is neither `fail` nor `wait`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("\"fail\" or \"wait\"")]
pub struct WhenDownExpected;

impl std::str::FromStr for WhenDown {
    type Err = WhenDownExpected;

    fn from_str(text: &str) -> Result<WhenDown, WhenDownExpected> {
        match text {
            "fail" => Ok(WhenDown::Fail),
            "wait" => Ok(WhenDown::Wait),
            _ => Err(WhenDownExpected),
        }
    }
}
