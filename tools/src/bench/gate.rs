//! `skyring bench gate`: clients of a gate, their number, memory, rate and latency, beside the gate in Lua and a floor.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use skyring::config::THREADS_MAX;
use skyring_bench::gate::{
    Attack, Contender, GateError, GateLauncher, GatePlan, GateResult, GateRow, HostileResult, P99Ratio,
    PACKET_BYTES_MIN, serve_gate,
};
use skyring_bench::statistics::Interval;
use skyring_bench::{Interrupt, duration, grouped};

use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, escape_line, fail, ignore_broken_pipe};
use crate::shared::output_file::{OutputFile, is_stdout};
use crate::shared::status_line::StatusLine;

const EXAMPLES: &str = "\
Examples:
  skyring bench gate                                    1,000 clients of a gate
  skyring bench gate --clients 20000 --ws               20,000 websockets
  skyring bench gate --tls --runs 5                     with and without TLS, in turn
  skyring bench gate --lua-gate --floor --runs 3        beside the gate in Lua and a bare echo server
  skyring bench gate --hostile slow-loris --clients 16  healthy clients beside hostile ones
  skyring bench gate --target 127.0.0.1:8888 --clients 100    a gate that runs already, whose target echoes

Exit codes: 0 success, 1 failure, or a packet was lost, out of order or changed, 2 the arguments or a file are invalid.";

/// The arguments of the hidden subcommand that runs a server.
const SERVER: &[&str] = &["bench", "gate-server"];

/// The arguments of `skyring bench gate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Clients
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    clients: u32,
    /// Clients that send during the loops, while the others are idle
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    active: u32,
    /// Packets of each client without an answer, in the closed loop
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    in_flight: u32,
    /// Bytes of a packet
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(PACKET_BYTES_MIN as i64..=65_535))]
    size: u32,
    /// Packets that each client sends before the loops
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    packets: u32,
    /// Packets a second of the open loop [default: half of what the slowest contender echoes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rate: Option<u32>,
    /// Seconds of each loop
    #[arg(long, value_name = "N", default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
    /// Seconds without a packet
    #[arg(long, value_name = "N", default_value_t = 2.0, value_parser = seconds)]
    idle: f64,
    /// Shards of the gates
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=THREADS_MAX as i64))]
    threads: u32,
    /// Runs of each contender, in turn, or rounds with --hostile [default: 1, or 5 rounds]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    runs: Option<u32>,
    /// The clients of the gate are websockets
    #[arg(long)]
    ws: bool,
    /// The path of the websockets
    #[arg(long, value_name = "PATH", default_value = "/", requires = "ws")]
    path: String,
    /// A setting of the gate, NAME=VALUE as in a config; several
    #[arg(long = "set", value_name = "NAME=VALUE", conflicts_with = "target", value_parser = setting)]
    settings: Vec<String>,
    /// Also measure the gate with clients that speak TLS
    #[arg(long, conflicts_with_all = ["target", "hostile"])]
    tls: bool,
    /// Also measure the gate in Lua, with a watchdog and an agent
    #[arg(long, conflicts_with = "target")]
    lua_gate: bool,
    /// Also measure a bare server that sends back what it receives
    #[arg(long, conflicts_with = "target")]
    floor: bool,
    /// Measure a gate that runs already
    #[arg(long, value_name = "ADDRESS:PORT")]
    target: Option<SocketAddr>,
    /// Attack the gate, and compare the latency of healthy clients with and without: slow-loris, never-read, oversized, fragmented, connects, half-open or malformed
    #[arg(long, value_name = "KIND", conflicts_with_all = ["target", "lua_gate", "floor"], value_parser = attack)]
    hostile: Option<Attack>,
    /// Write the figures to this file as JSON; - is the standard output, without the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The arguments of the hidden subcommand.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArguments {
    arguments: Vec<OsString>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3_600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected seconds, 0.1 to 3600".to_owned()),
    }
}

