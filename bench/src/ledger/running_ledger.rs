//! A running ledger: reports and journals are compared while the calls go on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use skyring::{Error, Node};

use super::awaiting_caller::await_calls;
use super::caller_settings::CallerSettings;
use super::error::LedgerError;
use super::journal::JournalReader;
use super::plan::{LATE_TOLERANCE, LEDGER_CALLERS_MAX, LedgerPlan};
use super::posting_caller::PostingCaller;
use super::reports::{CallReport, Outcome, Reports};
use super::result::{LedgerCounts, LedgerResult, Recoveries};
use super::verifier::{OPEN_CALLS_MAX, Verifier};
use super::violations::Violations;
use crate::latency::{self, Latency};

/// Time between the end of the last call and the last read of the journals, for records that are still written.
const SETTLE_TIME: Duration = Duration::from_millis(500);

/// The time in which the calls of a burst are run, in milliseconds: the pause between two steps in which a channel sends
/// what waited for its connection.
const BURST_MS: u64 = 5;

/// The calls that one callee runs at a time.
#[derive(Debug, Clone, Default)]
struct Burst {
    /// The number of the period of [`BURST_MS`].
    period: u64,
    /// The calls in it.
    count: u64,
    /// The most in any period.
    most: u64,
}

impl Burst {
    fn add(&mut self, time_ms: u64) {
        let period = time_ms / BURST_MS;
        if period != self.period {
            (self.period, self.count) = (period, 0);
        }
        self.count += 1;
        self.most = self.most.max(self.count);
    }
}

/// Time between two steps while the last calls end.
const END_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running ledger. Its owner must call [`step`](Self::step) several times a second.
pub struct RunningLedger {
    reports: Arc<Reports>,
    journals: Vec<JournalReader>,
    verifier: Verifier,
    timeout: Duration,
    counts: LedgerCounts,
    latencies: Histogram<u64>,
    latencies_recent: Histogram<u64>,
    begun: Instant,
    /// When the last fault was, until a call that began after it is answered.
    fault_at: Option<quanta::Instant>,
    recoveries: Recoveries,
    /// The calls that each callee runs at a time.
    bursts: Vec<Burst>,
}

impl LedgerPlan {
    /// Starts the callers on `node`.
    ///
    /// # Errors
    /// [`LedgerError::Callers`], or [`LedgerError::Node`] when the node takes no callers.
    pub fn start(self, node: &Node) -> Result<RunningLedger, LedgerError> {
        if self.callers == 0 || self.callers > LEDGER_CALLERS_MAX {
            return Err(LedgerError::Callers(self.callers));
        }
        let reports = Arc::new(Reports::new(self.callers));
        let settings = CallerSettings {
            node: self.node,
            address: self.address,
            timeout: self.timeout,
            rate: f64::from(self.rate) / self.callers as f64,
            size_max: self.size_max,
            is_idempotent: self.is_idempotent,
            when_down: self.when_down,
            reports: Arc::clone(&reports),
        };
        let posting = match self.is_idempotent {
            true => 0,
            false => self.callers.div_ceil(2) as u32,
        };
        let posting_settings = settings.clone();
        node.block_on(move |caller| async move {
            for number in 0..posting {
                let settings = posting_settings.clone();
                caller
                    .launch(move |_| PostingCaller::new(number, settings))
                    .await?;
            }
            Ok::<(), Error>(())
        })??;
        for number in posting..self.callers as u32 {
            let settings = settings.clone();
            node.run(move |caller| await_calls(caller, number, settings))?;
        }
        Ok(RunningLedger {
            reports,
            verifier: Verifier::new(self.callers, self.journals.len(), self.is_idempotent),
            bursts: vec![Burst::default(); self.journals.len()],
            journals: self
                .journals
                .iter()
                .map(|folder| JournalReader::new(folder))
                .collect(),
            timeout: self.timeout,
            counts: LedgerCounts::default(),
            latencies: latency::histogram(),
            latencies_recent: latency::histogram(),
            begun: Instant::now(),
            fault_at: None,
            recoveries: Recoveries::default(),
        })
    }
}

