//! `skyring bench`: calls per second and latency of one channel between two pinned processes, beside a
//! plain blocking TCP echo measured in the same run.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use skyring::config::{ConfigError, SPIN_US_MAX, THREADS_MAX};
use skyring::log::Destination;
use skyring::{Address, ClusterMap, Error, Node, Payload, StartError};
use skyring_bench::{
    Floor, FloorError, Interrupt, Latency, Load, LoadError, LoadResult, NodePlan, Pace, Scratch, Server,
    ServerError, Watch, allowed_cpus, blocking_echo, duration, grouped,
};
use thiserror::Error as ThisError;

use crate::demo::node_program;
use crate::say::{self, FAILED};

const EXAMPLES: &str = "\
Examples:
  skyring bench                       one channel, 256 calls in flight, 64-byte values
  skyring bench --in-flight 1         the round trip of a single call, as a ratio to the blocking echo
  skyring bench --spin-us 50          shards look for work 50 us before they sleep
  skyring bench --json result.json    the figures for programs; - is the standard output
  skyring bench peers                 Skyring beside bare loops, Redis, Erlang and others
  skyring bench ledger                calls that are all accounted for while connections are cut";

/// The server's name in the map.
const SERVER: &str = "server";

/// How long the floor is measured, after a tenth of it as warm-up.
const FLOOR_TIME: Duration = Duration::from_secs(1);

/// Time between two looks at whether the load is done or the program is to end.
const POLL: Duration = Duration::from_millis(50);

/// How long the server may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// What can be said on the command line.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    /// Calls in flight
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    in_flight: u32,
    /// Size of the value that is sent and comes back, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(0..=16_000_000))]
    size: u32,
    /// Seconds that are measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Seconds before them that are not
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    warmup: u64,
    /// Microseconds that shards look for work before they sleep; burns processor time
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=i64::from(SPIN_US_MAX)))]
    spin_us: u32,
    /// Shards of the server
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=THREADS_MAX as i64))]
    threads: u32,
    /// Write the figures to this file as JSON; - is the standard output, without the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What else there is to do.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Measure Skyring beside floors and peers, and tell the ratios
    Peers(crate::bench_peers::Arguments),
    /// Make numbered calls while connections and processes fail, and compare the books
    Ledger(crate::bench_ledger::Arguments),
    /// Do that with every fault for half an hour, and show the memory
    Soak(crate::bench_ledger::SoakArguments),
    /// Be a TCP proxy that cuts, delays, trickles and stalls
    Chaos(crate::bench_chaos::Arguments),
    /// Be the callee of a ledger
    #[command(hide = true)]
    LedgerNode(crate::bench_ledger::NodeArguments),
}

