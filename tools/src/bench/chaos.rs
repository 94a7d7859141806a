//! `skyring bench chaos`: a TCP proxy that misbehaves, to be put between two nodes.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use skyring_bench::{ChaosProxy, Faults, Interrupt, grouped};

use super::network_faults::FaultArguments;
use crate::shared::output::{EXIT_FAILURE, fail};

const EXAMPLES: &str = "\
Examples:
  skyring bench chaos --listen 127.0.0.1:7200 --to 127.0.0.1:7102 --cuts-per-second 10
  skyring bench chaos --listen 127.0.0.1:7200 --to 127.0.0.1:7102 --delay-ms 40 --trickle-bytes 7

A node whose map has the address of --listen then meets a network that fails. Ctrl-C ends it.";

/// Time between two looks at whether it is over.
const POLL: Duration = Duration::from_millis(50);

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
        Err(error) => return fail(EXIT_FAILURE, format!("{}: {error}", arguments.listen)),
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
