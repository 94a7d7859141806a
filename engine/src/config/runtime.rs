//! Which runtime runs the shards of a node.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::error::quoted;

/// The environment variable that names the runtime of nodes that name none themselves.
pub const RUNTIME_VARIABLE: &str = "SKYRING_RUNTIME";

/// What runs the tasks of the shards and moves their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runtime {
    /// Skyring's own executor: receives and sends by completion on one io_uring per shard. Needs Linux 6.1.
    #[default]
    Uring,
    /// The executor glommio, in builds with the feature `glommio`. Needs Linux 5.8.
    Glommio,
}

impl Runtime {
    /// All runtimes, the default first.
    pub const ALL: [Runtime; 2] = [Runtime::Uring, Runtime::Glommio];

    /// The runtime that [`RUNTIME_VARIABLE`] names, or the default where it is not set or empty.
    ///
    /// # Errors
    /// [`RuntimeVariableError`] when the variable names no runtime.
    pub fn from_environment() -> Result<Runtime, RuntimeVariableError> {
        let value = std::env::var_os(RUNTIME_VARIABLE).unwrap_or_default();
        let value = value.to_string_lossy();
        if value.is_empty() {
            return Ok(Runtime::default());
        }
        value.parse().map_err(|UnknownRuntime| RuntimeVariableError {
            value: quoted(&value),
        })
    }

    /// Its name in configs, flags and [`RUNTIME_VARIABLE`].
    pub fn name(self) -> &'static str {
        match self {
            Runtime::Uring => "uring",
            Runtime::Glommio => "glommio",
        }
    }
}

/// The environment names a runtime that does not exist.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("environment variable {RUNTIME_VARIABLE}: {value} is {UnknownRuntime}")]
pub struct RuntimeVariableError {
    /// The variable's value, in quotes, and cut if it is long.
    pub value: String,
}

impl fmt::Display for Runtime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// What an error says of a name that is no runtime's.
pub(super) const UNKNOWN_RUNTIME: &str = "not known; it is \"uring\" or \"glommio\"";

/// A name that is no runtime's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{UNKNOWN_RUNTIME}")]
pub struct UnknownRuntime;

impl FromStr for Runtime {
    type Err = UnknownRuntime;

    fn from_str(name: &str) -> Result<Runtime, UnknownRuntime> {
        let known = Runtime::ALL.into_iter().find(|runtime| runtime.name() == name);
        known.ok_or(UnknownRuntime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtime_is_known_by_its_name() {
        for runtime in Runtime::ALL {
            assert_eq!(runtime.name().parse(), Ok(runtime));
        }
        assert_eq!("tokio".parse::<Runtime>(), Err(UnknownRuntime));
        assert_eq!("Uring".parse::<Runtime>(), Err(UnknownRuntime));
    }
}
