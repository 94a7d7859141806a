//! The ledger workload: every call has a number, callee and callers keep books, and the books are compared.
//!
//! Whatever happens to connections and processes meanwhile: a call that was answered was run once, one whose
//! error says that it has not run was not, each caller's calls were run in their order, and every call was
//! answered or failed before its deadline. What is found otherwise is counted as a [`Violations`].
//!
//! Callers and comparison are in this process; callees are nodes with the kind that [`ledger_kind`] adds, on
//! the same machine, because their books are files.

mod book;
mod callee;
mod caller;
mod check;
mod samples;

pub use callee::ledger_kind;
pub use check::Violations;
pub use samples::{SAMPLES_MAX, Sample, samples_csv, samples_page};

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use skyring::{Address, Error, Node};
use thiserror::Error as ThisError;

use self::book::BookReader;
use self::caller::{Accounts, Orders, PostingCaller, Told, await_calls};
use self::check::{Check, Fate, OPEN_CALLS_MAX};
use crate::latency::{self, Latency};

/// Most callers of a ledger.
pub const LEDGER_CALLERS_MAX: usize = 4_096;

/// How much later than its deadline a call may end before that is a violation: what a machine that has more
/// to do than it can may add.
pub const LATE_TOLERANCE: Duration = Duration::from_secs(1);

/// How long the books are left alone after the last call has ended, so that what still comes stands in them.
const SETTLE_TIME: Duration = Duration::from_millis(500);

/// Pause between two looks at the books while the last calls end.
const END_POLL: Duration = Duration::from_millis(20);

/// Why a ledger cannot go on.
#[derive(Debug, ThisError)]
pub enum LedgerError {
    /// There must be a caller, and not more than the limit.
    #[error("callers: 1 to {LEDGER_CALLERS_MAX}, not {0}")]
    Callers(usize),
    /// The calling node took no caller, or stopped.
    #[error("the calling node: {0}")]
    Node(#[from] Error),
    /// A book cannot be read.
    #[error("the callee's book: {0}")]
    Book(#[from] io::Error),
    /// The comparison has more calls open than it keeps.
    #[error("{OPEN_CALLS_MAX} calls wait for their comparison: the books are too far behind")]
    Behind,
}

/// What is to be called, and how.
#[derive(Debug, Clone)]
pub struct LedgerPlan {
    /// The node, by its name in the map.
    pub node: String,
    /// The service of the kind `ledger` there.
    pub address: Address,
    /// Callers: the first half posts, the other awaits.
    pub callers: usize,
    /// Calls a second, of all callers together.
    pub rate: u32,
    /// The deadline of each call.
    pub timeout: Duration,
    /// The most bytes that a call carries beside its numbers.
    pub size_max: usize,
    /// The folders of the callees' books.
    pub books: Vec<PathBuf>,
    /// The calls are marked idempotent: running one twice is no violation, nor is the order. Only awaiting
    /// callers mark their calls, so all are.
    pub is_idempotent: bool,
}

/// What has come of the calls so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerCounts {
    /// Calls that were answered.
    pub answered: u64,
    /// Calls that failed, by the code of their error.
    pub failed: BTreeMap<&'static str, u64>,
    /// Failed calls whose error says that they may have run.
    pub may_have_run: u64,
    /// Calls that were due and not made, because their caller had too many under way.
    pub held_back: u64,
}

impl LedgerCounts {
    /// How many calls failed.
    pub fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// What came of it all.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerResult {
    /// Calls that were made.
    pub calls: u64,
    /// What they ended with.
    pub counts: LedgerCounts,
    /// Failed calls that stand in a book although nobody knew: their errors said so.
    pub ran_though_failed: u64,
    /// Idempotent calls that were run more than once.
    pub repeated: u64,
    /// The broken promises.
    pub violations: Violations,
    /// How soon calls were answered again.
    pub recoveries: Recoveries,
    /// How long the answered calls took.
    pub latency_us: Latency,
    /// The time in which calls were made, in seconds.
    pub seconds: f64,
}

/// A ledger under way. Somebody must [`step`](Self::step) it several times a second.
pub struct RunningLedger {
    accounts: Arc<Accounts>,
    books: Vec<BookReader>,
    check: Check,
    timeout: Duration,
    counts: LedgerCounts,
    latencies: Histogram<u64>,
    latencies_recent: Histogram<u64>,
    begun: Instant,
    /// When something was done to a callee last, and a call that began after it was not answered yet.
    marked: Option<quanta::Instant>,
    recoveries: Recoveries,
}

/// How soon calls are answered again after something was done to a callee.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Recoveries {
    /// How often something was done.
    pub count: u64,
    /// The longest time from then until a call that began after it was answered.
    pub longest: Duration,
}

impl LedgerPlan {
    /// Lets the callers loose on `node`.
    ///
    /// # Errors
    /// [`LedgerError::Callers`], or [`LedgerError::Node`] when the node takes no callers.
    pub fn start(self, node: &Node) -> Result<RunningLedger, LedgerError> {
        if self.callers == 0 || self.callers > LEDGER_CALLERS_MAX {
            return Err(LedgerError::Callers(self.callers));
        }
        let accounts = Arc::new(Accounts::new(self.callers));
        let orders = Orders {
            node: self.node,
            address: self.address,
            timeout: self.timeout,
            rate: f64::from(self.rate) / self.callers as f64,
            size_max: self.size_max,
            is_idempotent: self.is_idempotent,
            accounts: Arc::clone(&accounts),
        };
        let posting = match self.is_idempotent {
            true => 0,
            false => self.callers.div_ceil(2) as u32,
        };
        let posting_orders = orders.clone();
        node.block_on(move |caller| async move {
            for number in 0..posting {
                let orders = posting_orders.clone();
                caller.launch(move |_| PostingCaller::new(number, orders)).await?;
            }
            Ok::<(), Error>(())
        })??;
        for number in posting..self.callers as u32 {
            let orders = orders.clone();
            node.run(move |caller| await_calls(caller, number, orders))?;
        }
        Ok(RunningLedger {
            accounts,
            check: Check::new(self.callers, self.books.len(), self.is_idempotent),
            books: self.books.iter().map(|folder| BookReader::new(folder)).collect(),
            timeout: self.timeout,
            counts: LedgerCounts::default(),
            latencies: latency::histogram(),
            latencies_recent: latency::histogram(),
            begun: Instant::now(),
            marked: None,
            recoveries: Recoveries::default(),
        })
    }
}

