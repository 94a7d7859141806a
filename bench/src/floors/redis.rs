//! Redis and its own load generator, `redis-benchmark`, where they are installed.
//!
//! One connection, with `-P` as many commands as calls are in flight: the generator writes them in one batch and waits
//! for all replies before the next. It counts commands and not time, so it is run three times: shortly to learn the
//! rate, then for the warm-up, then for the measurement. Nothing is written to disk.

use std::time::Duration;

use super::client::value;
use super::launcher::Launcher;
use super::measurement::{PeerError, PeerResult, Settings};
use super::peer::Peer;
use super::program::{installed, run_client};
use super::server_process::ServerProcess;
use crate::cpu::CpuSeconds;
use crate::interrupt::Interrupt;
use crate::latency::Latency;
use crate::ports;
use crate::temp_dir::TempDir;

/// Fewest commands of a run whose rate is of use, beside some for each call in flight.
const COMMANDS_MIN: usize = 5_000;
const COMMANDS_MIN_PER_CALL: usize = 100;

/// Most commands of one run.
const COMMANDS_MAX: f64 = 2e9;

/// How long a run may take beyond what it should.
const EXTRA_TIME_MAX: Duration = Duration::from_secs(30);

/// Longest value that is passed as an argument of a command line.
const ARGUMENT_BYTES_MAX: usize = 100_000;

/// Which command is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Get,
    Set,
    Echo,
}

/// The report of one run of the generator.
#[derive(Debug, Default, PartialEq)]
struct Figures {
    commands: u64,
    commands_per_second: f64,
    latency_us: Latency,
}

/// The command line of the generator, without the number of commands.
struct Generator<'a> {
    launcher: &'a Launcher,
    settings: &'a Settings,
    interrupt: &'a Interrupt,
    port: u16,
    time_max: Duration,
}