fn setting(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
    match text.split_once('=') {
        Some(_) if text.chars().all(allowed) => Ok(text.to_owned()),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn attack(text: &str) -> Result<Attack, String> {
    Attack::named(text).ok_or_else(|| {
        let names: Vec<&str> = Attack::ALL.iter().map(|attack| attack.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// Runs a server until it is killed.
pub(crate) fn serve(arguments: &ServerArguments) -> ExitCode {
    match serve_gate(&arguments.arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, error),
    }
}

impl Arguments {
    fn plan(&self) -> Result<GatePlan, String> {
        let mut contenders = vec![self.target.map_or(Contender::Gate, Contender::Target)];
        contenders.extend(self.tls.then_some(Contender::TlsGate));
        contenders.extend(self.lua_gate.then_some(Contender::LuaGate));
        contenders.extend(self.floor.then_some(Contender::Floor));
        if !self.path.starts_with('/') || self.path.contains(|c: char| !c.is_ascii_graphic() || c == '"') {
            return Err(format!(
                "--path begins with /, and {} does not name a path",
                self.path
            ));
        }
        let duration = Duration::from_secs_f64(self.seconds);
        Ok(GatePlan {
            contenders,
            is_websocket: self.ws,
            path: self.path.clone(),
            clients: self.clients as usize,
            active: self.active.min(self.clients) as usize,
            window: self.in_flight,
            size: self.size as usize,
            packets_each: self.packets,
            rate: self.rate.map(f64::from),
            duration,
            warm_up: (duration / 4).min(Duration::from_secs(1)),
            idle: Duration::from_secs_f64(self.idle),
            threads: self.threads as usize,
            runs: self.runs.unwrap_or(if self.hostile.is_some() { 5 } else { 1 }) as usize,
            settings: self.settings.join(" "),
        })
    }
}

/// Measures and prints; fails when a packet was lost.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let plan = match arguments.plan() {
        Ok(plan) => plan,
        Err(cause) => return fail(EXIT_USAGE, cause),
    };
    // Before the measurement, which may take minutes: a folder may not exist.
    let json = match OutputFile::create(arguments.json.as_deref()) {
        Ok(json) => json,
        Err(cause) => return fail(EXIT_USAGE, cause),
    };
    if let Some(attack) = arguments.hostile {
        return run_hostile(arguments, &plan, attack, json);
    }
    let result = match measure(&plan) {
        Ok(result) => result,
        Err(error) => return fail(EXIT_FAILURE, error),
    };
    if let Err(cause) = output(arguments, &result.to_json(), json, |out| print(out, &result)) {
        return fail(EXIT_FAILURE, cause);
    }
    match result.rows.iter().find(|row| !row.is_clean()) {
        None => ExitCode::SUCCESS,
        Some(row) => {
            let fault = row
                .runs
                .iter()
                .find_map(|run| run.fault.clone())
                .unwrap_or_default();
            fail(EXIT_FAILURE, format!("{}: {fault}", row.name))
        }
    }
}

/// Attacks a gate and prints; fails when the gate does not keep what it promises, whatever the latencies are.
fn run_hostile(arguments: &Arguments, plan: &GatePlan, attack: Attack, json: Option<OutputFile>) -> ExitCode {
    let result = Interrupt::catch().map_err(GateError::from).and_then(|interrupt| {
        let (status, runs) = (StatusLine::new(), plan.runs);
        plan.measure_hostile(
            attack,
            &GateLauncher { subcommand: SERVER },
            &interrupt,
            move |pair| {
                status.show(format_args!("pair {pair} of {runs}: {}", attack.name()));
            },
        )
    });
    let result = match result {
        Ok(result) => result,
        Err(error) => return fail(EXIT_FAILURE, error),
    };
    let written = output(arguments, &result.to_json(), json, |out| {
        print_hostile(out, &result)
    });
    if let Err(cause) = written {
        return fail(EXIT_FAILURE, cause);
    }
    match result.failure() {
        None => ExitCode::SUCCESS,
        Some(cause) => fail(EXIT_FAILURE, format!("{}: {cause}", result.attack)),
    }
}

fn print_hostile(out: &mut impl Write, result: &HostileResult) -> io::Result<()> {
    writeln!(
        out,
        "{}: {} healthy clients, {} packets/s, with {}",
        result.attack,
        grouped(result.clients as f64),
        grouped(result.rate),
        result.settings
    )?;
    writeln!(
        out,
        "\n{:<8}{:>10}{:>10}{:>14}{:>10}{:>22}{:>10}",
        "round", "p50", "p99", "attacked p50", "p99", "another attacked p50", "p99"
    )?;
    for (number, round) in result.rounds.iter().enumerate() {
        let (quiet, hostile, elsewhere) = (round.quiet, round.hostile, round.elsewhere);
        writeln!(
            out,
            "{:<8}{:>10}{:>10}{:>14}{:>10}{:>22}{:>10}",
            number + 1,
            duration(quiet.p50),
            duration(quiet.p99),
            duration(hostile.p50),
            duration(hostile.p99),
            duration(elsewhere.p50),
            duration(elsewhere.p99)
        )?;
    }
    let ratio = |ratio: P99Ratio| {
        let Interval { low, high } = ratio.interval;
        match low.is_finite() && high.is_finite() {
            true => format!("{:.2} x ({low:.2} to {high:.2})", ratio.median),
            false => format!("{:.2} x (too few rounds for an interval)", ratio.median),
        }
    };
    writeln!(
        out,
        "\nthe p99 of healthy clients during the attack is {} as long as without it, and {} as during the attack on another gate; \
         {} of their packets or connections were lost",
        ratio(result.ratio_to_quiet()),
        ratio(result.ratio_to_elsewhere()),
        result.faults
    )?;
    let attempts = result.attempts;
    writeln!(
        out,
        "the attack: {} connections, {} writes, {} closed by the gate",
        grouped(attempts.connections as f64),
        grouped(attempts.writes as f64),
        grouped(attempts.closed as f64)
    )?;
    let counted: Vec<String> = result
        .counters
        .iter()
        .filter(|(_, count)| **count != 0)
        .map(|(name, count)| format!("{name} {}", grouped(*count as f64)))
        .collect();
    writeln!(
        out,
        "the gate counted: {}; {} clients are left",
        counted.join(", "),
        result.clients_after
    )
}

fn measure(plan: &GatePlan) -> Result<GateResult, GateError> {
    let interrupt = Interrupt::catch()?;
    let (status, runs) = (StatusLine::new(), plan.runs);
    plan.measure(
        &GateLauncher { subcommand: SERVER },
        &interrupt,
        move |run, name| match run {
            0 => status.show(format_args!("looking for a rate: {name}")),
            run => status.show(format_args!("run {run} of {runs}: {name}")),
        },
    )
}

/// Writes the JSON to its file, and prints the one or the other.
fn output(
    arguments: &Arguments,
    json: &str,
    file: Option<OutputFile>,
    print: impl FnOnce(&mut Box<dyn Write>) -> io::Result<()>,
) -> Result<(), String> {
    let figures = format!("{json}\n");
    if let Some(mut file) = file {
        file.write(figures.as_bytes())?;
    }
    let mut out: Box<dyn Write> = Box::new(anstream::stdout());
    let printed = match arguments.json.as_deref().is_some_and(is_stdout) {
        true => out.write_all(figures.as_bytes()),
        false => print(&mut out),
    };
    ignore_broken_pipe(printed).map_err(|error| error.to_string())
}

fn print(out: &mut impl Write, result: &GateResult) -> io::Result<()> {
    let framing = if result.is_websocket {
        "websockets"
    } else {
        "TCP clients"
    };
    writeln!(
        out,
        "{} {framing}, packets of {} bytes, {} {}; medians of {} {} in turn",
        grouped(result.clients as f64),
        result.size,
        result.threads,
        if result.threads == 1 { "shard" } else { "shards" },
        result.rows.first().map_or(0, |row| row.runs.len()),
        if result.rows.first().is_some_and(|row| row.runs.len() == 1) {
            "run"
        } else {
            "runs"
        },
    )?;
    writeln!(
        out,
        "\n{:<10}{:>12}{:>14}{:>10}{:>14}{:>12}{:>8}{:>8}",
        "idle", "connects/s", "memory each", "CPU", "packets", "packets/s", "lost", "wrong"
    )?;
    for row in &result.rows {
        print_crowd(out, row)?;
    }
    writeln!(
        out,
        "\n{:<10}{:>12}{:>10}{:>10}{:>10}{:>12}    {} clients, {} in flight each",
        "closed", "packets/s", "p50", "p99", "p99.9", "CPU/packet", result.active, result.in_flight
    )?;
    for row in &result.rows {
        let cpu = row.median(|run| run.processor_us_each.unwrap_or(f64::NAN));
        writeln!(
            out,
            "{:<10}{:>12}{:>10}{:>10}{:>10}{:>12}",
            row.name,
            grouped(row.median(|run| run.echoes_per_second)),
            duration(row.median(|run| run.echo_latency_us.p50)),
            duration(row.median(|run| run.echo_latency_us.p99)),
            duration(row.median(|run| run.echo_latency_us.p999)),
            if cpu.is_finite() {
                format!("{cpu:.2} us")
            } else {
                "?".to_owned()
            },
        )?;
    }
    let opens = result
        .rows
        .iter()
        .flat_map(|row| &row.runs)
        .filter_map(|run| run.open);
    let rate = opens.map(|open| open.rate).next().unwrap_or_default();
    writeln!(
        out,
        "\n{:<10}{:>12}{:>10}{:>10}{:>10}{:>12}    from when each packet was due",
        "open", "packets/s", "p50", "p99", "p99.9", "max"
    )?;
    for row in &result.rows {
        print_open(out, row, rate)?;
    }
    let mut ratios = result.ratios().peekable();
    if ratios.peek().is_some() {
        writeln!(out)?;
    }
    let first = result.rows.first().map_or("", |row| row.name);
    for (name, ratio) in ratios {
        writeln!(out, "{first} echoes {ratio:.2} x the packets of {name}")?;
    }
    for row in result.rows.iter().filter(|row| !row.is_clean()) {
        let fault = row
            .runs
            .iter()
            .find_map(|run| run.fault.clone())
            .unwrap_or_default();
        let ended = row.sum(|run| run.ended);
        writeln!(
            out,
            "\n{}: {ended} clients ended; first {}",
            row.name,
            escape_line(&fault)
        )?;
    }
    Ok(())
}

fn print_crowd(out: &mut impl Write, row: &GateRow) -> io::Result<()> {
    let memory = row.median(|run| run.memory_bytes_each.unwrap_or(f64::NAN));
    let idle = row.median(|run| run.idle_processor.unwrap_or(f64::NAN));
    let known = |is_known: bool, text: String| if is_known { text } else { "?".to_owned() };
    writeln!(
        out,
        "{:<10}{:>12}{:>14}{:>10}{:>14}{:>12}{:>8}{:>8}",
        row.name,
        grouped(row.median(|run| run.connects_per_second)),
        known(memory.is_finite(), format!("{} B", grouped(memory))),
        known(idle.is_finite(), format!("{:.2} %", idle * 100.0)),
        grouped(row.median(|run| run.packets as f64)),
        grouped(row.median(|run| run.packets_per_second)),
        row.sum(|run| run.lost),
        row.sum(|run| run.wrong),
    )
}

fn print_open(out: &mut impl Write, row: &GateRow, rate: f64) -> io::Result<()> {
    let figure = |of: fn(&skyring_bench::Latency) -> f64| {
        duration(row.median(|run| run.open.as_ref().map_or(f64::NAN, |open| of(&open.latency_us))))
    };
    let gave_up = row
        .runs
        .iter()
        .any(|run| run.open.is_some_and(|open| open.has_given_up));
    writeln!(
        out,
        "{:<10}{:>12}{:>10}{:>10}{:>10}{:>12}{}",
        row.name,
        grouped(rate),
        figure(|latency| latency.p50),
        figure(|latency| latency.p99),
        figure(|latency| latency.p999),
        figure(|latency| latency.max),
        if gave_up { "    did not keep up" } else { "" },
    )
}
