//! The table of a measurement.

use std::io::{self, Write};

use skyring_bench::{CallCosts, Latency, Measurement, Sides, duration, grouped};

use super::measure::KEPT_UP_RATIO_MIN;

pub(super) fn print(out: &mut impl Write, measured: &Measurement) -> io::Result<()> {
    print_heading(out, measured)?;
    writeln!(
        out,
        "\n{:<34}{:>11}{:>10}{:>10}{:>10}{:>10}{:>10}{:>8}  CPU s client + server",
        "", "calls/s", "p50", "p90", "p99", "p99.9", "max", "errors"
    )?;
    let server_seconds = measured.cpu_seconds.server;
    let server_seconds = server_seconds.map_or_else(|| "?".to_owned(), |seconds| format!("{seconds:.2}"));
    let called = match &*measured.settings.target {
        "" => "skyring",
        target => target,
    };
    let name = match measured.settings.rate {
        None => format!("{called}, {} in flight", grouped(measured.in_flight as f64)),
        Some(rate) => format!("{called}, {} calls/s wanted", grouped(rate)),
    };
    writeln!(
        out,
        "{}{:>8}  {:.2} + {server_seconds}",
        row(&name, measured.calls_per_second, &measured.latency_us),
        grouped(measured.errors as f64),
        measured.cpu_seconds.client,
    )?;
    for floor in &measured.floors {
        let name = format!("{}, {} in flight", floor.name, grouped(floor.in_flight as f64));
        writeln!(out, "{}", row(&name, floor.calls_per_second, &floor.latency_us))?;
    }
    if !measured.floors.is_empty() {
        writeln!(out)?;
    }
    for floor in &measured.floors {
        let calls = measured.calls_per_second / floor.calls_per_second;
        let p50 = measured.latency_us.p50 / floor.latency_us.p50;
        writeln!(
            out,
            "{calls:.2} x the calls of the {}, {p50:.2} x its p50",
            floor.name
        )?;
    }
    print_backlog(out, measured)?;
    if let Some(unrest) = &measured.unrest {
        writeln!(out, "unrest: {}", unrest.summary())?;
        if let Some(warning) = unrest.warning() {
            writeln!(out, "{warning}")?;
        }
    }
    print_costs(out, &measured.costs)
}

/// Prints what a call costs beside time, as far as it is known.
fn print_costs(out: &mut impl Write, costs: &CallCosts) -> io::Result<()> {
    let sides = |what: &str, sides: Sides| {
        let number = |side: Option<f64>| side.map_or_else(|| "?".to_owned(), figure);
        let is_known = sides.client.is_some() || sides.server.is_some();
        is_known.then(|| format!("{} + {} {what}", number(sides.client), number(sides.server)))
    };
    let known: Vec<String> = [
        sides("system calls", costs.system_calls),
        costs
            .allocations
            .client
            .map(|number| format!("{} allocations of the client", figure(number))),
        costs
            .bytes_sent
            .zip(costs.bytes_received)
            .map(|(sent, received)| format!("{} bytes sent and {} received", figure(sent), figure(received))),
        sides("cycles", costs.cycles),
        sides("instructions", costs.instructions),
        sides("cache misses", costs.cache_misses),
        sides("branch misses", costs.branch_misses),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !known.is_empty() {
        writeln!(out, "a call, client + server: {}", known.join(", "))?;
    }
    for reason in &costs.missing {
        writeln!(out, "not known: {reason}")?;
    }
    Ok(())
}

/// A number with three digits.
fn figure(number: f64) -> String {
    match number {
        small if small < 10.0 => format!("{small:.2}"),
        middle if middle < 100.0 => format!("{middle:.1}"),
        large => grouped(large),
    }
}

fn print_heading(out: &mut impl Write, measured: &Measurement) -> io::Result<()> {
    let settings = &measured.settings;
    let noun = if settings.target.is_empty() {
        "channel"
    } else {
        "connection"
    };
    let channels = match measured.channels {
        1 => format!("one {noun}"),
        channels => format!("{channels} {noun}s"),
    };
    writeln!(
        out,
        "{}, {channels}, {}-byte values, {} s after {} s of warm-up",
        settings.called,
        measured.size,
        rounded(settings.seconds),
        settings.warmup_seconds
    )?;
    let listed = |cpus: &[usize]| {
        let numbers: Vec<String> = cpus.iter().map(usize::to_string).collect();
        let shards = if cpus.len() == 1 { "shard" } else { "shards" };
        let processors = if cpus.len() == 1 {
            "processor"
        } else {
            "processors"
        };
        format!("{} {shards} on {processors} {}", cpus.len(), numbers.join(", "))
    };
    let client = listed(&settings.client_cpus);
    if settings.server_cpus.is_empty() {
        writeln!(out, "client: {client}; the server was running already")?;
    } else {
        writeln!(out, "server: {}; client: {client}", listed(&settings.server_cpus))?;
    }
    let shared = |cpu: &usize| settings.client_cpus.contains(cpu);
    if settings.server_cpus.iter().any(shared) {
        writeln!(
            out,
            "there are not enough processors: client and server share some"
        )?;
    }
    if let Some(search) = &measured.search {
        writeln!(
            out,
            "the highest of {} tried rates that meets {}{}",
            search.trials.len(),
            search.objective,
            match search.met.zip(search.missed) {
                Some((met, missed)) => format!(": between {} and {} calls/s", grouped(met), grouped(missed)),
                None => String::new(),
            }
        )?;
    }
    Ok(())
}

/// Prints the calls of an open loop that were late or not answered.
fn print_backlog(out: &mut impl Write, measured: &Measurement) -> io::Result<()> {
    let Some(rate) = measured.settings.rate else {
        return Ok(());
    };
    if measured.calls_per_second < rate * KEPT_UP_RATIO_MIN {
        writeln!(
            out,
            "it did not keep up: {} of {} calls/s were answered, and up to {} calls waited to begin",
            grouped(measured.calls_per_second),
            grouped(rate),
            grouped(measured.backlog_max as f64)
        )?;
    } else if measured.backlog_max > 0 {
        writeln!(
            out,
            "up to {} calls waited to begin, because {} were in flight",
            grouped(measured.backlog_max as f64),
            grouped(measured.in_flight as f64)
        )?;
    }
    if measured.unanswered > 0 {
        writeln!(
            out,
            "{} calls were never answered; they count with the time until the end",
            grouped(measured.unanswered as f64)
        )?;
    }
    Ok(())
}

/// Seconds, rounded to a tenth.
fn rounded(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

fn row(name: &str, calls_per_second: f64, latency: &Latency) -> String {
    format!(
        "{name:<34}{:>11}{:>10}{:>10}{:>10}{:>10}{:>10}",
        grouped(calls_per_second),
        duration(latency.p50),
        duration(latency.p90),
        duration(latency.p99),
        duration(latency.p999),
        duration(latency.max),
    )
}