/// Why there are no figures.
#[derive(Debug, ThisError)]
enum BenchError {
    #[error("{0}")]
    System(#[from] io::Error),
    #[error("the server: {0}")]
    Server(#[from] ServerError),
    #[error("the calling node: {0}")]
    Client(#[from] StartError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Floor(#[from] FloorError),
    #[error("{0}")]
    Values(#[from] Error),
    #[error("{0}")]
    Map(#[from] ConfigError),
    #[error("{}: {error}", file.display())]
    Json { file: PathBuf, error: io::Error },
    #[error("interrupted")]
    Interrupted,
}

/// What was measured, and where.
struct Figures {
    load: LoadResult,
    floor: Floor,
    place: Place,
}

/// Which processors the two sides had: nodes pin their shards round-robin, in this order.
struct Place {
    server_cpus: Vec<usize>,
    client_cpu: usize,
}

/// Measures, prints, and fails when calls did.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    match arguments.action {
        Some(Action::Peers(peers)) => return crate::bench_peers::run(&peers),
        Some(Action::Ledger(ledger)) => return crate::bench_ledger::run(&ledger),
        Some(Action::Soak(soak)) => return crate::bench_ledger::soak(&soak),
        Some(Action::Chaos(chaos)) => return crate::bench_chaos::run(&chaos),
        Some(Action::LedgerNode(node)) => return crate::bench_ledger::run_node(&node),
        None => {}
    }
    let outcome = measure(&arguments).and_then(|figures| {
        print(&arguments, &figures)?;
        Ok(figures)
    });
    match outcome {
        Ok(figures) if figures.load.errors_total() == 0 && figures.load.calls > 0 => ExitCode::SUCCESS,
        Ok(figures) => {
            let (calls, errors) = (figures.load.calls, figures.load.errors_total());
            say::fail(
                FAILED,
                format!(
                    "{calls} calls were answered and {errors} failed: {:?}",
                    figures.load.errors
                ),
            )
        }
        Err(error) => say::fail(FAILED, error),
    }
}

fn measure(arguments: &Arguments) -> Result<Figures, BenchError> {
    let interrupt = Interrupt::catch()?;
    let cpus = allowed_cpus()?;
    let threads = arguments.threads as usize;
    let place = Place {
        server_cpus: cpus.iter().copied().take(threads).collect(),
        client_cpu: cpus.iter().copied().cycle().nth(threads).unwrap_or(0),
    };
    let scratch = Scratch::new("bench")?;
    let mut watch = Watch::new(interrupt.clone(), |_| {});
    let plan = NodePlan {
        name: SERVER,
        threads,
        spin_us: arguments.spin_us,
        service: ("echo", "echo"),
    };
    let mut server = Server::start(&mut watch, &node_program()?, scratch.path(), &plan)?;

    let client = Node::builder()
        .first_cpu(threads)
        .spin(Duration::from_micros(u64::from(arguments.spin_us)))
        .map(ClusterMap::new().with(SERVER, &server.address().to_string())?)
        // The standard output is for the figures.
        .log_to(Destination::File(scratch.path().join("client.log")))
        .start()?;
    let load = Load {
        node: SERVER.to_owned(),
        address: Address::from("@echo"),
        payload: Payload::pack(&"x".repeat(arguments.size as usize))?,
        size: arguments.size as usize,
        pace: Pace::Closed,
        in_flight: arguments.in_flight as usize,
        keys: 0,
        warm_up: Duration::from_secs(arguments.warmup),
        duration: Duration::from_secs(arguments.seconds),
        server_process: Some(server.process().id()),
    };
    let mut running = load.start(&client)?;
    let load = loop {
        if let Some(result) = running.wait(POLL)? {
            break result;
        }
        if interrupt.requested() {
            return Err(BenchError::Interrupted);
        }
    };
    client.stop();
    server.process().end(STOP_TIME_MAX)?;
    // Last and alone: nothing else may have the processors.
    let floor = blocking_echo(
        arguments.size as usize,
        FLOOR_TIME / 10,
        FLOOR_TIME,
        (0, threads),
        &interrupt,
    )?;
    Ok(Figures { load, floor, place })
}

fn print(arguments: &Arguments, figures: &Figures) -> Result<(), BenchError> {
    let Some(file) = &arguments.json else {
        return Ok(print_table(arguments, figures)?);
    };
    let json = format!(
        "{{\"load\":{},\"floor\":{},\"threads\":{},\"spin_us\":{}}}\n",
        figures.load.to_json(),
        figures.floor.to_json(),
        arguments.threads,
        arguments.spin_us,
    );
    if file.as_os_str() == "-" {
        return Ok(anstream::stdout().write_all(json.as_bytes())?);
    }
    fs::write(file, json).map_err(|error| BenchError::Json {
        file: file.clone(),
        error,
    })?;
    Ok(print_table(arguments, figures)?)
}

fn print_table(arguments: &Arguments, figures: &Figures) -> io::Result<()> {
    let Figures { load, floor, place } = figures;
    let mut out = anstream::stdout();
    writeln!(
        out,
        "echo over loopback TCP, one channel, {}-byte values, {} s after {} s of warm-up",
        load.size, arguments.seconds, arguments.warmup
    )?;
    let listed: Vec<String> = place.server_cpus.iter().map(usize::to_string).collect();
    let shards = if arguments.threads == 1 { "shard" } else { "shards" };
    writeln!(
        out,
        "server: {} {shards} on processor {}; client: 1 shard on processor {}",
        arguments.threads,
        listed.join(", "),
        place.client_cpu
    )?;
    if place.server_cpus.contains(&place.client_cpu) {
        writeln!(
            out,
            "there is no processor left for the client: it shares one with the server"
        )?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "{:<32}{:>11}{:>10}{:>10}{:>10}{:>10}{:>10}{:>8}  CPU s client + server",
        "", "calls/s", "p50", "p90", "p99", "p99.9", "max", "errors"
    )?;
    let server_seconds = load.cpu_seconds.server;
    let server_seconds = server_seconds.map_or_else(|| "?".to_owned(), |seconds| format!("{seconds:.2}"));
    writeln!(
        out,
        "{}{:>8}  {:.2} + {server_seconds}",
        row(
            &format!("skyring, {} in flight", load.in_flight),
            load.calls_per_second,
            &load.latency_us
        ),
        grouped(load.errors_total() as f64),
        load.cpu_seconds.client,
    )?;
    let floor_row = row(
        "blocking TCP echo, 1 in flight",
        floor.calls_per_second,
        &floor.latency_us,
    );
    writeln!(out, "{floor_row}")?;
    writeln!(out)?;
    let calls = load.calls_per_second / floor.calls_per_second;
    writeln!(out, "{calls:.2} x the calls of the blocking echo")?;
    if load.in_flight == 1 {
        let p50 = load.latency_us.p50 / floor.latency_us.p50;
        writeln!(out, "{p50:.2} x its p50")?;
    }
    Ok(())
}

fn row(name: &str, calls_per_second: f64, latency: &Latency) -> String {
    format!(
        "{name:<32}{:>11}{:>10}{:>10}{:>10}{:>10}{:>10}",
        grouped(calls_per_second),
        duration(latency.p50),
        duration(latency.p90),
        duration(latency.p99),
        duration(latency.p999),
        duration(latency.max),
    )
}
