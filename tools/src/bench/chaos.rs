//! `skyring bench chaos`: a TCP proxy between two nodes that injects faults of the network.

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

Set the address of --listen in the cluster map of a node. Ctrl-C ends the proxy.";

/// Time between two checks for the end.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The arguments of `skyring bench chaos`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Address to which connections are forwarded
    #[arg(long, value_name = "IP:PORT")]
    to: SocketAddr,
    /// Address to listen on; port 0 is any free port
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    #[command(flatten)]
    faults: FaultArguments,
    /// Accept connections and forward nothing, as a half-open peer
    #[arg(long)]
    stall: bool,
    /// End after so many seconds; 0 = never
    #[arg(long, value_name = "N", default_value_t = 0)]
    seconds: u64,
}

/// Runs the proxy until a signal, or until its time is over.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let faults = Faults {
        stalled: arguments.stall,
        ..arguments.faults.faults()
    };
    let running = Interrupt::catch().and_then(|interrupt| {
        Ok((
            interrupt,
            ChaosProxy::start(arguments.listen, arguments.to, faults)?,
        ))
    });
    let (interrupt, proxy) = match running {
        Ok(running) => running,
        Err(error) => return fail(EXIT_FAILURE, format!("{}: {error}", arguments.listen)),
    };
    let mut out = anstream::stdout();
    // The proxy works without a reader of its output.
    let _ = writeln!(out, "forwarding {} to {}", proxy.address(), arguments.to);
    let started = Instant::now();
    while !interrupt.requested() {
        if arguments.seconds > 0 && started.elapsed() >= Duration::from_secs(arguments.seconds) {
            break;
        }
        thread::sleep(POLL_INTERVAL);
    }
    let counts = proxy.counts();
    let _ = writeln!(
        out,
        "{} connections, {} cut, {} not forwarded, {} bytes",
        grouped(counts.accepted as f64),
        grouped(counts.cut as f64),
        grouped(counts.refused as f64),
        grouped(counts.bytes as f64)
    );
    ExitCode::SUCCESS
}
