//! The faults of a network, as `bench chaos` and `bench ledger` take them.

use std::time::Duration;

use skyring_bench::Faults;

/// The arguments for faults of the network.
#[derive(Debug, clap::Args)]
pub(crate) struct FaultArguments {
    /// Cut each connection so many times per second
    #[arg(long, value_name = "N", default_value_t = 0.0, value_parser = cuts_per_second)]
    pub(crate) cuts_per_second: f64,
    /// Cut with a reset (RST) instead of a graceful close (FIN)
    #[arg(long)]
    pub(crate) reset: bool,
    /// Delay all bytes by so many milliseconds
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub(crate) delay_ms: u64,
    /// Forward at most so many bytes per millisecond
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) trickle_bytes: Option<u32>,
}

impl FaultArguments {
    pub(crate) fn faults(&self) -> Faults {
        Faults {
            cuts_per_second: self.cuts_per_second,
            reset: self.reset,
            delay: Duration::from_millis(self.delay_ms),
            trickle_bytes: self.trickle_bytes.map(|bytes| bytes as usize),
            stalled: false,
        }
    }
}

/// Parses a number of cuts per second.
fn cuts_per_second(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("\"{text}\" is not a number"))?;
    if (0.0..=1_000.0).contains(&rate) {
        Ok(rate)
    } else {
        Err(format!("{text} is not in 0..=1000"))
    }
}