impl RunningLedger {
    /// How long it has been running.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// What has come of the calls, as of the last step.
    pub fn counts(&self) -> &LedgerCounts {
        &self.counts
    }

    /// Something is done to a callee now; see [`Recoveries`].
    pub fn mark(&mut self) {
        self.marked = Some(quanta::Instant::now());
        self.recoveries.count += 1;
    }

    /// The broken promises that were found so far.
    pub fn violations(&self) -> &Violations {
        &self.check.violations
    }

    /// How long the calls took that were answered since this was asked last.
    pub fn take_latency_recent(&mut self) -> Latency {
        let latency = Latency::of(&self.latencies_recent);
        self.latencies_recent.reset();
        latency
    }

    /// Goes on with the comparison.
    ///
    /// # Errors
    /// [`LedgerError::Book`] and [`LedgerError::Behind`].
    pub fn step(&mut self) -> Result<(), LedgerError> {
        for told in self.accounts.take() {
            self.take(&told);
        }
        self.counts.held_back = self.accounts.held_back.load(Ordering::Relaxed);
        for (book, reader) in self.books.iter_mut().enumerate() {
            reader.follow(|record| self.check.booked(book, record))?;
        }
        if self.check.open_total() > OPEN_CALLS_MAX {
            return Err(LedgerError::Behind);
        }
        Ok(())
    }

    fn take(&mut self, told: &Told) {
        match told.code {
            None => {
                self.counts.answered += 1;
                let nanoseconds = u64::try_from(told.latency.as_nanos()).unwrap_or(u64::MAX);
                self.latencies.saturating_record(nanoseconds);
                self.latencies_recent.saturating_record(nanoseconds);
                self.note_recovery(told);
            }
            Some(code) => {
                *self.counts.failed.entry(code).or_insert(0) += 1;
                self.counts.may_have_run += u64::from(told.fate == Fate::MayHaveRun);
            }
        }
        let (caller, number) = (told.caller, told.number);
        let violations = &mut self.check.violations;
        if told.is_mixed_up {
            violations.mixed_up += 1;
            violations.tell(|| format!("call {number} of caller {caller} got another's answer"));
        }
        if told.latency > self.timeout + LATE_TOLERANCE {
            violations.late += 1;
            violations.tell(|| format!("call {number} of caller {caller} ended after {:?}", told.latency));
        }
        self.check.told(caller, number, told.fate);
    }

    fn note_recovery(&mut self, told: &Told) {
        let Some(marked) = self.marked.filter(|marked| told.begun >= *marked) else {
            return;
        };
        self.marked = None;
        let time = told.begun + told.latency - marked;
        self.recoveries.longest = self.recoveries.longest.max(time);
    }

    /// Makes no more calls, waits for those under way, for as long as their deadline allows, and compares
    /// what is left.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn finish(mut self) -> Result<LedgerResult, LedgerError> {
        let seconds = self.begun.elapsed().as_secs_f64();
        self.accounts.over.store(true, Ordering::Release);
        let (ending, time_max) = (Instant::now(), self.timeout + LATE_TOLERANCE);
        while self.accounts.working.load(Ordering::Acquire) > 0 && ending.elapsed() < time_max {
            thread::sleep(END_POLL);
            self.step()?;
        }
        thread::sleep(SETTLE_TIME);
        self.step()?;
        let issued: Vec<u64> = self
            .accounts
            .issued
            .iter()
            .map(|issued| issued.load(Ordering::Acquire))
            .collect();
        self.check.finish(&issued);
        Ok(LedgerResult {
            calls: issued.iter().sum(),
            counts: self.counts,
            ran_though_failed: self.check.ran_though_failed,
            repeated: self.check.repeated,
            violations: self.check.violations,
            recoveries: self.recoveries,
            latency_us: Latency::of(&self.latencies),
            seconds,
        })
    }
}

impl LedgerResult {
    /// One JSON object, on one line.
    pub fn to_json(&self) -> String {
        let mut failed = String::new();
        for (code, count) in &self.counts.failed {
            let comma = if failed.is_empty() { "" } else { "," };
            let _ = write!(failed, r#"{comma}"{code}":{count}"#);
        }
        let mut violations = String::new();
        for (name, count) in self.violations.counts() {
            let comma = if violations.is_empty() { "" } else { "," };
            let _ = write!(violations, r#"{comma}"{}":{count}"#, name.replace(' ', "_"));
        }
        format!(
            r#"{{"calls":{},"answered":{},"failed":{{{failed}}},"may_have_run":{},"ran_though_failed":{},"repeated":{},"held_back":{},"recovery_ms_max":{:.3},"violations":{{{violations}}},"latency_us":{},"seconds":{:.3}}}"#,
            self.calls,
            self.counts.answered,
            self.counts.may_have_run,
            self.ran_though_failed,
            self.repeated,
            self.counts.held_back,
            self.recoveries.longest.as_secs_f64() * 1_000.0,
            self.latency_us.to_json(),
            self.seconds,
        )
    }
}