impl RunningLedger {
    /// How long it has been running.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The outcomes of calls until the last step.
    pub fn counts(&self) -> &LedgerCounts {
        &self.counts
    }

    /// Records a fault of a callee now; see [`Recoveries`].
    pub fn record_fault(&mut self) {
        self.fault_at = Some(quanta::Instant::now());
        self.recoveries.count += 1;
    }

    /// The violations so far.
    pub fn violations(&self) -> &Violations {
        &self.verifier.verdicts.violations
    }

    /// The latencies of calls that were answered since the last time.
    pub fn take_latency_recent(&mut self) -> Latency {
        let latency = Latency::of(&self.latencies_recent);
        self.latencies_recent.reset();
        latency
    }

    /// Continues the comparison.
    ///
    /// # Errors
    /// [`LedgerError::Journal`] and [`LedgerError::Behind`].
    pub fn step(&mut self) -> Result<(), LedgerError> {
        for report in self.reports.take() {
            self.take(&report);
        }
        self.counts.held_back = self.reports.held_back.load(Ordering::Relaxed);
        for (journal, reader) in self.journals.iter_mut().enumerate() {
            let burst = &mut self.bursts[journal];
            reader.follow(|record| {
                burst.add(record.time_ms);
                self.verifier.journaled(journal, record);
            })?;
        }
        if self.verifier.open_total() > OPEN_CALLS_MAX {
            return Err(LedgerError::Behind);
        }
        Ok(())
    }

    fn take(&mut self, report: &CallReport) {
        match report.code {
            None => {
                self.counts.answered += 1;
                latency::record(&mut self.latencies, report.latency);
                latency::record(&mut self.latencies_recent, report.latency);
                self.record_recovery(report);
            }
            Some(code) => {
                *self.counts.failed.entry(code).or_insert(0) += 1;
                self.counts.may_have_run += u64::from(report.outcome == Outcome::MayHaveRun);
            }
        }
        let (caller, number) = (report.caller, report.number);
        let violations = &mut self.verifier.verdicts.violations;
        if report.is_mixed_up {
            violations.mixed_up += 1;
            violations.describe(|| format!("call {number} of caller {caller} got the reply to another"));
        }
        if report.latency > self.timeout + LATE_TOLERANCE {
            violations.late += 1;
            violations.describe(|| {
                format!(
                    "call {number} of caller {caller} ended after {:?}",
                    report.latency
                )
            });
        }
        self.verifier.reported(caller, number, report.outcome);
    }

    fn record_recovery(&mut self, report: &CallReport) {
        let Some(fault_at) = self.fault_at.filter(|fault_at| report.begun >= *fault_at) else {
            return;
        };
        self.fault_at = None;
        let time = report.begun + report.latency - fault_at;
        self.recoveries.longest = self.recoveries.longest.max(time);
    }

    /// Makes no more calls, waits for those in flight, for as long as their deadline allows, and completes the
    /// comparison.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn finish(mut self) -> Result<LedgerResult, LedgerError> {
        let seconds = self.begun.elapsed().as_secs_f64();
        self.reports.over.store(true, Ordering::Release);
        let (ending, time_max) = (Instant::now(), self.timeout + LATE_TOLERANCE);
        while self.reports.working.load(Ordering::Acquire) > 0 && ending.elapsed() < time_max {
            thread::sleep(END_POLL_INTERVAL);
            self.step()?;
        }
        thread::sleep(SETTLE_TIME);
        self.step()?;
        let issued: Vec<u64> = self
            .reports
            .issued
            .iter()
            .map(|issued| issued.load(Ordering::Acquire))
            .collect();
        self.verifier.finish(&issued);
        Ok(LedgerResult {
            calls: issued.iter().sum(),
            counts: self.counts,
            ran_though_failed: self.verifier.verdicts.ran_though_failed,
            repeated: self.verifier.verdicts.repeated,
            violations: self.verifier.verdicts.violations,
            recoveries: self.recoveries,
            burst_max: self.bursts.iter().map(|burst| burst.most).max().unwrap_or(0),
            latency_us: Latency::of(&self.latencies),
            seconds,
        })
    }
}
