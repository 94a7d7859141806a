//! What clients in other languages tell of their calls: lines that all of them write alike.
//!
//! `begin` when the warm-up is over and `end` when the time that is measured is, each in the moment; then
//! `seconds S`, `errors N`, for each latency that was seen `bucket MICROSECONDS CALLS`, and `done`.

use std::process::Command;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::measurement::{Measured, PeerError, Settings};
use super::meter::difference;
use super::peer::Peer;
use super::program::run_client;
use crate::cpu::cpu_seconds;
use crate::interrupt::Interrupt;
use crate::load::CpuSeconds;
use crate::report::{self, Latency};

/// How long such a client may take in all, beyond the times that it is told to take.
const EXTRA_TIME_MAX: Duration = Duration::from_secs(30);

/// What has been told so far.
struct Told {
    latencies: Histogram<u64>,
    errors: u64,
    seconds: f64,
    begin: Option<CpuSeconds>,
    end: Option<CpuSeconds>,
    is_done: bool,
    /// The last line that was none of ours.
    said: String,
}

impl Told {
    fn new() -> Told {
        Told {
            latencies: report::histogram(),
            errors: 0,
            seconds: 0.0,
            begin: None,
            end: None,
            is_done: false,
            said: "nothing".to_owned(),
        }
    }

    fn hear(&mut self, line: &str, now: impl Fn() -> CpuSeconds) {
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
            _ => line.clone_into(&mut self.said),
        }
    }
}

/// Runs a client that tells of its calls as the module says.
///
/// # Errors
/// When it cannot be run or does not tell.
pub(super) fn measure(
    peer: Peer,
    client: Command,
    server: u32,
    settings: &Settings,
    interrupt: &Interrupt,
) -> Result<Measured, PeerError> {
    let mut told = Told::new();
    let time_max = settings.warm_up + settings.duration + EXTRA_TIME_MAX;
    run_client(peer.name(), client, time_max, interrupt, |process, line| {
        told.hear(line, || CpuSeconds {
            client: cpu_seconds(process).unwrap_or(0.0),
            server: cpu_seconds(server),
        });
    })?;
    let (true, Some(begin), Some(end)) = (told.is_done && told.seconds > 0.0, told.begin, told.end) else {
        return Err(PeerError::Client(format!(
            "{} told no figures, and said last: {}",
            peer.name(),
            told.said
        )));
    };
    Ok(Measured {
        name: peer.name(),
        calls: told.latencies.len(),
        calls_per_second: told.latencies.len() as f64 / told.seconds,
        latency_us: Latency::of(&told.latencies),
        errors: told.errors,
        in_flight: settings.in_flight,
        size: settings.size,
        seconds: told.seconds,
        cpu_seconds: difference(begin, end),
        note: peer.note().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_tells_becomes_figures() {
        let mut told = Told::new();
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
            told.hear(line, now);
        }
        assert!(told.is_done && told.begin.is_some() && told.end.is_some());
        assert_eq!((told.seconds, told.errors, told.latencies.len()), (2.5, 3, 10));
        assert_eq!(told.said, "warming up");
        let latency = Latency::of(&told.latencies);
        assert!(
            (latency.p50 - 100.0).abs() < 1.0 && (latency.max - 5_000.0).abs() < 10.0,
            "{latency:?}"
        );
    }

    #[test]
    fn a_client_that_tells_nothing_is_an_error_with_its_last_words() {
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
        let measured = measure(
            Peer::Erlang,
            command,
            std::process::id(),
            &settings,
            &Interrupt::default(),
        );
        assert!(matches!(measured, Err(PeerError::Client(text)) if text.contains("I broke")));
    }
}
