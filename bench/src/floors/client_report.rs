//! The report of a client in another language: lines in a format that all of them have in common.
//!
//! A client writes `begin` at the end of the warm-up and `end` at the end of the measured time; then `seconds S`,
//! `errors N`, a line `bucket MICROSECONDS CALLS` for each latency, and `done`.

use std::process::Command;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::measurement::{PeerError, PeerResult, Settings};
use super::peer::Peer;
use super::program::run_client;
use crate::cpu::CpuSeconds;
use crate::interrupt::Interrupt;
use crate::latency;

/// How long such a client may take beyond the times of its settings.
const EXTRA_TIME_MAX: Duration = Duration::from_secs(30);

/// The report as far as it was read.
struct ClientReport {
    latencies: Histogram<u64>,
    errors: u64,
    seconds: f64,
    begin: Option<CpuSeconds>,
    end: Option<CpuSeconds>,
    is_done: bool,
    /// The last line in no known format.
    last_line: String,
}

impl ClientReport {
    fn new() -> ClientReport {
        ClientReport {
            latencies: latency::histogram(),
            errors: 0,
            seconds: 0.0,
            begin: None,
            end: None,
            is_done: false,
            last_line: "nothing".to_owned(),
        }
    }

    fn read(&mut self, line: &str, now: impl Fn() -> CpuSeconds) {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        match words[..] {
            ["begin"] => self.begin = Some(now()),
            ["end"] => self.end = Some(now()),
            ["seconds", seconds] => self.seconds = seconds.parse().unwrap_or(0.0),
            ["errors", errors] => self.errors = errors.parse().unwrap_or(u64::MAX),
            ["bucket", microseconds, calls] => {
                if let (Ok(microseconds), Ok(calls)) = (microseconds.parse::<u64>(), calls.parse()) {
                    self.latencies
                        .saturating_record_n(microseconds.saturating_mul(1_000), calls);
                }
            }
            ["done"] => self.is_done = true,
            _ => line.clone_into(&mut self.last_line),
        }
    }
}

/// Runs a client that reports its calls in this format.
///
/// # Errors
/// When it cannot be run or its report is incomplete.
pub(super) fn measure(
    peer: Peer,
    client: Command,
    server: u32,
    settings: &Settings,
    interrupt: &Interrupt,
) -> Result<PeerResult, PeerError> {
    let mut report = ClientReport::new();
    let time_max = settings.warm_up + settings.duration + EXTRA_TIME_MAX;
    run_client(peer.name(), client, time_max, interrupt, |process, line| {
        report.read(line, || CpuSeconds::of(process, Some(server)));
    })?;
    let (true, Some(begin), Some(end)) = (report.is_done && report.seconds > 0.0, report.begin, report.end)
    else {
        return Err(PeerError::Client(format!(
            "{} reported no figures, and wrote last: {}",
            peer.name(),
            report.last_line
        )));
    };
    let measured = (report.seconds, end.since(begin));
    Ok(PeerResult::of_latencies(
        peer,
        settings,
        &report.latencies,
        report.errors,
        measured,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_a_client_becomes_figures() {
        let mut report = ClientReport::new();
        let now = || CpuSeconds {
            client: 1.0,
            server: Some(2.0),
        };
        for line in [
            "warming up",
            "begin",
            "end",
            "seconds 2.5",
            "errors 3",
            "bucket 100 9",
            "bucket 5000 1",
            "done",
        ] {
            report.read(line, now);
        }
        assert!(report.is_done && report.begin.is_some() && report.end.is_some());
        assert_eq!(
            (report.seconds, report.errors, report.latencies.len()),
            (2.5, 3, 10)
        );
        assert_eq!(report.last_line, "warming up");
        let latency = latency::Latency::of(&report.latencies);
        assert!(
            (latency.p50 - 100.0).abs() < 1.0 && (latency.max - 5_000.0).abs() < 10.0,
            "{latency:?}"
        );
    }

    #[test]
    fn a_client_that_reports_nothing_is_an_error_with_its_last_line() {
        let settings = Settings {
            in_flight: 1,
            size: 64,
            duration: Duration::ZERO,
            warm_up: Duration::ZERO,
            spin: Duration::ZERO,
            server_cpu: 0,
            client_cpu: 1,
            skynet: None,
        };
        let mut command = Command::new("sh");
        command.args(["-c", "echo I broke"]);
        let result = measure(
            Peer::Erlang,
            command,
            std::process::id(),
            &settings,
            &Interrupt::default(),
        );
        assert!(matches!(result, Err(PeerError::Client(text)) if text.contains("I broke")));
    }
}
