//! The table of medians and their ratios.

use crate::floors::PeerResult;
use crate::median::median;

/// The figures of all contenders, by setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Size of the value, in bytes.
    pub size: usize,
    /// The number of runs, of which the figures are medians.
    pub runs: usize,
    /// The measured time of each run, in seconds.
    pub seconds: f64,
    /// One for each number in flight and setting.
    pub groups: Vec<Group>,
    /// The contenders without figures.
    pub missing: Vec<Missing>,
}

/// The figures of one setting. The first row is Skyring's, in the native dialect.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Calls in flight.
    pub in_flight: usize,
    /// How long those that can spin poll for work before they sleep, in microseconds.
    pub spin_us: u64,
    /// The contenders.
    pub rows: Vec<Row>,
}

/// Medians of one contender in one setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Calls a second.
    pub calls_per_second: f64,
    /// Half of the calls took no longer, in microseconds.
    pub p50_us: f64,
    /// 99 of a hundred took no longer, in microseconds.
    pub p99_us: f64,
    /// Processor time of both sides for a call, in microseconds; `None` when one side's is not known.
    pub cpu_us_per_call: Option<f64>,
    /// Calls of all runs that failed.
    pub errors: u64,
    /// Skyring's calls a second, divided by these.
    pub skyring_calls_ratio: f64,
    /// Skyring's p50, divided by this.
    pub skyring_p50_ratio: f64,
    /// What is not equal to the others.
    pub note: String,
}

/// A contender without figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub name: &'static str,
    /// Why.
    pub reason: String,
    /// Whether it failed, rather than not being on this machine or in this program.
    pub failed: bool,
}

/// Sets the ratios of the rows of one setting to the first one, which is Skyring's.
pub(super) fn set_ratios(rows: &mut [Row]) {
    if let Some((calls, p50)) = rows.first().map(|first| (first.calls_per_second, first.p50_us)) {
        for row in rows {
            row.skyring_calls_ratio = calls / row.calls_per_second;
            row.skyring_p50_ratio = p50 / row.p50_us;
        }
    }
}

/// The medians of one contender, each figure by itself; its ratios are 1.
pub(super) fn row(results: &[PeerResult]) -> Option<Row> {
    let last = results.last()?;
    let of = |figure: fn(&PeerResult) -> f64| median(results.iter().map(figure).collect());
    let cpu = of(|one| {
        let server = one.cpu_seconds.server.unwrap_or(f64::NAN);
        (one.cpu_seconds.client + server) * 1e6 / one.calls as f64
    });
    Some(Row {
        name: last.name,
        calls_per_second: of(|one| one.calls_per_second),
        p50_us: of(|one| one.latency_us.p50),
        p99_us: of(|one| one.latency_us.p99),
        cpu_us_per_call: cpu.is_finite().then_some(cpu),
        errors: results.iter().map(|one| one.errors).sum(),
        skyring_calls_ratio: 1.0,
        skyring_p50_ratio: 1.0,
        note: last.note.clone(),
    })
}
