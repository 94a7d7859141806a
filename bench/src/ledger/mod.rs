//! The ledger workload: every call has a number, callees keep journals, callers report, and both are compared.
//!
//! Whatever happens to connections and processes meanwhile: a call that was answered was run once, a call whose error says
//! that it has not run was not run, the calls of each caller were run in their order, and every call was answered or
//! failed before its deadline. Anything else is counted in [`Violations`].
//!
//! Callers and comparison are in this process; callees are nodes with the kind that [`ledger_kind`] adds, on the same
//! machine, because their journals are files.

mod awaiting_caller;
mod callee;
mod caller_settings;
mod calls;
mod error;
mod journal;
mod plan;
mod posting_caller;
mod reports;
mod result;
mod running_ledger;
mod samples;
mod verifier;
mod violations;

pub use self::callee::ledger_kind;
pub use self::error::LedgerError;
pub use self::plan::{LATE_TOLERANCE, LEDGER_CALLERS_MAX, LedgerPlan};
pub use self::result::{LedgerCounts, LedgerResult, Recoveries};
pub use self::running_ledger::RunningLedger;
pub use self::samples::{SAMPLES_MAX, Sample, samples_csv, samples_page};
pub use self::violations::Violations;