pub(super) fn measure(
    peer: Peer,
    test: Test,
    settings: &Settings,
    launcher: &Launcher,
    interrupt: &Interrupt,
) -> Result<PeerResult, PeerError> {
    let program = installed("redis-server")?;
    installed("redis-benchmark")?;
    if test == Test::Echo && settings.size > ARGUMENT_BYTES_MAX {
        return Err(PeerError::Unavailable(format!(
            "redis-benchmark cannot echo more than {ARGUMENT_BYTES_MAX} bytes"
        )));
    }
    let temp_dir = TempDir::new("redis")?;
    let address = ports::free_loopback()?;
    let mut command = launcher.run(settings.server_cpu, program);
    command
        .args([
            "--port",
            &address.port().to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .current_dir(temp_dir.path());
    let server = ServerProcess::run(
        command,
        ("redis-server", "Ready to accept connections"),
        address,
        interrupt,
    )?;
    let generator = Generator {
        launcher,
        settings,
        interrupt,
        port: address.port(),
        time_max: settings.warm_up + settings.duration + EXTRA_TIME_MAX,
    };
    let fewest = COMMANDS_MIN + COMMANDS_MIN_PER_CALL * settings.in_flight;
    if test == Test::Get {
        // The value that is read later.
        generator.run(Test::Set, fewest)?;
    }
    let (first, _) = generator.run(test, fewest)?;
    let (warm, _) = generator.run(test, fewest.max(commands_for(settings.warm_up, &first)))?;
    let before = CpuSeconds::now(Some(server.process()));
    let (figures, client) = generator.run(test, fewest.max(commands_for(settings.duration, &warm)))?;
    let used = CpuSeconds::now(Some(server.process())).since(before);
    Ok(PeerResult {
        name: peer.name(),
        calls: figures.commands,
        calls_per_second: figures.commands_per_second,
        latency_us: figures.latency_us,
        errors: 0,
        in_flight: settings.in_flight,
        size: settings.size,
        seconds: figures.commands as f64 / figures.commands_per_second,
        cpu_seconds: CpuSeconds {
            client: client.unwrap_or(0.0),
            ..used
        },
        note: peer.note().to_owned(),
    })
}

/// How many commands take that time at that rate.
fn commands_for(time: Duration, rate: &Figures) -> usize {
    (rate.commands_per_second * time.as_secs_f64()).min(COMMANDS_MAX) as usize
}

impl Generator<'_> {
    /// Runs it, and returns its report and the processor time that it used.
    fn run(&self, test: Test, commands: usize) -> Result<(Figures, Option<f64>), PeerError> {
        let mut command = self.launcher.run(self.settings.client_cpu, "redis-benchmark");
        let number = |number: usize| number.to_string();
        command
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-c", "1"])
            .args(["-P", &number(self.settings.in_flight), "-n", &number(commands)])
            .args(["-d", &number(self.settings.size.max(1))]);
        match test {
            Test::Get => command.args(["-t", "get"]),
            Test::Set => command.args(["-t", "set"]),
            Test::Echo => command.args(["ECHO", &String::from_utf8_lossy(&value(self.settings))]),
        };
        let mut lines = Vec::new();
        let client = run_client(
            "redis-benchmark",
            command,
            self.time_max,
            self.interrupt,
            |_, line| {
                // It shows its progress on one line, which it overwrites.
                lines.push(line.rsplit('\r').next().unwrap_or_default().to_owned());
            },
        )?;
        let figures = read(&lines).ok_or_else(|| {
            let last = lines.last().map_or("nothing", String::as_str);
            PeerError::Client(format!(
                "redis-benchmark reported no figures, and wrote last: {last}"
            ))
        })?;
        Ok((figures, client))
    }
}

/// Reads the generator's report. It has some percentiles exactly, others as lines with the part of the commands that
/// took no longer than a time; of those, the first that covers a percentile is taken for it.
fn read(lines: &[String]) -> Option<Figures> {
    let mut figures = Figures::default();
    let mut parts = Vec::new();
    let mut summary = None;
    for (at, line) in lines.iter().enumerate() {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        match words[..] {
            [commands, "requests", "completed", ..] => figures.commands = commands.parse().ok()?,
            ["throughput", "summary:", rate, ..] => figures.commands_per_second = rate.parse().ok()?,
            [part, "<=", milliseconds, "milliseconds", ..] => {
                parts.push((
                    part.trim_end_matches('%').parse::<f64>().ok()?,
                    microseconds(milliseconds)?,
                ));
            }
            ["avg", "min", "p50", "p95", "p99", "max"] => summary = lines.get(at + 1),
            _ => {}
        }
    }
    let summary: Vec<_> = summary?.split_ascii_whitespace().collect();
    let [_, _, p50, _, p99, max] = summary[..] else {
        return None;
    };
    let covers = |wanted: f64| {
        let times = parts
            .iter()
            .filter(|(part, _)| *part >= wanted)
            .map(|(_, time)| *time);
        times.min_by(f64::total_cmp)
    };
    figures.latency_us = Latency {
        p50: microseconds(p50)?,
        p90: covers(90.0)?,
        p99: microseconds(p99)?,
        p999: covers(99.9)?,
        max: microseconds(max)?,
    };
    let is_rate = figures.commands_per_second.is_finite() && figures.commands_per_second > 0.0;
    (figures.commands > 0 && is_rate).then_some(figures)
}

fn microseconds(milliseconds: &str) -> Option<f64> {
    Some(milliseconds.parse::<f64>().ok()? * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_the_generator_is_read() {
        let report = "====== GET ======\n  200000 requests completed in 0.50 seconds\n  1 parallel clients\n\n\
                    Latency by percentile distribution:\n0.000% <= 0.015 milliseconds (cumulative count 1)\n\
                    50.000% <= 0.031 milliseconds (cumulative count 100000)\n\
                    93.750% <= 0.063 milliseconds (cumulative count 187500)\n\
                    99.902% <= 0.127 milliseconds (cumulative count 199804)\n\
                    100.000% <= 0.255 milliseconds (cumulative count 200000)\n\n\
                    Cumulative distribution of latencies:\n99.500% <= 0.103 milliseconds (cumulative count 199000)\n\n\
                    Summary:\n  throughput summary: 400000.00 requests per second\n  latency summary (msec):\n\
                    \x20         avg       min       p50       p95       p99       max\n\
                    \x20       0.036     0.008     0.031     0.071     0.095     0.255\n";
        let lines: Vec<_> = report.lines().map(str::to_owned).collect();
        let figures = read(&lines).unwrap();
        assert_eq!(
            (figures.commands, figures.commands_per_second),
            (200_000, 400_000.0)
        );
        let latency = figures.latency_us;
        assert_eq!((latency.p50, latency.p90, latency.p99), (31.0, 63.0, 95.0));
        assert_eq!((latency.p999, latency.max), (127.0, 255.0));
        assert_eq!(commands_for(Duration::from_secs(2), &figures), 800_000);
    }

    #[test]
    fn a_report_without_figures_is_none() {
        assert_eq!(
            read(&["Could not connect to Redis at 127.0.0.1:1: Connection refused".to_owned()]),
            None
        );
    }
}
