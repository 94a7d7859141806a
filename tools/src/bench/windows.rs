//! `skyring bench --windows`: short loads on request within one start of both sides, for `skyring bench ab`.
//!
//! Each line of the standard input is a request: the milliseconds of warm-up and of measurement. Each is answered with
//! one line of JSON, the result. Between requests both sides are idle. The end of the input ends the program.

use std::io::{self, BufRead as _, Write as _};
use std::time::Duration;

use skyring_bench::{Calls, Interrupt, LoadModel, Measurement, Pair, end_with_parent};

use super::measure::{BenchError, calls, settings};
use super::plan::{Mode, Plan};

/// Longest warm-up and measurement of a request, in milliseconds.
const WINDOW_MS_MAX: u64 = 3_600_000;

/// Answers requests until the input ends.
pub(super) fn run(plan: &Plan, interrupt: &Interrupt) -> Result<(), BenchError> {
    end_with_parent()?;
    let model = match plan.mode {
        Mode::Closed => LoadModel::Closed,
        Mode::Rate(rate) => LoadModel::Open(rate),
        Mode::FindMax(_) => return Err(BenchError::Window("a search has no windows".to_owned())),
    };
    let mut pair = Pair::start(&plan.pair, &plan.program()?, interrupt)?;
    pair.call_once(&plan.payload)?;
    let settings = settings(plan, &pair);
    for line in io::stdin().lock().lines() {
        let (warm_up, duration) = request(&line?).map_err(BenchError::Window)?;
        let calls = Calls {
            warm_up,
            duration,
            ..calls(plan, model)
        };
        let load = pair.measure(calls, |_| {})?;
        let mut settings = settings.clone();
        settings.warmup_seconds = warm_up.as_secs_f64();
        let measured = Measurement::new(load, plan.pair.channels, settings);
        let mut out = io::stdout().lock();
        writeln!(out, "{}", measured.to_json())?;
        out.flush()?;
    }
    pair.end()?;
    Ok(())
}

/// The warm-up and the measured time of a request.
fn request(line: &str) -> Result<(Duration, Duration), String> {
    let mut numbers = line.split_ascii_whitespace().map(str::parse::<u64>);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(warm_up)), Some(Ok(duration)), None)
            if warm_up <= WINDOW_MS_MAX && (1..=WINDOW_MS_MAX).contains(&duration) =>
        {
            Ok((Duration::from_millis(warm_up), Duration::from_millis(duration)))
        }
        _ => Err(format!(
            "expected a window's milliseconds of warm-up and of measurement, at most {WINDOW_MS_MAX} each, not \"{line}\""
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_two_times_within_bounds() {
        let milliseconds = Duration::from_millis;
        assert_eq!(request("20 200"), Ok((milliseconds(20), milliseconds(200))));
        assert_eq!(request("0 1"), Ok((milliseconds(0), milliseconds(1))));
        for line in ["", "20", "20 0", "a b", "1 2 3", "-1 5", "1 3600001", "1.5 2"] {
            assert!(
                request(line).is_err_and(|cause| cause.contains("milliseconds")),
                "{line}"
            );
        }
    }
}
