//! A history as text.

use std::fmt::Write as _;

use super::series::{Change, FigureHistory, History, MachineHistory, RECORDS_MIN, RevisionFigure};

/// Most revisions of a figure that are shown, the last ones; the page has all.
const REVISIONS_MAX: usize = 40;

/// Characters of the drawing of a figure.
const WIDTH: usize = 40;

/// A figure as people read it: the same on the page.
pub(super) fn number(value: f64) -> String {
    match value {
        large if large >= 1_000.0 => format!("{large:.0}"),
        large if large >= 100.0 => format!("{large:.1}"),
        small if small >= 0.1 || small == 0.0 => format!("{small:.3}"),
        smaller => format!("{smaller:.4}"),
    }
}

/// An interval as people read it.
pub(super) fn interval(figure: &RevisionFigure) -> String {
    format!("{} to {}", number(figure.low), number(figure.high))
}

/// A change as people read it.
pub(super) fn change(change: &Change) -> String {
    let ratio = change
        .ratio
        .map_or_else(String::new, |ratio| format!(", {ratio:.3} x"));
    format!(
        "{} to {}{ratio}, {} (p = {:.3})",
        number(change.before),
        number(change.after),
        if change.is_better { "better" } else { "worse" },
        change.chance
    )
}

/// How many records there are, and of what.
pub(super) fn counts(machine: &MachineHistory) -> String {
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    format!(
        "{} of {}",
        plural(machine.records, "record"),
        plural(machine.revisions.len(), "revision")
    )
}

/// What is said where no figure changed.
pub(super) fn no_changes(machine: &MachineHistory) -> String {
    if machine.records < RECORDS_MIN {
        format!(
            "{} are too few to find a change: {RECORDS_MIN} at least, and a dozen for most",
            counts(machine)
        )
    } else {
        "no change was found".to_owned()
    }
}

impl History {
    /// The changes, and each figure drawn over the revisions.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (number, machine) in self.machines.iter().enumerate() {
            if number > 0 {
                text.push('\n');
            }
            machine.write(&mut text);
        }
        text
    }
}

impl MachineHistory {
    /// The figures that changed at a revision.
    pub(super) fn changes_at(&self, revision: usize) -> impl Iterator<Item = (&FigureHistory, &Change)> {
        self.figures.iter().flat_map(move |figure| {
            let here = figure
                .changes
                .iter()
                .filter(move |change| change.revision == revision);
            here.map(move |change| (figure, change))
        })
    }

    // Writing to a String does not fail.
    fn write(&self, text: &mut String) {
        let _ = writeln!(text, "{}\n{}", self.machine, counts(self));
        text.push_str("\nchanges\n");
        let mut has_changes = false;
        for (index, revision) in self.revisions.iter().enumerate() {
            let mut changes = self.changes_at(index).peekable();
            if changes.peek().is_some() {
                has_changes = true;
                let _ = writeln!(text, "  {} {}  {}", revision.name, revision.date, revision.title);
            }
            for (figure, found) in changes {
                let _ = writeln!(text, "    {}: {}: {}", figure.case, figure.title, change(found));
            }
        }
        if !has_changes {
            let _ = writeln!(text, "  {}", no_changes(self));
        }
        for figure in &self.figures {
            self.write_figure(text, figure);
        }
    }

    fn write_figure(&self, text: &mut String, figure: &FigureHistory) {
        let _ = writeln!(text, "\n{}: {}", figure.case, figure.title);
        let left_out = self.revisions.len().saturating_sub(REVISIONS_MAX);
        if left_out > 0 {
            let _ = writeln!(
                text,
                "  {left_out} revisions before these are left out; --html has them"
            );
        }
        let shown = || figure.revisions[left_out..].iter().flatten();
        let low = shown().map(|revision| revision.low).fold(f64::INFINITY, f64::min);
        let high = shown().map(|revision| revision.high).fold(0.0, f64::max);
        for (index, recorded) in figure.revisions.iter().enumerate().skip(left_out) {
            let revision = &self.revisions[index];
            let is_change = figure.changes.iter().any(|change| change.revision == index);
            let mark = if is_change { '*' } else { ' ' };
            let Some(recorded) = recorded else {
                let _ = writeln!(text, "{mark} {:<9}not measured", revision.name);
                continue;
            };
            let _ = writeln!(
                text,
                "{mark} {:<9}{:>9}  {:<20} {}",
                revision.name,
                number(recorded.median),
                interval(recorded),
                drawing(recorded, (low, high))
            );
        }
    }
}

/// The interval as a line with the median in it, between both ends of the scale.
fn drawing(figure: &RevisionFigure, (low, high): (f64, f64)) -> String {
    let place = |value: f64| {
        let part = (value - low) / (high - low);
        // All values are equal: in the middle.
        let part = if part.is_finite() { part } else { 0.5 };
        (part.clamp(0.0, 1.0) * (WIDTH - 1) as f64).round() as usize
    };
    let (from, middle, to) = (place(figure.low), place(figure.median), place(figure.high));
    let characters = (0..=to).map(|column| match column {
        column if column == middle => 'o',
        column if column >= from => '-',
        _ => ' ',
    });
    characters.collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn a_history_names_the_revision_of_a_change_and_draws_each_figure() {
        let mut records = Vec::new();
        for revision in 1..=12 {
            let level = if revision < 7 { 1.0 } else { 2.0 };
            records.push(record(revision, level + 0.001 * revision as f64));
        }
        let text = History::of(&records).to_text();
        assert!(text.contains("12 records of 12 revisions"), "{text}");
        assert_eq!(text.matches("Do <one> thing").count(), 1, "{text}");
        assert!(
            text.contains("1 in flight, parking: calls/s, times the floor's: 1.003 to 2.010, 2.0"),
            "{text}"
        );
        assert_eq!(
            text.lines().filter(|line| line.starts_with('*')).count(),
            33,
            "{text}"
        );
        assert!(text.lines().all(|line| line.len() < 160), "{text}");
    }

    #[test]
    fn few_records_find_no_change_and_say_so() {
        let records: Vec<_> = (1..=7)
            .map(|revision| record(revision, revision as f64))
            .collect();
        let text = History::of(&records).to_text();
        assert!(text.contains("7 records of 7 revisions are too few"), "{text}");
        let one = History::of(&records[..1]).to_text();
        assert!(one.contains("1 record of 1 revision\n"), "{one}");
    }

    #[test]
    fn a_drawing_has_its_median_within_its_interval() {
        let figure = |median, low, high| RevisionFigure {
            median,
            low,
            high,
            measured: String::new(),
            floor: None,
        };
        assert_eq!(drawing(&figure(1.0, 1.0, 1.0), (1.0, 1.0)).trim(), "o");
        let drawn = drawing(&figure(2.0, 1.0, 3.0), (1.0, 3.0));
        assert_eq!(drawn.len(), WIDTH);
        assert_eq!(drawn.chars().filter(|character| *character == 'o').count(), 1);
        assert_eq!(drawing(&figure(0.0, 0.0, 0.0), (0.0, 4.0)), "o");
    }
}
