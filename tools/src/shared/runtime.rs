//! The argument `--runtime`, which several commands have.

use skyring::Runtime;

/// Which runtime runs the shards.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct RuntimeArgument {
    /// What runs the shards: Skyring's own runtime or glommio [default: that of the config, of SKYRING_RUNTIME, or uring]
    #[arg(long, value_name = "uring|glommio", value_parser = parse)]
    runtime: Option<Runtime>,
}

impl RuntimeArgument {
    /// The one that was given.
    pub(crate) fn given(self) -> Option<Runtime> {
        self.runtime
    }

    /// The one that was given, or else that of the environment. The error is one line.
    pub(crate) fn selected(self) -> Result<Runtime, String> {
        match self.runtime {
            Some(runtime) => Ok(runtime),
            None => Runtime::from_environment().map_err(|error| error.to_string()),
        }
    }
}

fn parse(name: &str) -> Result<Runtime, String> {
    name.parse().map_err(|_| "expected uring or glommio".to_owned())
}
