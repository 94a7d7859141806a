//! How services are started again after their end.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// When a supervisor starts a service again that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restart {
    /// After every end, also after an exit.
    Always,
    /// After a panic, a failed start, an end by [`Caller::fail`](crate::Caller::fail) or by another service; not after
    /// an exit.
    OnFailure,
    /// Never.
    #[default]
    Never,
}

/// Which services a supervisor starts again when one of them has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Only that one.
    #[default]
    OneForOne,
    /// That one and those after it, which are stopped in reverse order.
    RestForOne,
    /// All, which are stopped in reverse order.
    All,
}

/// What a node does when its supervisor gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escalation {
    /// It stops, as failed.
    #[default]
    Stop,
    /// It logs the cause and continues without these services.
    Log,
}

/// A word that is none of those expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected {0}")]
pub struct UnknownWord(&'static str);

macro_rules! words {
    ($type:ident, $expected:literal, $($word:literal => $variant:ident,)+) => {
        impl $type {
            /// The words of a config, as an error lists them.
            pub(crate) const EXPECTED: &str = $expected;

            /// The word of a config.
            pub fn name(self) -> &'static str {
                match self {
                    $($type::$variant => $word,)+
                }
            }
        }

        impl FromStr for $type {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<$type, UnknownWord> {
                match word {
                    $($word => Ok($type::$variant),)+
                    _ => Err(UnknownWord($expected)),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.name())
            }
        }
    };
}

words! {
    Restart, "\"always\", \"on-failure\" or \"never\"",
    "always" => Always,
    "on-failure" => OnFailure,
    "never" => Never,
}

words! {
    Strategy, "\"one-for-one\", \"rest-for-one\" or \"all\"",
    "one-for-one" => OneForOne,
    "rest-for-one" => RestForOne,
    "all" => All,
}

words! {
    Escalation, "\"stop\" or \"log\"",
    "stop" => Stop,
    "log" => Log,
}
