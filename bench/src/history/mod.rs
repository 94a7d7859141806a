//! The history of a program's figures: a line of JSON for each record of a revision, and what changed between them.
//!
//! A record measures a fixed suite: closed loops between two processes, and between two services in Lua. Beside each
//! measurement, and right before it, stands that of a floor in this program: the bare io_uring loop with as many calls in
//! flight. A figure of speed is the ratio to it, because a shared machine changes its own speed by more than most
//! revisions change that of the program. The costs of a call (system calls, allocations, bytes) need no floor.
//!
//! Any older program can be recorded whose `skyring bench` has `--json -`, `--in-flight`, `--spin-us`, `--seconds` and
//! `--warmup`: it is started anew for each measurement.
//!
//! Invariants: records of different machines are never compared; a file is read wholly or not at all; a record is appended with
//! one write, and only to a file that could be read.

mod chart;
mod error;
mod file;
mod git;
mod html;
mod measure;
mod program;
mod record;
mod series;
mod suite;
mod text;

pub use self::error::HistoryError;
pub use self::file::{append_record, check_history, read_history};
pub use self::git::{RevisionFacts, has_changes, revision_facts};
pub use self::measure::{RecordPlan, record};
pub use self::record::{FORMAT, Record, RecordUnrest, RecordedFigure};
pub use self::series::{Change, FigureHistory, History, MachineHistory, RevisionFigure, RevisionHistory};
pub use self::suite::{ROUNDS_DEFAULT, SUITE};
