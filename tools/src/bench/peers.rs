//! `skyring bench peers`: ratios of Skyring to floors and peers, measured in the same run.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use skyring::config::SPIN_US_MAX;
use skyring_bench::floors::{self, Launcher, Peer, PeerError};
use skyring_bench::peers::{Group, Plan, Table};
use skyring_bench::{Interrupt, duration, grouped};

use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, escape_line, fail};
use crate::shared::output_file::{OutputFile, is_stdout};
use crate::shared::programs::{FLOOR_SERVER, node_program};
use crate::shared::status_line::StatusLine;

const EXAMPLES: &str = "\
Examples:
  skyring bench peers                          all installed peers, 1 and 256 in flight, parking and spinning
  skyring bench peers --in-flight 256 glommio redis-get    two of them
  skyring bench peers --skynet ../skynet       with a built checkout of Skynet
  skyring bench peers --html peers.html --json peers.json

Each row is the median of --runs, in which the peers are measured in turn. Exit codes: 0 success (a peer that is not
installed is listed with the reason), 1 failure or failed calls, 2 the arguments or a file are invalid.";

/// The arguments of `skyring bench peers`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Peers to measure beside Skyring [default: all]
    #[arg(value_name = "NAME", value_parser = peer_named)]
    names: Vec<Peer>,
    /// Calls in flight; several numbers, separated by commas
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [1, 256], value_parser = clap::value_parser!(u32).range(1..=65_536))]
    in_flight: Vec<u32>,
    /// Size of the value in request and reply, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    size: u32,
    /// Microseconds of polling before a sleep, where that can be set, in the spinning setting; 0 = parking only
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=i64::from(SPIN_US_MAX)))]
    spin_us: u32,
    /// Measurements of each peer
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    runs: u32,
    /// Milliseconds of each measurement
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    milliseconds: u64,
    /// A built checkout of Skynet
    #[arg(long, value_name = "DIR")]
    skynet: Option<PathBuf>,
    /// Write the figures to this file as JSON; - is the standard output, without the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with bars to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

fn peer_named(name: &str) -> Result<Peer, String> {
    let callable = Plan::callable();
    Peer::named(name)
        .filter(|peer| callable.contains(peer))
        .ok_or_else(|| {
            let names: Vec<_> = callable.iter().map(|peer| peer.name()).collect();
            format!("expected one of {}", names.join(", "))
        })
}

/// Runs the server of a floor until its client disconnects.
pub(crate) fn serve_floor(arguments: &[OsString]) -> ExitCode {
    match floors::serve(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, format!("{FLOOR_SERVER}: {error}")),
    }
}

/// Measures and prints; fails when calls failed, or a peer that is installed.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    // Before the measurement, which may take minutes: a folder may not exist.
    let files = [&arguments.json, &arguments.html].map(|path| OutputFile::create(path.as_deref()));
    let (json, html) = match files {
        [Ok(json), Ok(html)] => (json, html),
        [Err(cause), _] | [_, Err(cause)] => return fail(EXIT_USAGE, cause),
    };
    let table = match measure(arguments) {
        Ok(table) => table,
        Err(error) => return fail(EXIT_FAILURE, error),
    };
    if let Err(error) = write(arguments, &table, json, html) {
        return fail(EXIT_FAILURE, error);
    }
    let failed = table.missing.iter().find(|missing| missing.failed);
    if let Some(failed) = failed {
        return fail(EXIT_FAILURE, format!("{}: {}", failed.name, failed.reason));
    }
    let rows = table.groups.iter().flat_map(|group| &group.rows);
    match rows.into_iter().find(|row| row.errors > 0) {
        Some(row) => fail(EXIT_FAILURE, format!("{}: {} calls failed", row.name, row.errors)),
        None => ExitCode::SUCCESS,
    }
}

fn measure(arguments: &Arguments) -> Result<Table, PeerError> {
    let interrupt = Interrupt::catch()?;
    let duration = Duration::from_millis(arguments.milliseconds);
    let mut in_flight: Vec<_> = arguments.in_flight.iter().map(|&calls| calls as usize).collect();
    in_flight.sort_unstable();
    in_flight.dedup();
    let mut peers = Plan::callable();
    peers.retain(|peer| arguments.names.is_empty() || arguments.names.contains(peer));
    let plan = Plan {
        peers,
        in_flight,
        size: arguments.size as usize,
        spin: Duration::from_micros(u64::from(arguments.spin_us)),
        duration,
        warm_up: (duration / 4).min(Duration::from_secs(1)),
        runs: arguments.runs as usize,
        skynet: arguments.skynet.clone(),
    };
    let launcher = Launcher::this_program(FLOOR_SERVER)?;
    let status = StatusLine::new();
    plan.measure(&node_program()?, &launcher, &interrupt, |run, name| {
        status.show(format_args!("run {run} of {}: {name}", plan.runs));
    })
}

fn write(
    arguments: &Arguments,
    table: &Table,
    json: Option<OutputFile>,
    html: Option<OutputFile>,
) -> Result<(), String> {
    if let Some(mut file) = html {
        file.write(table.to_html().as_bytes())?;
    }
    let figures = format!("{}\n", table.to_json());
    if let Some(mut file) = json {
        file.write(figures.as_bytes())?;
    }
    let mut out = anstream::stdout();
    let printed = if arguments.json.as_deref().is_some_and(is_stdout) {
        out.write_all(figures.as_bytes())
    } else {
        print(&mut out, table)
    };
    printed.map_err(|error| error.to_string())
}

fn print(out: &mut impl Write, table: &Table) -> io::Result<()> {
    writeln!(
        out,
        "one loopback TCP connection, two pinned processes, {}-byte values; medians of {} runs of {} s in turn",
        table.size, table.runs, table.seconds
    )?;
    writeln!(
        out,
        "{:<18}{:>12}{:>10}{:>10}{:>10}{:>17}{:>10}",
        "", "calls/s", "p50", "p99", "CPU/call", "skyring's calls", "its p50"
    )?;
    for group in &table.groups {
        print_group(out, group)?;
    }
    writeln!(
        out,
        "\nskyring's calls: how many times as many calls a second skyring makes; its p50: how many times as long one takes"
    )?;
    if !table.missing.is_empty() {
        writeln!(out, "\nnot measured")?;
    }
    for missing in &table.missing {
        writeln!(out, "  {:<16}{}", missing.name, escape_line(&missing.reason))?;
    }
    Ok(())
}

fn print_group(out: &mut impl Write, group: &Group) -> io::Result<()> {
    let setting = match group.spin_us {
        0 => "parking".to_owned(),
        spin_us => format!("spinning for {spin_us} us where that can be set"),
    };
    writeln!(out, "\n{} in flight, {setting}", group.in_flight)?;
    for row in &group.rows {
        let cpu = row.cpu_us_per_call;
        let cpu = cpu.map_or_else(|| "?".to_owned(), |cpu| format!("{cpu:.2} us"));
        writeln!(
            out,
            "  {:<16}{:>12}{:>10}{:>10}{cpu:>10}{:>15.2} x{:>8.2} x",
            row.name,
            grouped(row.calls_per_second),
            duration(row.p50_us),
            duration(row.p99_us),
            row.skyring_calls_ratio,
            row.skyring_p50_ratio,
        )?;
    }
    Ok(())
}
