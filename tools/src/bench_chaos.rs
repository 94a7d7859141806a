//! `skyring bench chaos`: a TCP proxy that misbehaves, to be put between two nodes.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use skyring_bench::{ChaosProxy, Faults, Interrupt, grouped};

use crate::say::{self, FAILED};

const EXAMPLES: &str = "\
Examples:
  skyring bench chaos --listen 127.0.0.1:7200 --to 127.0.0.1:7102 --cuts-per-second 10
  skyring bench chaos --listen 127.0.0.1:7200 --to 127.0.0.1:7102 --delay-ms 40 --trickle-bytes 7

A node whose map has the address of --listen then meets a network that fails. Ctrl-C ends it.";

/// Time between two looks at whether it is over.
const POLL: Duration = Duration::from_millis(50);

/// Which faults.
#[derive(Debug, clap::Args)]
pub(crate) struct FaultArguments {
    /// Cut every connection so many times a second
    #[arg(long, value_name = "N", default_value_t = 0.0, value_parser = rate)]
    pub(crate) cuts_per_second: f64,
    /// Cut with a reset (RST) instead of an orderly end (FIN)
    #[arg(long)]
    pub(crate) reset: bool,
    /// Pass on everything this much later
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub(crate) delay_ms: u64,
    /// Pass on at most so many bytes in a piece, a piece a millisecond
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

/// Reads a number of cuts a second.
fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("\"{text}\" is no number"))?;
    if (0.0..=1_000.0).contains(&rate) {
        Ok(rate)
    } else {
        Err(format!("{text} is not in 0..=1000"))
    }
}

/// What can be said on the command line.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Where the connections that come in are passed on to
    #[arg(long, value_name = "IP:PORT")]
    to: SocketAddr,
    /// Where to listen; port 0 is any free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    #[command(flatten)]
    faults: FaultArguments,
    /// Pass on nothing at all, and accept: a half-open peer
    #[arg(long)]
    stall: bool,
    /// End after so many seconds; 0 is never
    #[arg(long, value_name = "N", default_value_t = 0)]
    seconds: u64,
}

/// Misbehaves until a signal, or until its time is over.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let faults = Faults {
        stalled: arguments.stall,
        ..arguments.faults.faults()
    };
    let started = Interrupt::catch().and_then(|interrupt| {
        Ok((
            interrupt,
            ChaosProxy::start(arguments.listen, arguments.to, faults)?,
        ))
    });
    let (interrupt, proxy) = match started {
        Ok(started) => started,
        Err(error) => return say::fail(FAILED, format!("{}: {error}", arguments.listen)),
    };
    let mut out = anstream::stdout();
    // Whoever does not listen gets its faults all the same.
    let _ = writeln!(out, "passing {} on to {}", proxy.address(), arguments.to);
    let begun = Instant::now();
    while !interrupt.requested() {
        if arguments.seconds > 0 && begun.elapsed() >= Duration::from_secs(arguments.seconds) {
            break;
        }
        thread::sleep(POLL);
    }
    let counts = proxy.counts();
    let _ = writeln!(
        out,
        "{} connections, {} cut, {} not passed on, {} bytes",
        grouped(counts.accepted as f64),
        grouped(counts.cut as f64),
        grouped(counts.refused as f64),
        grouped(counts.bytes as f64)
    );
    ExitCode::SUCCESS
}
