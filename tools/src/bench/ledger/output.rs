//! The output of the ledger.

use std::io::{self, Write as _};
use std::time::Duration;

use skyring_bench::{LedgerResult, Sample, duration, grouped};

use super::arguments::{Plan, WhenDownArgument};
use super::fault_schedule::Fault;
use crate::shared::output_file::is_stdout;

/// Bytes in a mebibyte.
const MEBIBYTE: f64 = (1u64 << 20) as f64;

/// Prints what the run will do.
pub(super) fn print_plan(plan: &Plan) -> io::Result<()> {
    let mut parts = vec![format!(
        "{} calls/s of {} callers for {:.0} s",
        grouped(f64::from(plan.rate)),
        plan.common.callers,
        plan.duration.as_secs_f64()
    )];
    if plan.common.group {
        parts.push("a group of two callees".to_owned());
    }
    if plan.common.idempotent {
        parts.push("all of them idempotent".to_owned());
    }
    let network = &plan.network;
    if network.cuts_per_second > 0.0 {
        let how = if network.reset { " by reset" } else { "" };
        parts.push(format!(
            "all connections cut {} times a second{how}",
            network.cuts_per_second
        ));
    }
    if !network.delay.is_zero() {
        parts.push(format!("everything delayed by {:?}", network.delay));
    }
    if let Some(bytes) = network.trickle_bytes {
        parts.push(format!("pieces of {bytes} bytes"));
    }
    if plan.common.when_down == WhenDownArgument::Wait {
        parts.push("which wait while the callee is down".to_owned());
    }
    let processes = &plan.processes;
    for (what, every) in [
        ("SIGKILL and restart", processes.kill),
        ("SIGTERM and restart", processes.terminate),
        ("SIGSTOP", processes.pause),
        ("reload", processes.reload),
    ] {
        if let Some(every) = every {
            parts.push(format!("{what} every {:.1} s", every.as_secs_f64()));
        }
    }
    if processes.kill.is_some() && !processes.down_time.is_zero() {
        let seconds = processes.down_time.as_secs_f64();
        parts.push(format!("{seconds:.1} s from SIGKILL to the restart"));
    }
    if plan.common.json.as_deref().is_some_and(is_stdout) {
        return Ok(());
    }
    print(&[parts.join(", ")])
}

/// Logs a fault on the standard error.
pub(super) fn log_fault(elapsed: Duration, fault: Fault) -> io::Result<()> {
    let what = match fault {
        Fault::Kill => "SIGKILL of the callee",
        Fault::Restart => "restart of the callee",
        Fault::Terminate => "SIGTERM and restart of the callee",
        Fault::Pause => "SIGSTOP of the callee",
        Fault::Resume => "SIGCONT of the callee",
        // Too frequent for a line each.
        Fault::Reload => return Ok(()),
    };
    writeln!(anstream::stderr(), "{:>8.1} s  {what}", elapsed.as_secs_f64())
}

/// Logs a sample on the standard error: the standard output is for the result.
pub(super) fn log_sample(sample: &Sample, violations: u64) -> io::Result<()> {
    writeln!(
        anstream::stderr(),
        "{:>8.1} s  {:>9} calls/s, {} failed/s, p50 {}, p99 {}, memory {:.0} + {:.0} MiB, {violations} violations",
        sample.second,
        grouped(sample.calls_per_second),
        grouped(sample.failed_per_second),
        duration(sample.p50_us),
        duration(sample.p99_us),
        sample.caller_bytes as f64 / MEBIBYTE,
        sample.callee_bytes as f64 / MEBIBYTE,
    )
}

/// The lines of the result.
pub(super) fn result_lines(result: &LedgerResult, cuts: u64, samples: &[Sample]) -> Vec<String> {
    let counts = &result.counts;
    let mut lines = vec![format!(
        "{} calls in {:.1} s ({} calls/s): {} answered, {} failed",
        grouped(result.calls as f64),
        result.seconds,
        grouped(result.calls as f64 / result.seconds.max(1e-9)),
        grouped(counts.answered as f64),
        grouped(counts.failed_total() as f64),
    )];
    for (code, count) in &counts.failed {
        lines.push(format!("  failed with {code}: {}", grouped(*count as f64)));
    }
    if counts.may_have_run > 0 {
        lines.push(format!(
            "  of these {} may have run, and {} did",
            grouped(counts.may_have_run as f64),
            grouped(result.ran_though_failed as f64)
        ));
    }
    if counts.held_back > 0 {
        lines.push(format!(
            "  {} calls were due and not made: their caller had too many in flight",
            grouped(counts.held_back as f64)
        ));
    }
    if result.repeated > 0 {
        lines.push(format!(
            "  {} calls, all idempotent, ran more than once",
            grouped(result.repeated as f64)
        ));
    }
    if result.recoveries.count > 0 {
        lines.push(format!(
            "after each of {} signals to the callee a new call was answered within {:.1} ms",
            result.recoveries.count,
            result.recoveries.longest.as_secs_f64() * 1_000.0
        ));
    }
    lines.push(format!("connections cut: {}", grouped(cuts as f64)));
    let latency = &result.latency_us;
    lines.push(format!(
        "latency of the answered: p50 {}, p90 {}, p99 {}, p99.9 {}, longest {}",
        duration(latency.p50),
        duration(latency.p90),
        duration(latency.p99),
        duration(latency.p999),
        duration(latency.max)
    ));
    lines.push(format!(
        "most calls that a callee ran within 5 ms: {}",
        grouped(result.burst_max as f64)
    ));
    if let Some(line) = memory(samples) {
        lines.push(line);
    }
    lines.push(format!("violations: {}", result.violations));
    lines.extend(
        result
            .violations
            .descriptions
            .iter()
            .map(|line| format!("  {line}")),
    );
    lines
}

/// The name of a side, and its memory in a sample.
type Side = (&'static str, fn(&Sample) -> u64);

/// The memory after a tenth of the time, at the end, and its maximum.
fn memory(samples: &[Sample]) -> Option<String> {
    let (early, last) = (samples.get(samples.len() / 10)?, samples.last()?);
    let sides: [Side; 2] = [
        ("callers", |sample| sample.caller_bytes),
        ("callees", |sample| sample.callee_bytes),
    ];
    let parts = sides.map(|(name, bytes)| {
        let max = samples.iter().map(bytes).max().unwrap_or(0);
        let [early, last, max] = [bytes(early), bytes(last), max].map(|bytes| bytes as f64 / MEBIBYTE);
        format!("{name} {early:.1} MiB early on, {last:.1} at the end, {max:.1} at most")
    });
    Some(format!("memory: {}", parts.join("; ")))
}

/// Prints lines.
pub(super) fn print(lines: &[String]) -> io::Result<()> {
    let mut out = anstream::stdout();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(())
}
