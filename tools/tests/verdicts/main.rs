//! Verdicts: `skyring bench ab` and `skyring bench compare` say what measurements show, and no more.
//!
//! Most programs here are scripts whose figures are known, so that the verdict is known as well.

mod common;
mod files_are_compared;
mod programs_are_compared;
mod revisions_are_compared;
