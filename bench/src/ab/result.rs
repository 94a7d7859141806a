//! The result of a comparison, as JSON and as text.

use std::fmt::Write as _;

use serde::Serialize;

use super::machine_watch::MachineWatch;
use super::plan::AbPlan;
use super::profile::AbProfile;
use crate::machine::Machine;
use crate::unrest::Unrest;
use crate::verdict::{Figure, FigureResult, PairedComparison, Verdict, figure_table, verdict_text};

/// A verdict, and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AbResult {
    /// The verdict over the second side.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The verdict as a sentence.
    pub text: String,
    /// Ratios of the second side to the first.
    pub figures: Vec<FigureResult>,
    /// The figure that decided when the answer was clear.
    pub main: Figure,
    /// The difference that does not matter, in percent.
    pub margin_percent: f64,
    /// Pairs of windows.
    pub pairs: usize,
    /// How often both sides were started.
    pub starts: usize,
    /// Whether windows were measured within a start; if not, each measurement had its own.
    pub has_windows: bool,
    /// Measured time of a window, in seconds.
    pub window_seconds: f64,
    /// Time of the whole comparison, in seconds.
    pub seconds: f64,
    /// The seed of the order.
    pub seed: u64,
    /// Both sides: program and settings.
    pub sides: [String; 2],
    /// The machine.
    pub machine: Machine,
    /// What the machine did by itself.
    pub unrest: Unrest,
    /// What changed between both sides; `None` when it was not asked for.
    pub profile: Option<AbProfile>,
}

/// How far a comparison is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Progress {
    pub(super) pairs: usize,
    pub(super) starts: usize,
    pub(super) seconds: f64,
    pub(super) has_windows: bool,
}

impl AbResult {
    pub(super) fn new(
        plan: &AbPlan,
        comparison: &PairedComparison,
        progress: Progress,
        machine: &MachineWatch,
    ) -> AbResult {
        let (verdict, figures) = (comparison.verdict(), comparison.figures());
        let unrest = machine.unrest(&figures).rounded();
        let mut text = verdict_text(&verdict, &figures);
        if let Verdict::CannotTell {
            unrest_percent: Some(_),
        } = verdict
        {
            text.push_str(&cause_text(&unrest));
        }
        AbResult {
            text,
            verdict,
            figures,
            main: plan.main,
            margin_percent: plan.margin_percent,
            pairs: progress.pairs,
            starts: progress.starts,
            has_windows: progress.has_windows,
            window_seconds: plan.window.as_secs_f64(),
            seconds: progress.seconds,
            seed: plan.seed,
            sides: plan.sides.clone().map(|side| side.description),
            machine: Machine::this(),
            unrest,
            profile: None,
        }
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        // Cannot fail: all keys are texts.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The table and the verdict.
    pub fn to_text(&self) -> String {
        let [first, second] = &self.sides;
        let mut text = format!("A: {first}\nB: {second}\n{}\n\n", self.effort());
        text.push_str(&figure_table(&self.figures, ("A", "B"), &self.unrest.explains));
        // Writing to a String does not fail.
        let _ = writeln!(text, "\nunrest: {}", self.unrest.summary());
        if let Some(warning) = self.unrest.warning() {
            let _ = writeln!(text, "{warning}");
        }
        if let Some(profile) = &self.profile {
            let _ = write!(text, "\n{}", profile.to_text());
        }
        let _ = writeln!(text, "\n{}", self.text);
        text
    }

    /// How much was measured, as one line.
    pub(crate) fn effort(&self) -> String {
        let kind = if self.has_windows {
            "windows"
        } else {
            "program starts"
        };
        format!(
            "seed {}: {} pairs of {kind} of {} s, {} starts of both, {:.1} s in all",
            self.seed, self.pairs, self.window_seconds, self.starts, self.seconds
        )
    }
}

/// Whose unrest it is that the ratios of pairs differ.
fn cause_text(unrest: &Unrest) -> String {
    if unrest.is_quiet() {
        " from pair to pair, although nothing else was seen on it: it may be the programs' own".to_owned()
    } else {
        format!(" from pair to pair; {}", unrest.summary())
    }
}
