//! Verdicts over two programs, or two sets of results: which figures differ, by how much, and how sure that is.

mod figure;
mod finding;
mod paired;
#[cfg(test)]
mod simulation;
mod table;
mod unpaired;

pub use self::figure::Figure;
pub use self::finding::{ERROR_RATE, FigureResult, Finding, Verdict};
pub use self::paired::{PAIRS_MAX, PairedComparison};
pub use self::table::{figure_table, verdict_text};
pub(crate) use self::table::{finding_text, interval_text, mark};
pub use self::unpaired::compare_unpaired;
